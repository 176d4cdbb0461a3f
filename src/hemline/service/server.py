"""The uvicorn server of one process."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from types import FrameType

import uvicorn

from hemline.service import protocol
from hemline.service.app import create_app
from hemline.service.settings import Settings
from hemline.service.shops import Shops
from hemline.service.turns import Turns
from hemline.service.writer_proxy import Handover

#: On this signal a process takes no more connections but those of the service's other processes.
STOP_LISTENING = getattr(signal, "SIGUSR1", signal.SIGTERM)


class Server(uvicorn.Server):
    """Stops listening as soon as it gets a signal to end, and ends with exit code 0."""

    _loop: asyncio.AbstractEventLoop | None = None
    _sockets: list[socket.socket] | None = None
    turns: Turns | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._sockets = asyncio.get_running_loop(), sockets
        if threading.current_thread() is threading.main_thread():
            self._loop.add_signal_handler(STOP_LISTENING, self._stop_listening)
        await super().startup(sockets)
        if self.turns is not None:
            self.turns.has(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn raises the signals that it has noted again at the end, which would be its exit
        # code; so they aren't noted.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_listening)

    def _stop_listening(self) -> None:
        """New connections are refused at once, and none is left waiting to be reset at the end."""
        if self.turns is not None:
            self.turns.leave()
        if not self.started and self._sockets is not None:  # it is going to listen to these
            for one in [own for own in self._sockets if own.family != socket.AF_UNIX]:
                one.close()
                self._sockets.remove(one)
        for server in getattr(self, "servers", ()):
            if any(one.family != socket.AF_UNIX for one in server.sockets):
                server.close()


def make_server(
    settings: Settings,
    handover: Handover | None = None,
    writes: bool = True,
    turns: Turns | None = None,
) -> Server:
    """The server of a process.

    Args:
        handover: passes writes on to the writer.
        writes: whether this is the writer.
        turns: the connections of several processes.
    """
    make = Shops if settings.shops else create_app
    server = Server(
        uvicorn.Config(
            make(settings, handover=handover, writes=writes),
            http=protocol.protocol_for(settings.proxies, turns),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=int(settings.timeout) + 5,
        )
    )
    server.turns = turns
    return server
