"""Clients that send or read as slowly as they can: their connections have an end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from helpers.service_thread import listening
from hemline.service import guard, protocol
from hemline.service.routes import health
from hemline.service.settings import Settings
from hemline.work import Work

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /v1/openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
BULK = (
    b"POST /v1/items:bulk HTTP/1.1\r\n" + HOST + b"Content-Type: application/jsonl\r\n"
    b"Content-Length: 1000000\r\n\r\n"
)


@pytest.fixture
def port(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a service that has little patience."""
    monkeypatch.setattr(protocol, "_READ_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 2.0)
    monkeypatch.setattr(guard, "_PATIENCE", 2)
    with listening(Settings(shop, port=0, slow=0.5)) as url:
        yield int(url.rpartition(":")[2])


def connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.settimeout(30)
    return connection


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed it; what it has sent is read first."""
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def is_open(connection: socket.socket) -> bool:
    """Whether a write still passes; a reset comes as an error."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_readers_that_never_read_are_closed(port: int) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(connect(port)) for _ in range(20)]
        for connection in many:
            connection.setblocking(False)
        end = time.monotonic() + 60
        alive = set(many)
        while alive and time.monotonic() < end:
            for connection in list(alive):  # pipelining, until the server takes no more or ends
                try:
                    connection.send(GET * 50)
                except BlockingIOError:
                    if not is_open(connection):
                        alive.discard(connection)
                except OSError:
                    alive.discard(connection)
            time.sleep(0.05)
        assert not alive
        with connect(port) as other:
            other.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert other.recv(15) == b"HTTP/1.1 200 OK"


def test_a_reader_that_is_slow_but_reads_gets_all(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_READ_BYTES", 1)
    with connect(port) as connection:
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got = b""
        while data := connection.recv(2000):
            got += data
            time.sleep(0.02)
    assert got.endswith(b"}")


def test_bodies_that_drip_are_broken_off(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(BULK)
        connection.settimeout(0.2)
        got, end = b"", time.monotonic() + 60
        while b"slow" not in got and time.monotonic() < end:
            connection.send(b" ")
            with suppress(TimeoutError):
                got += connection.recv(1 << 16)
    assert b"slow" in got


def test_one_address_cannot_have_all_connections(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PER_ADDRESS", 3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(port)).sendall(b"GET")
        time.sleep(0.2)
        with connect(port) as other:
            assert ended(other)
    time.sleep(0.2)
    with connect(port) as other:
        other.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert other.recv(15) == b"HTTP/1.1 200 OK"


def test_too_many_connections_are_refused_in_words_that_a_page_may_read(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: uvicorn's own 503 had no CORS headers, so the widget said "offline"."""
    monkeypatch.setattr(protocol, "CONNECTIONS", 3)
    named = {"Origin": "https://shop.example"}
    settings = Settings(shop, port=0, public=True, cors=(named["Origin"],))
    with listening(settings) as url, httpx.Client(base_url=url, headers=named) as client:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connect(int(url.rpartition(":")[2]))).sendall(b"GET")
            time.sleep(0.2)
            full = client.get("/v1/info")
            assert (full.status_code, full.headers["retry-after"]) == (503, "1")
            assert full.headers["access-control-allow-origin"] == named["Origin"]
            assert full.json()["type"] == "urn:hemline:problem:busy"
            assert full.headers["connection"] == "close"
        time.sleep(0.2)
        assert client.get("/v1/info").status_code == 200


def test_a_client_that_has_left_stops_its_work(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, stopped = threading.Event(), threading.Event()
    monkeypatch.setattr(Work, "stop", lambda self: stopped.set())

    def info(service: object) -> dict[str, int]:
        began.set()
        assert stopped.wait(20)
        return {}

    monkeypatch.setattr(health, "_info", info)
    with listening(Settings(shop, port=0)) as url:
        with connect(int(url.rpartition(":")[2])) as connection:
            connection.sendall(b"GET /v1/info HTTP/1.1\r\n" + HOST + b"\r\n")
            assert began.wait(20)
        assert stopped.wait(20)
