"""Forwards writes to the one process that writes, where the service has several.

The request is sent unchanged over a Unix socket that only this user's processes can open, with a
secret that only this service's processes know. The writer checks keys and bodies as for a request
of its own, so there is no second protocol.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hemline.service.problems import busy

TOKEN = b"x-hemline-handed"
#: Seconds that a request waits for a writer that starts, and between two tries.
_WAIT, _PAUSE = 10.0, 0.05
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOPS = (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer", TOKEN)


@dataclass(frozen=True, slots=True)
class Handover:
    """Address of the writer for the other processes of a service.

    Attributes:
        socket: the writer's Unix socket.
        token: their secret.
    """

    socket: Path
    token: str

    def knows(self, scope: Scope) -> bool:
        """Whether a request was forwarded by a process of this service."""
        given = dict(scope["headers"]).get(TOKEN, b"")
        return hmac.compare_digest(given, self.token.encode())


def is_writers(method: str, path: str) -> bool:
    """Whether only the writer answers this request: changes of the catalogue, and jobs."""
    if path.startswith("/v1/admin"):
        return True
    return method not in _SAFE and path.startswith("/v1/items")


class WriterProxy:
    """Forwards the writer's requests; ``app`` answers everything else.

    Args:
        app: answers the rest.
        admit: refuses a request by an exception before its body is read.
        handover: address of the writer.
        timeout: seconds for sending each part of a request.
        wait: seconds that a request waits for a writer that doesn't listen yet: at the start, or
            when another takes the place of one that died.
        root: the sub-path, by which the writer knows the catalogue.
    """

    def __init__(
        self,
        app: ASGIApp,
        handover: Handover,
        timeout: float,
        wait: float = _WAIT,
        admit: Callable[[Request], None] = lambda request: None,
        root: str = "",
    ) -> None:
        self._app, self._handover, self._wait, self._admit = app, handover, wait, admit
        self._root = root
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(handover.socket)),
            base_url="http://writer",
            timeout=httpx.Timeout(timeout, connect=2.0, read=None),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_writers(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        self._admit(Request(scope))
        end = time.monotonic() + self._wait
        while True:
            try:
                await self._forward(scope, receive, send)
                return
            except httpx.ConnectError:  # nothing of the body has been read yet
                if time.monotonic() >= end:
                    raise busy("the writer is starting; try again in a second") from None
            except httpx.TransportError:
                raise busy("the writer ended meanwhile; the same request again is safe") from None
            await asyncio.sleep(_PAUSE)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._http.stream(
            scope["method"],
            self._root + _target(scope),
            headers=self._headers(scope),
            content=_body(Request(scope, receive)),
        ) as got:
            await _relay(got, send)

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        kept = [(name, value) for name, value in scope["headers"] if name not in _HOPS]
        own = scope["state"]["request_id"].encode()
        kept = [(name, value) for name, value in kept if name != b"x-request-id"]
        return [*kept, (TOKEN, self._handover.token.encode()), (b"x-request-id", own)]


def _target(scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        return


async def _relay(got: httpx.Response, send: Send) -> None:
    headers: list[Any] = [(n, v) for n, v in got.headers.raw if n.lower() not in _HOPS]
    await send({"type": "http.response.start", "status": got.status_code, "headers": headers})
    async for chunk in got.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
