"""Several processes share the connections of one listening socket."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

from hemline.service import workers
from hemline.service.metrics import SHARED
from hemline.service.settings import Settings
from hemline.service.turns import SharedSocket, Turns, absent
from hemline.service.writer_proxy import Handover


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        yield bound


def taken(one: SharedSocket, stack: ExitStack) -> int:
    """How many connections a process takes in one turn of its event loop."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            stack.enter_context(one.accept()[0])
            count += 1
    return count


def test_a_process_with_more_connections_leaves_the_next_to_the_other(
    listening: socket.socket,
) -> None:
    counts = [3, 2, 0, 0]
    with ExitStack() as stack:
        second = stack.enter_context(SharedSocket(listening.dup(), Turns(counts, 1)))
        first = stack.enter_context(SharedSocket(listening.dup(), Turns(counts, 0)))
        for _ in range(3):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        assert [taken(first, stack), taken(second, stack)] == [0, 1]  # and one in each turn
        counts[1] = 3
        assert [taken(first, stack), taken(second, stack)] == [1, 1]


def test_each_connection_waits_anew(listening: socket.socket) -> None:
    """Failed before: the time that one had waited counted for the next one, though that came after
    the other process had taken the first."""
    counts = [3, 2, 0, 0]
    with ExitStack() as stack:
        second = stack.enter_context(SharedSocket(listening.dup(), Turns(counts, 1)))
        first = stack.enter_context(SharedSocket(listening.dup(), Turns(counts, 0)))
        for _ in range(3):
            stack.enter_context(socket.create_connection(listening.getsockname()))
            assert [taken(first, stack), taken(second, stack)] == [0, 1]
            time.sleep(0.02)


def test_it_takes_it_when_the_other_does_not_come(listening: socket.socket) -> None:
    """A process that hangs must not keep clients waiting."""
    with ExitStack() as stack:
        one = stack.enter_context(SharedSocket(listening.dup(), Turns([9, 0, 0, 0], 0)))
        stack.enter_context(socket.create_connection(listening.getsockname()))
        end = time.monotonic() + 30
        while not taken(one, stack):
            assert time.monotonic() < end


def test_a_process_that_does_not_listen_is_not_waited_for() -> None:
    counts = [0, 0, 0, 0]
    mine, other = Turns(counts, 0), Turns(counts, 1)
    mine.has(5)
    assert mine.over()
    other.leave()
    other.has(0)  # its last connection ends
    assert not mine.over()
    Turns(counts, 1).has(0)  # another process in its place
    assert mine.over()
    absent(counts, 1)
    assert not mine.over()


def test_a_process_that_cannot_be_started_now_is_started_later(
    listening: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: without memory for a process in the place of one that died, all ended."""
    monkeypatch.setattr(workers, "_PAUSE", 0.0)
    monkeypatch.setenv(SHARED, str(tmp_path))
    handover = Handover(tmp_path / "writer.sock", "secret")
    settings = Settings(tmp_path, workers=2)
    running = workers._Workers(settings, listening, handover, nullcontext)
    made: list[Process] = []

    class Process:
        def __init__(self, **_: object) -> None:
            self.pid: int | None = None
            self.exitcode, self.number = 1, len(made)
            self.sentinel, other = os.pipe()
            os.close(other)
            made.append(self)

        def start(self) -> None:
            if self.number == 2:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self.pid = 1 << 30
            if self.number == 3:
                running._ending = True

        def is_alive(self) -> bool:
            return self.number not in (1, 2) and not running._ending

        def join(self, seconds: float = 0.0) -> None:
            pass

        terminate = kill = join

    class Spawning:
        pass

    Spawning.Process = Process  # type: ignore[attr-defined]
    monkeypatch.setattr(running, "_spawning", Spawning)
    running.run(lambda: None)
    for one in made:
        os.close(one.sentinel)
    assert len(made) == 4
