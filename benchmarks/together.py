"""Three readers and a writer on one catalogue for minutes, each a process of its own.

    python benchmarks/together.py --seconds 180

The writer adds, replaces, touches columns, removes and compacts; the readers search, check every
hit (a vector follows from its picture and version, so the similarity proves which version
answered), reopen now and then, and measure how long a commit takes to be seen. Writes
``benchmarks/results/together.json``. A wrong answer or an error is exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from _system import load, machine, versions  # noqa: E402

from helpers.together import together  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "benchmarks/results/together.json"
    )
    options = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory() as folder:
        seen = together(Path(folder) / "store", options.seconds, options.readers)
    delays = 1000 * np.array(seen.delays or [0.0])
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "versions": versions("hemline", "numpy", "faiss-cpu"),
        "load": [before, load()],
        "seconds": options.seconds,
        "readers": options.readers,
        "searches": seen.searches,
        "answers that had to show a change": seen.must,
        "commits": seen.commits,
        "compacts": seen.compacts,
        "reopened": seen.reopened,
        "seen_ms": {
            "measured": len(seen.delays),
            "p50": round(float(np.percentile(delays, 50)), 1),
            "p99": round(float(np.percentile(delays, 99)), 1),
            "max": round(float(delays.max()), 1),
        },
        "failures": seen.failures,
    }
    options.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 1 if seen.failures else 0


if __name__ == "__main__":
    sys.exit(main())
