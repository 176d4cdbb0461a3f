"""How often somebody may ask: a bucket of tokens for each."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict


class Buckets:
    """Lets each name through ``rate`` times a second, and ``burst`` times at once.

    The names that were seen last are remembered; a forgotten one starts with a full bucket.
    """

    def __init__(self, rate: float, burst: float | None = None, names: int = 10_000) -> None:
        self._rate, self._burst, self._names = rate, burst or max(1.0, 2 * rate), names
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, name: str, now: float | None = None) -> float:
        """0 where it may pass, and takes a token; else the seconds until the next token."""
        now = time.monotonic() if now is None else now
        with self._lock:
            left, since = self._left.get(name, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._rate)
            passes = left >= 1
            self._left[name] = (left - 1 if passes else left, now)
            self._left.move_to_end(name)
            if len(self._left) > self._names:
                self._left.popitem(last=False)
        return 0.0 if passes else (1 - left) / self._rate
