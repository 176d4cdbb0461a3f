"""A writer is killed at random moments; what it was told is kept must be there.

`benchmarks/crashes.py` does it a hundred times.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.crash_ops import KINDS
from helpers.crashing import campaign


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, kills=8, seed=20, focuses=KINDS)
    assert outcome.failures == []
    assert outcome.kills == 8
    assert outcome.acknowledged >= 10
    assert outcome.checks >= 8 * 24
    assert np.mean(outcome.recalls) >= 0.99
