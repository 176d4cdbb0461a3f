"""Bounds on what was learned, which must not depend on how lucky one seed is.

``benchmarks/learning_margins.py`` runs the tests that use `learned` with other seeds and thread
counts and prints the range of each value. A bound has a margin to the worst of ten seeds with one
and with two threads; the comment at the bound gives that range.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

#: Added to the seeds of a test; 0 except where margins are measured.
SEED = int(os.environ.get("HEMLINE_TEST_SEED", "0"))
#: Threads of a test that trains.
THREADS = int(os.environ.get("HEMLINE_TEST_THREADS", "1"))
#: A file to which values are appended as JSON lines, instead of being held to their bounds.
MARGINS = os.environ.get("HEMLINE_TEST_MARGINS", "")


def learned(
    what: str, value: float, *, most: float | None = None, least: float | None = None
) -> None:
    """Asserts that ``value`` is at most ``most`` and at least ``least``."""
    if MARGINS:
        test = os.environ["PYTEST_CURRENT_TEST"].removesuffix(" (call)")
        entry = {"test": test, "what": what, "value": value, "most": most, "least": least}
        with Path(MARGINS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**entry, "seed": SEED, "threads": THREADS}) + "\n")
        return
    assert most is None or value <= most, f"{what} is {value:.4g}, more than {most}"
    assert least is None or value >= least, f"{what} is {value:.4g}, less than {least}"
