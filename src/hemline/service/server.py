"""The uvicorn server of one process."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hemline.service.app import create_app
from hemline.service.settings import Settings
from hemline.service.writer_proxy import Handover

#: Most bytes of a request's head; seconds in which it must arrive; most connections.
_HEAD, _HEAD_SECONDS, _CONNECTIONS = 32 << 10, 15.0, 1000


class HeaderTimeoutProtocol(H11Protocol):
    """Closes a connection whose request head doesn't arrive in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)


def make_server(
    settings: Settings, handover: Handover | None = None, writes: bool = True
) -> uvicorn.Server:
    """The server; a process that isn't the writer passes writes on by ``handover``."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(settings, handover=handover, writes=writes),
            http=HeaderTimeoutProtocol,
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
