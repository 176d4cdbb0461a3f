"""A minute of `benchmarks/chaos.py`: nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    result = tmp_path / "chaos.json"
    options = ["--minutes", "1", "--seed", "7", "-o", str(result)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HEMLINE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.is_file(), done.stderr
    found = json.loads(result.read_text("utf-8"))
    assert found["failures"] == []
    counts = found["ledger"]
    acknowledged = sum(n for what, n in counts.items() if what.endswith("acknowledged"))
    assert acknowledged >= 20
    assert counts["items compared"] >= 20
    assert sum(counts.get(end, 0) for end in ("killed", "ended", "power cut")) >= 1
