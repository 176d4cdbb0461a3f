"""A listening socket of several processes, which share the connections evenly.

The process that wakes first would take all connections of a burst, and serve them on its share of
the cores while the others are idle.
"""

from __future__ import annotations

import socket
import time
from collections.abc import MutableSequence
from typing import Any

_PATIENCE = 0.005  # seconds that a connection waits for a process with fewer
_ABSENT = 1 << 30  # connections of a process that doesn't listen: no other waits for it

#: In shared memory: of each process its connections, then of each how many it has ever taken.
Counts = MutableSequence[int]


def absent(counts: Counts, number: int) -> None:
    """Process ``number`` has ended, or hasn't begun to listen."""
    counts[number] = _ABSENT


class Turns:
    """The connections of one process beside the others'."""

    def __init__(self, counts: Counts, own: int) -> None:
        self._counts, self._own = counts, own
        self._processes = len(counts) // 2
        self._listens = True

    def has(self, connections: int) -> None:
        """This process has so many connections."""
        if self._listens:
            self._counts[self._own] = connections

    def leave(self) -> None:
        """This process takes no more connections."""
        self._listens = False
        absent(self._counts, self._own)

    def over(self) -> bool:
        """Whether this process has more connections than another."""
        return self._counts[self._own] > min(self._counts[: self._processes])

    def took(self) -> None:
        """This process has taken a connection."""
        self._counts[self._processes + self._own] += 1

    def taken(self) -> int:
        """How many connections all of them have taken."""
        return sum(self._counts[self._processes :])


class SharedSocket(socket.socket):
    """Leaves a connection to a process that has fewer, for a moment."""

    def __init__(self, bound: socket.socket, turns: Turns) -> None:
        """Takes the place of ``bound``, the socket of all processes."""
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self._turns = turns
        self._since, self._seen = 0.0, 0
        self._taken = False

    def accept(self) -> tuple[socket.socket, Any]:
        """One connection in each turn of the event loop, which finds the next one again.

        Raises:
            BlockingIOError: none waits, or none for this process.
        """
        if self._taken or self._wait():
            self._taken = False
            raise BlockingIOError
        connection = super().accept()
        self._turns.took()
        self._taken, self._since = True, 0.0
        return connection

    def _wait(self) -> bool:
        """Whether another process may still come."""
        if not self._turns.over():
            return False
        now, taken = time.monotonic(), self._turns.taken()
        if not self._since or taken != self._seen:  # somebody took the one that waited before
            self._since, self._seen = now, taken
        return now - self._since < _PATIENCE
