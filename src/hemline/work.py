"""The memory of requests, and whether somebody still waits for their answers.

The service binds a `Work` to each request. The engine, the store and whatever decodes images ask
`present` for it: for memory before they take it, and between two steps whether to go on. Without a
service nothing is bounded.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hemline.errors import BusyError, MemoryLimitError, StoppedError

_POLL = 0.05  # seconds between two looks whether the request that waits has ended
_MEGA = 1 << 20


class Memory:
    """Bytes that all requests of a process may use at the same time.

    Attributes:
        total, used: bytes.
    """

    def __init__(self, total: int = sys.maxsize) -> None:
        self.total, self.used = total, 0
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def check(self, amount: int) -> None:
        """
        Raises:
            MemoryLimitError: so many bytes are never free.
        """
        if amount > self.total:
            raise MemoryLimitError(
                f"this needs {amount / _MEGA:,.0f} MiB of memory, more than the "
                f"{self.total / _MEGA:,.0f} MiB of all requests together; send less, or smaller "
                "images"
            )

    def take(self, amount: int) -> None:
        """Takes bytes that are free now.

        Raises:
            MemoryLimitError: so many are never free.
            BusyError: others use them.
        """
        self.check(amount)
        with self._changed:
            if self.used + amount > self.total:
                raise BusyError("other requests use the memory; try again in a second")
            self.used += amount

    def wait(self, amount: int, check: Callable[[], None]) -> None:
        """Takes bytes as soon as they are free; those who wait get theirs in order.

        Args:
            check: called while it waits; ends the waiting by an exception.

        Raises:
            MemoryLimitError: so many are never free.
        """
        self.check(amount)
        own = object()
        with self._changed:
            self._queue.append(own)
            try:
                while self._queue[0] is not own or self.used + amount > self.total:
                    self._changed.wait(_POLL)
                    check()
                self.used += amount
            finally:
                self._queue.remove(own)
                self._changed.notify_all()

    def give(self, amount: int) -> None:
        """Gives bytes back."""
        with self._changed:
            self.used -= amount
            self._changed.notify_all()


class Work:
    """What one request uses, until the request and its last thread have ended."""

    def __init__(self, data: Memory, images: Memory) -> None:
        """
        Args:
            data: for bodies, their photos, and what is prepared for the tower.
            images: for images that are being decoded.
        """
        self._data, self._images = data, images
        self._held, self._users = 0, 1
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Nobody waits for the answer any more: the next `check` ends the work."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def check(self) -> None:
        """
        Raises:
            StoppedError: nobody waits for the answer.
        """
        if self._stopped.is_set():
            raise StoppedError("the request has ended before its answer")

    def check_data(self, amount: int) -> None:
        """
        Raises:
            MemoryLimitError: `hold` could never take so many bytes.
        """
        self._data.check(amount)

    def hold(self, amount: int) -> None:
        """Takes memory until the work ends.

        Raises:
            MemoryLimitError, BusyError: as `Memory.take`.
        """
        self._data.take(amount)
        with self._lock:
            self._held += amount

    def let_go(self) -> None:
        """Gives back what is held."""
        with self._lock:
            amount, self._held = self._held, 0
        self._data.give(amount)

    @contextmanager
    def decoding(self, amount: int) -> Iterator[None]:
        """Memory for an image and its decoder; waits for it.

        Raises:
            MemoryLimitError: as `Memory.wait`.
            StoppedError: the request has ended meanwhile.
        """
        self.check()
        self._images.wait(amount, self.check)
        try:
            yield
        finally:
            self._images.give(amount)

    def enter(self) -> None:
        """One thread more works for the request."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """The request, or one of its threads, has ended."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.let_go()


_UNBOUNDED = Work(Memory(), Memory())
_present: ContextVar[Work | None] = ContextVar("_present", default=None)


def present() -> Work:
    """The work of the caller's request; without one it has no bounds and no end."""
    return _present.get() or _UNBOUNDED


@contextmanager
def bound(work: Work) -> Iterator[None]:
    """Binds a work to the calling thread or task."""
    token = _present.set(work)
    try:
        yield
    finally:
        _present.reset(token)
