"""Several serving processes that share a socket and a catalogue; one of them is the writer.

The parent process only watches them: it restarts one that dies, and passes on a signal to end. They
end without it, too.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from hemline.service.folders import TemporaryFolder, join
from hemline.service.logs import log, set_up
from hemline.service.metrics import SHARED
from hemline.service.server import STOP_LISTENING, make_server
from hemline.service.settings import Settings
from hemline.service.turns import Counts, SharedSocket, Turns, absent
from hemline.service.writer_proxy import Handover

Around = Callable[[], AbstractContextManager[None]]
#: Seconds for the end of a process, beyond the time of an answer.
_GRACE = 15.0
_PAUSE = 1.0  # seconds before a process that died is restarted


def watch(
    settings: Settings, bound: socket.socket, around: Around, ready: Callable[[], None]
) -> None:
    """Runs ``settings.workers`` processes until this one gets a signal to end."""
    temporary = TemporaryFolder(Path(tempfile.gettempdir()), "hemline-serve-")
    folder = temporary.path
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
        temporary.close()


class _Workers:
    def __init__(
        self, settings: Settings, bound: socket.socket, handover: Handover, around: Around
    ) -> None:
        self._arguments = (settings, bound, handover, around)
        self._bound, self._grace = bound, settings.timeout + _GRACE
        self._spawning = multiprocessing.get_context("spawn")
        self._count = settings.workers
        self._processes: dict[int, SpawnProcess] = {}
        self._counts: Counts = self._spawning.RawArray("i", 2 * self._count)
        self._ending = False

    def end(self, *_: Any) -> None:
        """Ends the processes, the writer after the others; from now on nobody listens."""
        self._ending = True
        self._bound.close()
        for number, process in self._processes.items():
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, STOP_LISTENING if number == 0 else signal.SIGTERM)

    def run(self, ready: Callable[[], None]) -> None:
        for number in range(self._count):
            self._start(number)
        ready()
        while not self._ending:
            started = [one for one in self._processes.values() if one.pid is not None]
            multiprocessing.connection.wait([one.sentinel for one in started], timeout=1.0)
            for number, process in list(self._processes.items()):
                if not process.is_alive() and not self._ending:
                    log("worker died", worker=number, exit=process.exitcode)
                    mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
                    time.sleep(_PAUSE)
                    if not self._ending:
                        self._restart(number)
        self._join(process for number, process in self._processes.items() if number > 0)
        writer = self._processes[0]  # last: the others' requests may need it
        if writer.is_alive():
            writer.terminate()
        self._join([writer])

    def _join(self, processes: Iterable[SpawnProcess]) -> None:
        end = time.monotonic() + self._grace
        for process in processes:
            if process.pid is None:
                continue
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                log("worker killed", reason="it didn't end in time", pid=process.pid)
                process.kill()
                process.join()

    def _restart(self, number: int) -> None:
        """Starts a process in the place of one that died, or says why that has to wait."""
        try:
            self._start(number)
        except OSError as error:  # no memory, or too many processes; the others serve meanwhile
            log("worker not started", worker=number, reason=str(error))

    def _start(self, number: int) -> None:
        absent(self._counts, number)
        process = self._spawning.Process(
            target=_work, args=(number, self._counts, *self._arguments), name=f"hemline-{number}"
        )
        self._processes[number] = process
        try:
            process.start()
        except OSError:
            if not self._ending:  # else the socket has been closed meanwhile
                raise
        if self._ending and process.pid is not None:
            process.terminate()


def _work(
    number: int,
    counts: Counts,
    settings: Settings,
    bound: socket.socket,
    handover: Handover,
    around: Around,
) -> None:
    """One process; number 0 is the writer, and listens at the other processes' socket too."""
    threading.Thread(target=_end_with_parent, name="hemline-parent", daemon=True).start()
    with around():
        set_up()
        join(handover.socket.parent)
        turns = Turns(counts, number)
        sockets: list[socket.socket] = [SharedSocket(bound, turns)]
        if number == 0:
            handover.socket.unlink(missing_ok=True)
            unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            unix.bind(str(handover.socket))
            sockets.append(unix)
        make_server(settings, handover, number == 0, turns).run(sockets=sockets)


def _end_with_parent() -> None:
    """Ends this process gracefully when the parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
