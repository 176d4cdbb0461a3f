"""The service as processes: ending gracefully, being killed, several workers with one writer."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest

from helpers.service_process import Running
from hemline.catalog.catalog import Catalog
from hemline.data.images import encode_jpeg
from hemline.service.keys import KeyRing

Start = Callable[..., Running]


@pytest.fixture
def start(shop: Path) -> Iterator[Start]:
    running: list[Running] = []

    def one(*options: str) -> Running:
        running.append(Running(shop, *options))
        return running[-1]

    yield one
    for service in running:
        service.close()


def product(number: int) -> dict[str, object]:
    colour = np.random.default_rng(number).integers(0, 256, 3, dtype=np.uint8)
    picture = encode_jpeg(np.full((20, 20, 3), colour, np.uint8))
    return {"columns": {"n": number}, "pictures": [base64.b64encode(picture).decode()]}


def test_a_kill_loses_no_acknowledged_write(start: Start, shop: Path) -> None:
    service = start()
    acknowledged: list[int] = []
    stop = threading.Event()

    def write(first: int) -> None:
        with httpx.Client(base_url=service.url, timeout=30) as http:
            for number in range(first, first + 1000, 1):
                if stop.is_set():
                    return
                try:
                    answer = http.put(f"/v1/items/w{number}", json=product(number))
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged.append(number)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    while len(acknowledged) < 30 and time.monotonic() < end:
        time.sleep(0.01)
    service.process.kill()
    stop.set()
    for thread in threads:
        thread.join()
    service.process.wait()
    assert len(acknowledged) >= 30
    with Catalog.open(shop) as catalog:
        kept = {row.item_id: row for row in catalog.store.rows()}
        assert [n for n in acknowledged if f"w{n}" not in kept] == []
        assert all(kept[f"w{n}"].columns == {"n": n} for n in acknowledged)
        catalog.sweep()
        assert catalog.check(deep=True).ok


def test_it_ends_with_what_was_begun(start: Start, shop: Path) -> None:
    service = start()
    lines = [json.dumps({"item_id": f"g{n}", **product(n)}) for n in range(200)]
    got: list[httpx.Response] = []

    def send() -> None:
        headers = {"Content-Type": "application/jsonl"}
        got.append(service.http.post("/v1/items:bulk", content="\n".join(lines), headers=headers))

    thread = threading.Thread(target=send)
    thread.start()
    with Catalog.open(shop) as catalog:
        end = time.monotonic() + 20
        while catalog.store.counts().items < 7 and time.monotonic() < end:
            time.sleep(0.005)
    service.end()
    thread.join(30)
    (answer,) = got
    told = [json.loads(line)["status"] for line in answer.text.splitlines()]
    assert told == ["added"] * 200
    with Catalog.open(shop) as catalog:
        assert catalog.store.counts().items == 206
    events = [json.loads(line)["event"] for line in service.lines if line.startswith("{")]
    assert events[-1] == "ended"
    assert not (shop / "catalog.lock").read_bytes()


def test_several_workers_have_one_writer(start: Start, shop: Path) -> None:
    service = start("--workers", "2")
    told: list[int] = []

    def write(first: int) -> None:
        for number in range(first, first + 8):
            with httpx.Client(base_url=service.url, timeout=30) as http:  # whichever takes it
                answer = http.put(f"/v1/items/m{number}", json=product(number))
                told.append(answer.status_code)
                there = http.get(f"/v1/items/m{number}")
                assert there.status_code == 200, there.text

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [201] * 24
    text = service.http.get("/metrics").text
    assert 'hemline_writes_total{what="added"} 24.0' in text

    # The writer dies; another takes its place.
    (died,) = _writers(service)
    os.kill(died, signal.SIGKILL)
    end = time.monotonic() + 60
    status = 0
    while status != 201 and time.monotonic() < end:
        try:
            with httpx.Client(base_url=service.url, timeout=30) as http:
                status = http.put("/v1/items/after", json=product(7)).status_code
        except httpx.TransportError:
            status = 0
        time.sleep(0.1)
    assert status == 201
    service.end()
    assert any("worker died" in line for line in service.lines)
    with Catalog.open(shop) as catalog:
        assert catalog.store.counts().items == 6 + 25


def _writers(service: Running) -> list[int]:
    """The processes that listen at the Unix socket."""
    found = []
    ours = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    sockets = {
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith("writer.sock") and line.split()[3] == "00010000"
    }
    for pid in map(int, ours.split()):
        links = [
            os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()
        ]
        if sockets & {link[8:-1] for link in links if link.startswith("socket:[")}:
            found.append(pid)
    return found


def test_every_worker_refuses_a_revoked_key_at_once(start: Start, shop: Path) -> None:
    ring = KeyRing(shop / "service")
    keys = [ring.create("write") for _ in range(6)]
    service = start("--workers", "2")

    def codes(text: str) -> set[int]:
        """The answers to requests over connections of their own, so that each worker gets some."""
        found = set()
        for _ in range(8):
            with httpx.Client(base_url=service.url, timeout=30) as http:
                own = {"Authorization": f"Bearer {text}"}
                found.add(http.get("/v1/info", headers=own).status_code)
                found.add(http.patch("/v1/items/no", json={}, headers=own).status_code)
        return found

    for text, key in keys:
        assert codes(text) == {200, 404}
        ring.revoke(key.id)
        assert codes(text) <= {401, 429}  # too many wrong keys
    with httpx.Client(base_url=service.url, timeout=30) as http:
        assert http.patch("/v1/items/no", json={}).status_code == 401  # also after the last one


def test_an_open_address_needs_a_key(shop: Path) -> None:
    command = [sys.executable, "-m", "hemline", "serve", str(shop), "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "hemline key create" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc to count sockets in")
def test_workers_share_a_burst_of_connections(start: Start) -> None:
    """One alone would serve all of it on its share of the cores, while the other is idle."""
    service = start("--workers", "2")
    end = time.monotonic() + 60
    while sum('"ready"' in line for line in service.lines) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    own = service.process.pid
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    workers = [
        one for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    assert len(workers) == 2
    for _ in range(3):  # one may not listen yet, a moment after it is ready
        time.sleep(0.2)
        got = _burst(service.url, workers)
        if min(got) >= 6:
            break
    assert min(got) >= 6, got  # of 24


def _burst(url: str, workers: list[str]) -> list[int]:
    """How many of 24 connections each process takes."""
    host, port = url.removeprefix("http://").split(":")
    before = [_sockets(pid) for pid in workers]
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            stack.enter_context(socket.create_connection((host, int(port))))
        end, got = time.monotonic() + 10, [0, 0]
        while sum(got) < 24 and time.monotonic() < end:
            got = [_sockets(pid) - old for pid, old in zip(workers, before, strict=True)]
            time.sleep(0.02)
    return got


def _sockets(pid: str) -> int:
    """The open sockets of a process."""
    found = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(one).startswith("socket:")
    return found
