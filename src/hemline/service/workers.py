"""Several serving processes that share a socket and a catalogue; one of them is the writer.

The parent process only watches them: it restarts one that dies, and passes on a signal to end.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from hemline.service.logs import log, set_up
from hemline.service.metrics import SHARED
from hemline.service.server import make_server
from hemline.service.settings import Settings
from hemline.service.writer_proxy import Handover

Around = Callable[[], AbstractContextManager[None]]
_PAUSE = 1.0  # seconds before a process that died is restarted


def watch(
    settings: Settings, bound: socket.socket, around: Around, ready: Callable[[], None]
) -> None:
    """Runs ``settings.workers`` processes until this one gets a signal to end."""
    folder = Path(tempfile.mkdtemp(prefix="hemline-"))  # readable by this user only
    (folder / "metrics").mkdir()
    os.environ[SHARED] = str(folder / "metrics")
    handover = Handover(folder / "writer.sock", secrets.token_urlsafe(32))
    workers = _Workers(settings, bound, handover, around)
    previous = {
        number: signal.signal(number, workers.end) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        workers.run(ready)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        del os.environ[SHARED]
        shutil.rmtree(folder, ignore_errors=True)


class _Workers:
    def __init__(
        self, settings: Settings, bound: socket.socket, handover: Handover, around: Around
    ) -> None:
        self._arguments = (settings, bound, handover, around)
        self._spawning = multiprocessing.get_context("spawn")
        self._count = settings.workers
        self._processes: dict[int, SpawnProcess] = {}
        self._ending = False

    def end(self, *_: Any) -> None:
        """Sends every process the signal to finish."""
        self._ending = True
        for process in self._processes.values():
            if process.is_alive():
                process.terminate()

    def run(self, ready: Callable[[], None]) -> None:
        for number in range(self._count):
            self._start(number)
        ready()
        while not self._ending:
            sentinels = [process.sentinel for process in self._processes.values()]
            multiprocessing.connection.wait(sentinels, timeout=1.0)
            for number, process in list(self._processes.items()):
                if not process.is_alive() and not self._ending:
                    log("worker died", worker=number, exit=process.exitcode)
                    time.sleep(_PAUSE)
                    if not self._ending:
                        self._start(number)
        for process in self._processes.values():
            process.join()

    def _start(self, number: int) -> None:
        process = self._spawning.Process(
            target=_work, args=(number, *self._arguments), name=f"hemline-{number}"
        )
        process.start()
        self._processes[number] = process


def _work(
    number: int, settings: Settings, bound: socket.socket, handover: Handover, around: Around
) -> None:
    """One process; number 0 is the writer, and listens at the other processes' socket too."""
    with around():
        set_up()
        sockets = [bound]
        if number == 0:
            handover.socket.unlink(missing_ok=True)
            unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            unix.bind(str(handover.socket))
            sockets.append(unix)
        make_server(settings, handover, writes=number == 0).run(sockets=sockets)
