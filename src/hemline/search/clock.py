"""Timings of the steps of an answer, in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up the time of named steps; a step may run several times."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._steps: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._steps[name] = self._steps.get(name, 0.0) + (time.perf_counter() - start) * 1000

    def timings(self) -> dict[str, float]:
        """Milliseconds of each step, and ``total`` since the clock was made."""
        total = (time.perf_counter() - self._start) * 1000
        return {name: round(ms, 3) for name, ms in {**self._steps, "total": total}.items()}
