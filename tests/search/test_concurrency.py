"""Readers and a writer at once, each a process; `benchmarks/together.py` does it for minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.together import together


def test_readers_see_what_was_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    seen = together(tmp_path / "store", seconds=4.0, readers=2, pictures=300)
    assert seen.failures == []
    assert seen.commits > 5
    assert seen.compacts >= 1
    assert seen.reopened >= 1
    assert seen.searches > 20
    assert seen.must > 5
    assert len(seen.delays) > 1
    # The second that is promised is measured by benchmarks/together.py; a test machine may be busy.
    assert float(np.percentile(seen.delays, 99)) < 10.0
