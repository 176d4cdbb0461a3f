"""Listens: one process, or several that share a socket and a catalogue."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hemline.catalog.catalog import Catalog
from hemline.errors import UsageError
from hemline.service.app import create_app
from hemline.service.keys import KeyRing
from hemline.service.logs import set_up
from hemline.service.settings import Settings
from hemline.service.workers import Around, watch
from hemline.service.writer_proxy import Handover

#: Bytes of a request's head; seconds in which it must have come; connections at once.
_HEAD, _HEAD_SECONDS, _CONNECTIONS = 32 << 10, 15.0, 1000


class PatientForAWhile(H11Protocol):
    """Closes a connection whose request's head doesn't come."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self._head is not None:
            self._head.cancel()
            self._head = None
        elif self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head is not None:
            self._head.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(_HEAD_SECONDS, self.transport.close)


def check_access(settings: Settings) -> None:
    """
    Raises:
        UsageError: others could reach the service and there is no key.
    """
    if not settings.local and not KeyRing(settings.state).all():
        raise UsageError(
            f"{settings.host} can be reached by others, and the catalogue has no key: make one "
            f"with 'hemline key create {settings.catalog} --scope read', or serve on 127.0.0.1"
        )


def listen(settings: Settings) -> socket.socket:
    """The socket, bound.

    Raises:
        UsageError: the address is taken, or isn't ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small packets at once only where the protocol is named.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise UsageError(
            f"{settings.host}:{settings.port} can't be listened at ({error.strerror}); "
            "name another with --host and --port"
        ) from None
    bound.set_inheritable(True)
    return bound


def serve(
    settings: Settings,
    ready: Callable[[str], None] = lambda url: None,
    around: Around = nullcontext,
) -> None:
    """Serves until it is interrupted; then finishes what was begun.

    Args:
        settings: checked.
        ready: told the service's address when it listens.
        around: entered by each process that serves.

    Raises:
        UsageError: the address is taken, or open to others without a key.
    """
    check_access(settings)
    bound = listen(settings)
    url = address(settings, bound)
    with suppress(KeyboardInterrupt):
        if settings.workers > 1:
            set_up()
            Catalog.open(settings.catalog).close()  # so that a wrong one is told here, once
            watch(settings, bound, around, lambda: ready(url))
        else:
            with around():
                set_up()
                server = make_server(settings)
                ready(url)
                server.run(sockets=[bound])


def make_server(
    settings: Settings, handover: Handover | None = None, writes: bool = True
) -> uvicorn.Server:
    """A server of one process; where it isn't the one that writes, it hands writes over."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(settings, handover=handover, writes=writes),
            http=PatientForAWhile,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_HEAD,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=int(settings.timeout) + 5,
        )
    )


def address(settings: Settings, bound: socket.socket) -> str:
    """Where a browser finds it."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}"
