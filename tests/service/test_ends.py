"""How a service ends: by a signal, with work in hand, killed; and what it leaves."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx2 as httpx
import pytest

from helpers.service_process import Running
from hemline.service.folders import TemporaryFolder, sweep

pytestmark = pytest.mark.slow
LINES = 300


def bulk(service: Running, answers: list[httpx.Response]) -> threading.Thread:
    """Begins a bulk upload of lines that are refused, which takes two seconds to send."""

    def pieces() -> object:
        for number in range(LINES):
            yield b'{"item_id": "i%d"}\n' % number
            time.sleep(2 / LINES)

    def send() -> None:
        kind = {"Content-Type": "application/jsonl"}
        with httpx.Client(timeout=60) as http:
            url = f"{service.url}/v1/items:bulk"
            answers.append(http.post(url, content=pieces(), headers=kind))  # type: ignore[arg-type]

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("workers", [1, 3])
def test_after_a_signal_connections_are_refused_and_what_runs_is_finished(
    shop: Path, workers: int
) -> None:
    service = Running(shop, "--workers", str(workers))
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    try:
        answers: list[httpx.Response] = []
        threads = [bulk(service, answers) for _ in range(4)]
        time.sleep(0.7)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        told = []
        for _ in range(16):
            connection = socket.socket()
            told.append(connection.connect_ex((host, int(port))))
            connection.close()
        for thread in threads:
            thread.join()
        code = service.process.wait(60)
    finally:
        service.close()
    assert [answer.text.count('"refused"') for answer in answers] == [LINES] * 4
    assert {os.strerror(error) for error in told} == {"Connection refused"}
    assert code == 0


def test_it_ends_with_clients_that_never_read(shop: Path) -> None:
    service = Running(shop, "--timeout", "2")
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    many = [socket.create_connection((host, int(port))) for _ in range(20)]
    for connection in many:
        connection.setblocking(False)
        try:
            while True:
                connection.send(b"GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50)
        except OSError:
            continue
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    service.close()
    for connection in many:
        connection.close()


def runs(pid: int) -> bool:
    """Whether a process runs; a dead one may wait for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_kill_leaves_neither_processes_nor_folders(shop: Path, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    service = Running(shop, "--workers", "2", TMPDIR=str(place))
    processes = service.processes()
    assert len(processes) >= 3
    service.process.kill()
    service.process.wait()
    service.close()
    end = time.monotonic() + 60
    while any(map(runs, processes)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(runs, processes))
    (left,) = place.glob("hemline-*")
    service = Running(shop, "--workers", "2", TMPDIR=str(place))
    assert not left.exists()
    assert len(list(place.glob("hemline-*"))) == 1
    assert service.end() == 0
    service.close()
    assert not list(place.glob("hemline-*"))


def test_folders_in_use_stay(tmp_path: Path) -> None:
    used = TemporaryFolder(tmp_path, "own-")
    stale = tmp_path / "own-stale"
    stale.mkdir()
    (stale / "file").write_bytes(b"x")
    other = tmp_path / "others"
    other.mkdir()
    sweep(tmp_path, "own-")
    assert used.path.exists()
    assert other.exists()
    assert not stale.exists()
    following = TemporaryFolder(tmp_path, "own-")
    assert used.path.exists()
    used.close()
    following.close()
    assert list(tmp_path.iterdir()) == [other]
