"""Over a real connection: heads and bodies that are too long, or don't come."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.service_thread import listening
from hemline.service import protocol, run
from hemline.service.settings import Settings


@pytest.fixture
def port(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a service that waits half a second for anything."""
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.5)
    with listening(Settings(shop, port=0, slow=0.5)) as url:
        yield int(url.rpartition(":")[2])


def talk(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Sends pieces with pauses; everything that comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        got = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            while data := connection.recv(1 << 16):
                got += data
        except (BrokenPipeError, ConnectionResetError):
            pass
        return got


HEAD = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def test_what_is_too_long_or_too_slow_is_cut_off(port: int) -> None:
    begun = time.monotonic()
    assert talk(port, b"GET /healthz HT") == b""  # the head never ends
    assert talk(port, b"") == b""  # nothing at all
    slow = talk(port, HEAD + b"Content-Length: 1000\r\n\r\n{", b'"photo":')
    head, _, body = slow.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["type"] == "urn:hemline:problem:slow"
    assert time.monotonic() - begun < 8

    flood = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(
        b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(200)
    )
    refused = (b"HTTP/1.1 400", b"HTTP/1.1 431")  # the parser's words, or the service's
    assert talk(port, flood + b"\r\n").startswith((*refused, b""))
    # As one packet that is read whole.
    address = b"GET /v1/items?after=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    header = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"
    for long in (address, header):
        assert talk(port, long).startswith(refused)
    head, _, body = talk(port, b"\x16\x03\x01" + b"\0" * 300).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in head
    assert json.loads(body)["type"] == "urn:hemline:problem:bad-http"
    announced = talk(port, HEAD + b"Content-Length: 99999999999\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413")
    twice = talk(port, HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}")
    assert twice.startswith(b"HTTP/1.1 400")

    good = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert talk(port, good).startswith(b"HTTP/1.1 200")


def test_a_long_body_that_comes_slowly_but_surely_is_read(port: int) -> None:
    head = HEAD.replace(b"/v1/search", b"/v1/items:bulk").replace(b"/json", b"/jsonl")
    lines = [b'{"item_id": "a%d"}\n' % n for n in range(4)]
    length = sum(map(len, lines))
    ends = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % length
    answer = talk(port, head + ends, *lines, pause=0.3)
    assert answer.count(b'"status": "refused"') == 4


def test_small_packets_leave_at_once(shop: Path) -> None:
    """asyncio asks so only of sockets that name their protocol; else answers wait 40 ms."""
    with run.listen(Settings(shop, port=0)) as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_a_client_that_leaves_is_no_crash(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A body that breaks off, and one whose chunks are none, were logged as the server's fault."""
    with listening(Settings(shop, port=0)) as url, caplog.at_level(logging.INFO):
        port = int(url.rpartition(":")[2])
        for path in (b"/v1/search", b"/v1/detect", b"/v1/feedback", b"/v1/items:bulk"):
            head = HEAD.replace(b"/v1/search", path)
            if path.endswith(b"bulk"):
                head = head.replace(b"/json", b"/jsonl")
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(head + b'Content-Length: 1000\r\n\r\n{"a":')
            answer = talk(port, head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 400"), path
        good = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        assert talk(port, good).startswith(b"HTTP/1.1 200")
    events = [record.getMessage() for record in caplog.records]
    assert events.count("request") >= 9
    assert "crash" not in events
