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
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from hemline import budget
from hemline.errors import UsageError
from hemline.limits import QueryLimits
from hemline.search.ranking import Ranking
from hemline.service.keys import KeyRing
from hemline.service.settings import Settings

Open = Callable[..., TestClient]
ADDRESSES = ["/v1/items", "/v1/facets", "/v1/items/item0/similar"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_costly_condition_is_refused(
    client: TestClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"where": "image_id like '%_%_%_%_%_%_%_%_%_!'"}
    assert client.get(address, params=asked).status_code == 200
    monkeypatch.setattr(Settings, "limits", QueryLimits(work=100))
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


#: What a key with one limit is refused, by its limit; photos are 32 x 32 pixels.
ASKED: dict[str, tuple[float, dict[str, object]]] = {
    "photos": (1, {"photos": 2}),
    "pixels": (1000, {}),
    "k": (3, {"k": 4}),
    "offset": (2, {"offset": 3}),
    "where_length": (20, {"where": "category = 'dress' or price < 5"}),
    "where_operators": (3, {"where": "price < 5 or price > 7"}),
    "work": (40, {"where": "price < 5 or price > 7"}),
    "facets": (1, {"facets": "category,price"}),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_key_has_limits_of_its_own(
    open_client: Open, shop: Path, photo: bytes, name: str
) -> None:
    most, fields = ASKED[name]
    ring = KeyRing(shop / "service")
    own, _ = ring.create("read", "own", {name: most})
    free, _ = ring.create("read", "free")
    client = open_client()
    files = [("photo", photo)] * int(str(fields.get("photos", 1)))
    fields = {key: value for key, value in fields.items() if key != "photos"}

    def ask(key: str, **given: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return client.post("/v1/search", files=files, data=given, headers=headers)

    refused = ask(own, **fields)
    if name == "pixels":
        assert refused.status_code == 422
        assert "more than the 1,000 allowed" in refused.json()["detail"]
    else:
        assert (refused.status_code, refused.json()["type"]) == (
            400, "urn:hemline:problem:too-costly",
        )  # fmt: skip
        assert f"{most:,}" in refused.json()["detail"]
        assert name in refused.json()["detail"] or name == "work"
    assert ask(free, **fields).status_code == 200
    if name not in ("photos", "pixels"):
        assert ask(own, k=1).status_code == 200
    info = client.get("/v1/info", headers={"Authorization": f"Bearer {own}"}).json()
    assert info["limits"][name] == most


def test_fewer_candidates_are_re_ranked(
    open_client: Open, shop: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    tops: list[int] = []
    made = Ranking.__init__

    def noted(self: Ranking, *parts: Any) -> None:
        tops.append(parts[4])
        made(self, *parts)

    monkeypatch.setattr(Ranking, "__init__", noted)
    ring = KeyRing(shop / "service")
    client = open_client()
    for most in (0, 2):
        key, _ = ring.create("read", "", {"rerank": most})
        headers = {"Authorization": f"Bearer {key}"}
        answer = client.post("/v1/search", files={"photo": photo}, headers=headers)
        assert answer.status_code == 200
        assert len(answer.json()["hits"]) == 6
    assert tops[-2:] == [0, 2]


def test_a_key_has_less_time(open_client: Open, shop: Path) -> None:
    key, _ = KeyRing(shop / "service").create("read", "", {"seconds": 0})
    headers = {"Authorization": f"Bearer {key}"}
    answer = open_client().get("/v1/facets", headers=headers)
    assert answer.status_code == 503
    assert "took too long" in answer.json()["detail"]


def test_limits_of_keys_only_lower_and_have_known_names(shop: Path) -> None:
    assert QueryLimits().lowered({"k": 5, "seconds": 1e9}) == QueryLimits(k=5)
    with pytest.raises(UsageError, match="no limit 'where_operator'.*'where_operators'"):
        KeyRing(shop / "service").create("read", "", {"where_operator": 3})


def test_the_document_has_every_limit() -> None:
    """The table of docs/service.md has each limit with its default."""
    text = (Path(__file__).parents[2] / "docs/service.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([\d,]+)", text, re.MULTILINE))
    assert rows == {name: f"{value:,.0f}" for name, value in asdict(QueryLimits()).items()}


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
