"""Several processes that share a socket and a catalogue; one of them is the writer.

This process only watches them: one that dies is started again, and a signal to end is passed on.
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

from hemline.service.logs import log
from hemline.service.metrics import SHARED
from hemline.service.settings import Settings
from hemline.service.writer_proxy import Handover

Around = Callable[[], AbstractContextManager[None]]
_PAUSE = 1.0  # seconds before one that died is started again


def watch(
    settings: Settings, bound: socket.socket, around: Around, ready: Callable[[], None]
) -> None:
    """Runs ``settings.workers`` processes until this one is told to end, and waits for them."""
    folder = Path(tempfile.mkdtemp(prefix="hemline-"))  # only this user may enter it
    (folder / "metrics").mkdir()
    os.environ[SHARED] = str(folder / "metrics")
    handover = Handover(folder / "writer.sock", secrets.token_urlsafe(32))
    watching = _Watching(settings, bound, handover, around)
    kept = {
        number: signal.signal(number, watching.end) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        watching.run(ready)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        del os.environ[SHARED]
        shutil.rmtree(folder, ignore_errors=True)


class _Watching:
    def __init__(
        self, settings: Settings, bound: socket.socket, handover: Handover, around: Around
    ) -> None:
        self._arguments = (settings, bound, handover, around)
        self._spawning = multiprocessing.get_context("spawn")
        self._count = settings.workers
        self._processes: dict[int, SpawnProcess] = {}
        self._ending = False

    def end(self, *_: Any) -> None:
        """Tells every process to finish."""
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
    """One process; number 0 is the writer, and listens to the others too."""
    from hemline.service.logs import set_up
    from hemline.service.run import make_server

    with around():
        set_up()
        sockets = [bound]
        if number == 0:
            handover.socket.unlink(missing_ok=True)
            own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            own.bind(str(handover.socket))
            sockets.append(own)
        make_server(settings, handover, writes=number == 0).run(sockets=sockets)
