"""What one request may cost: refused before it begins, or stopped when its time is over."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from hemline import budget
from hemline.limits import QueryLimits

ADDRESSES = ["/v1/items", "/v1/facets", "/v1/items/item0/similar"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_costly_condition_is_refused(
    client: TestClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"where": "image_id like '%_%_%_%_%_%_%_%_%_!'"}
    assert client.get(address, params=asked).status_code == 200
    monkeypatch.setattr("hemline.service.serving.QueryLimits", lambda: QueryLimits(work=100))
    answer = client.get(address, params={"where": "image_id like '%_%_%_%_%_%_%_%_%_?'"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:hemline:problem:too-costly"
    assert "27 operations for each of 12 images" in answer.json()["detail"]
    assert "at most 100: ask with fewer or shorter parts" in answer.json()["detail"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_request_whose_time_is_over_stops(
    client: TestClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work itself stops, not only the waiting for it."""
    monkeypatch.setattr(budget, "is_over", lambda: True)
    answer = client.get(address, params={"where": "category = 'dress'"})
    assert answer.status_code == 503
    assert "took too long" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "2"
    monkeypatch.undo()
    assert client.get(address, params={"where": "category = 'dress'"}).status_code == 200


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def process(shop: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service whose requests may take two seconds, and its address."""
    command = [sys.executable, "-m", "hemline", "serve", str(shop), "--port", "0"]
    process = subprocess.Popen([*command, "--timeout", "2"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line
            found = re.search(r"served at (http://\S+)", line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        while True:
            assert process.poll() is None
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{found[1]}/readyz").status_code == 200:
                    break
            time.sleep(0.1)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_hostile_conditions_leave_the_service_alive(
    process: tuple[subprocess.Popen[str], str], photo: bytes
) -> None:
    """Long texts and patterns, in a real process: it stays reachable, stops the work, and ends."""
    server, url = process
    picture = base64.b64encode(photo).decode()
    hostile = " or ".join(f"title like '%{'_a' * 10}{n}%'" for n in range(50))
    with httpx.Client(base_url=url, timeout=120) as http:
        for n in range(6):
            columns = {"title": f"{n}" + "ab" * 1_000_000}
            body = {"columns": columns, "pictures": [picture]}
            assert http.put(f"/v1/items/long{n}", json=body).status_code == 201
        got: list[int] = []

        def ask(address: str) -> None:
            answer = httpx.get(url + address, params={"where": hostile}, timeout=120)
            got.append(answer.status_code)

        threads = [threading.Thread(target=ask, args=(address,)) for address in ADDRESSES]
        for thread in threads:
            thread.start()
        answered = 0
        while any(thread.is_alive() for thread in threads):
            assert http.get("/healthz").status_code == 200
            answered += 1
        assert answered > 3
        assert got == [503] * len(ADDRESSES)

        end = time.monotonic() + 60
        while True:  # the work has stopped, or does so at its next look at the clock
            before = cpu_seconds(server.pid)
            time.sleep(1)
            if cpu_seconds(server.pid) - before < 0.3:
                break
            assert time.monotonic() < end, "it still works for requests that were refused"
        assert http.get("/v1/items").status_code == 200

    thread = threading.Thread(target=lambda: _until_closed(url, hostile))
    thread.start()
    time.sleep(0.5)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) in (0, -signal.SIGTERM)
    thread.join()


def _until_closed(url: str, where: str) -> None:
    with contextlib.suppress(httpx.TransportError):
        httpx.get(f"{url}/v1/items", params={"where": where}, timeout=120)
