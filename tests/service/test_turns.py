"""Several processes share the connections of one listening socket."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hemline.service.turns import SharedSocket, Turns, absent


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
    counts = [3, 2]
    with ExitStack() as stack:
        second = stack.enter_context(SharedSocket(listening.dup(), Turns(counts, 1)))
        first = stack.enter_context(SharedSocket(listening.dup(), Turns(counts, 0)))
        for _ in range(3):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        assert [taken(first, stack), taken(second, stack)] == [0, 1]  # and one in each turn
        counts[1] = 3
        assert [taken(first, stack), taken(second, stack)] == [1, 1]


def test_it_takes_it_when_the_other_does_not_come(listening: socket.socket) -> None:
    """A process that hangs must not keep clients waiting."""
    with ExitStack() as stack:
        one = stack.enter_context(SharedSocket(listening.dup(), Turns([9, 0], 0)))
        stack.enter_context(socket.create_connection(listening.getsockname()))
        end = time.monotonic() + 30
        while not taken(one, stack):
            assert time.monotonic() < end


def test_a_process_that_does_not_listen_is_not_waited_for() -> None:
    counts = [0, 0]
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
