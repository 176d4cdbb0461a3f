"""The processor's time of one run of a graph, of two bundles in turns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from hemline.runtime.bundle import Bundle

_WARM, _ROUNDS, _RUNS = 3, 9, 10


def compare_speed(
    before: Bundle, after: Bundle, role: str, feed: dict[str, Any], threads: int
) -> dict[str, Any]:
    """Milliseconds of CPU time of one run of both bundles' graph ``role``, and their ratio.

    They run in turns in one process: other work on the machine affects them alike. The median of
    the rounds counts, and the median of the rounds' ratios.
    """
    sessions: list[Any] = [bundle.session(role, threads) for bundle in (before, after)]
    for session in sessions:
        for _ in range(_WARM):
            session.run(None, feed)
    taken = np.zeros((_ROUNDS, 2))
    for round_ in range(_ROUNDS):
        for side, session in enumerate(sessions):
            begin = time.process_time()
            for _ in range(_RUNS):
                session.run(None, feed)
            taken[round_, side] = (time.process_time() - begin) / _RUNS * 1000
    old, new = np.median(taken, 0)
    return {
        "before": round(float(old), 3),
        "after": round(float(new), 3),
        "ratio": round(float(np.median(taken[:, 1] / taken[:, 0])), 3),
        "threads": threads,
    }
