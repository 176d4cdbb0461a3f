"""What has to end with the tests: servers of their own processes."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable

_ENDS: list[Callable[[], None]] = []


def at_end(end: Callable[[], None]) -> None:
    """Calls ``end`` when the tests of this process are over, or the process is, whichever comes
    first: a worker of pytest-xdist that holds threads is killed, and then nothing is called at its
    exit. ``end`` may be called twice."""
    _ENDS.append(end)
    atexit.register(end)


def end_all() -> None:
    while _ENDS:
        with contextlib.suppress(OSError):
            _ENDS.pop()()
