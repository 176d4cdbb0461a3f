"""A process that isn't the writer hands writes over, and waits for a writer that is to come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from hemline.service.app import create_app
from hemline.service.front import network_of
from hemline.service.keys import KeyRing
from hemline.service.problems import Problem
from hemline.service.settings import Settings
from hemline.service.writer_proxy import TOKEN, Handover, WriterProxy

T = TypeVar("T")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: other tests' browser leaves a loop that runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _writer(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was handed."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    secret = dict(scope["headers"])[TOKEN]
    await send({"type": "http.response.start", "status": 201, "headers": []})
    said = b" ".join([scope["method"].encode(), scope["raw_path"], secret, body])
    await send({"type": "http.response.body", "body": said})


async def _never(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("a write was answered by a process that isn't the writer")


async def _ask(proxy: WriterProxy) -> tuple[int, bytes]:
    """A put of two chunks, and what came back."""
    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/v1/items/a b",
        "raw_path": b"/v1/items/a%20b",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "state": {"request_id": "r1"},
    }
    chunks = [
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return chunks.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await proxy(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def _listen_later(path: Path, waits: float, stale: bool) -> tuple[int, bytes]:
    """A put that comes ``waits`` seconds before the writer does."""

    async def run() -> tuple[int, bytes]:
        if stale:  # what a writer that died leaves behind
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))
        asking = asyncio.create_task(_ask(WriterProxy(_never, Handover(path, "secret"), 5.0)))
        await asyncio.sleep(waits)
        assert not asking.done()
        path.unlink(missing_ok=True)
        config = uvicorn.Config(_writer, uds=str(path), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            return await asking
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await serving

    return _run(run())


@pytest.mark.parametrize("stale", [False, True], ids=["at the start", "after a death"])
def test_a_write_waits_for_its_writer(tmp_path: Path, stale: bool) -> None:
    status, said = _listen_later(tmp_path / "w.sock", 0.3, stale)
    assert status == 201
    assert said == b"PUT /v1/items/a%20b secret one two"


def test_a_writer_that_does_not_come_is_a_503(tmp_path: Path) -> None:
    proxy = WriterProxy(_never, Handover(tmp_path / "w.sock", "secret"), 5.0, wait=0.2)
    with pytest.raises(Problem) as told:
        _run(_ask(proxy))
    assert told.value.status == 503
    assert "writer is starting" in told.value.detail


def test_only_who_may_write_is_forwarded(shop: Path, tmp_path: Path) -> None:
    """Else anybody could use up the connections to the writer, and the memory for bodies."""
    ring = KeyRing(shop / "service")
    reader, _ = ring.create("read")
    app = create_app(Settings(shop), handover=Handover(tmp_path / "w.sock", "secret"), writes=False)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for path in ("/v1/items/a", "/v1/items:bulk", "/v1/admin/manifest"):
            ask = client.put if path == "/v1/items/a" else client.post
            assert ask(path, content=b"{}").status_code == 401
            key = {"Authorization": f"Bearer {reader}"}
            assert ask(path, content=b"{}", headers=key).status_code == 403


def test_wrong_keys_are_counted_for_a_network() -> None:
    assert (
        network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    )
    assert network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("testclient") == "testclient"
