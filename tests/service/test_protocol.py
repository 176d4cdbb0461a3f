"""What the connection bounds that the parser doesn't, and what bytes of all kinds end in."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.service_thread import listening
from hemline.service import protocol
from hemline.service.settings import Settings

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = (
    b"POST /v1/items:bulk HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/jsonl\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LINE = b'{"item_id": "a"}\n'
CHUNK = b"%x\r\n%b\r\n" % (len(LINE), LINE)


@pytest.fixture
def port(shop: Path) -> Iterator[int]:
    with listening(Settings(shop, port=0)) as url:
        yield int(url.rpartition(":")[2])


def talk(port: int, data: bytes) -> tuple[bytes, int]:
    """The whole answer, and how many bytes the server has taken."""
    answer, taken = b"", 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            while taken < len(data):
                taken += connection.send(data[taken : taken + 4096])
            while piece := connection.recv(1 << 16):
                answer += piece
        except ConnectionError:
            pass
    return answer, taken


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"GET /?a=", id="address"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", id="header"),
        pytest.param(b"GET / HTTP/1.1\r\nX", id="name"),
        pytest.param(CHUNKED + CHUNK + b"1;a=", id="extension"),
        pytest.param(CHUNKED + CHUNK + b"0\r\nX: ", id="trailer"),
    ],
)
def test_what_never_ends_is_cut_off(port: int, start: bytes) -> None:
    """The parser collects these in memory and hands nothing on that could be counted."""
    answer, taken = talk(port, start + b"a" * (64 << 20))
    assert taken < 16 << 20  # the buffers of two sockets
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431")
        assert json.loads(body)["type"] == "urn:hemline:problem:long-head"


def test_many_short_trailers_are_cut_off(port: int) -> None:
    _, taken = talk(port, CHUNKED + CHUNK + b"0\r\n" + b"X: a\r\n" * (8 << 20))
    assert taken < 16 << 20


def test_a_trailer_is_no_header(port: int) -> None:
    """It would change the headers of the request while it is answered."""
    sent = CHUNKED + CHUNK + b"0\r\nX-Request-ID: trailing\r\n\r\n"
    answer, _ = talk(port, sent + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert b"trailing" not in answer


def test_pipelined_requests_are_answered_in_turn(port: int) -> None:
    few = 20
    answer, _ = talk(port, GET * few + b"no HTTP\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == few  # what follows them doesn't harm them


def test_few_pipelined_requests_wait(port: int) -> None:
    # In one packet: a connection that ends with bytes unread is reset, and its answers are lost.
    answer, _ = talk(port, GET * (protocol._WAITING + 10))
    assert answer.count(b"HTTP/1.1 200") == 1 + protocol._WAITING


def test_a_broken_body_behind_other_requests_ends_the_connection(port: int) -> None:
    answer, _ = talk(port, GET + CHUNKED + b"ZZ\r\n")
    assert answer.count(b"HTTP/1.1 200") <= 1
    assert b"HTTP/1.1 5" not in answer


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_an_upgrade_is_answered_as_http(port: int, upgrade: bytes) -> None:
    sent = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % upgrade)
    answer, _ = talk(port, sent + GET)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"NOSUCH / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
    ],
)
def test_bytes_that_are_no_request_get_one_answer(port: int, sent: bytes) -> None:
    head, _, body = talk(port, sent + GET)[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["type"] == "urn:hemline:problem:bad-http"  # and nothing behind it
