"""An evaluation's memory has a bound that doesn't grow with queries × gallery."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "large_gallery.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds memory on Linux alone")
def test_a_large_gallery_is_ranked_within_bounded_memory() -> None:
    """Its distances alone would take 3.2 GB; the kernel refuses what goes beyond 1.2 GB."""
    sizes = ["--queries", "8000", "--gallery", "100000", "--dim", "64"]
    command = [sys.executable, str(SCRIPT), *sizes, "--limit", "1200", "--mapped"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    # With the libraries and the mapped files, which the limit doesn't count.
    assert found["peak_resident_mb"] < 2400
    assert 0.0 < found["recall@1"] < found["recall@50"] < 1.0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds memory on Linux alone")
def test_the_bound_of_that_test_bites() -> None:
    sizes = ["--queries", "500", "--gallery", "100000", "--dim", "64"]
    command = [sys.executable, str(SCRIPT), *sizes, "--limit", "250"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert any(words in done.stderr for words in ("MemoryError", "llocat"))  # NumPy's, OpenBLAS's
