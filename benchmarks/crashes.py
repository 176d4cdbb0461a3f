"""What the catalogue keeps when its process is killed, its disk is full, or its files are damaged.

    python benchmarks/crashes.py --kills 100 --catalog-kills 30

- **Kills**: a process adds, updates, deletes, compacts and backs up (a store with tiny segments,
  so that each change touches many files), and notes each change in a synced journal before it
  begins and after it was acknowledged. It is killed at a random moment; what it left is opened,
  compared row by row with the reference fed with the acknowledged changes (the one under way is
  there whole or not at all), verified, and searched. The next kill hits the same catalogue.
- **Kills of a whole catalogue**: the same with pictures and bundles: rebuild, add, remove,
  backup.
- **Faults**: `_faults.py`. The full and the read-only disk need root, for a file system of their
  own.

Writes ``benchmarks/results/crashes.json``. A failure is exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from _faults import FAULTS  # noqa: E402
from _system import load, machine, versions  # noqa: E402

from helpers import crashing, crashing_catalog  # noqa: E402
from helpers.crash_ops import KINDS  # noqa: E402


def told(outcome: crashing.Outcome) -> dict[str, Any]:
    opened = np.array(outcome.opened_ms or [0.0])
    return {
        "kills": outcome.kills,
        "under way when killed": dict(outcome.during),
        "the change under way was there": dict(outcome.kept),
        "acknowledged changes": outcome.acknowledged,
        "comparisons": outcome.checks,
        "recall of approximate answers": round(float(np.mean(outcome.recalls or [0])), 4),
        "opened_ms": {"p50": round(float(np.median(opened)), 1), "max": round(opened.max(), 1)},
        "failures": outcome.failures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--catalog-kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", nargs="*", help="only these")
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "benchmarks/results/crashes.json"
    )
    options = parser.parse_args()
    result: dict[str, Any] = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "versions": versions("hemline", "numpy", "faiss-cpu"),
        "seed": options.seed,
    }
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if options.kills:
            outcome = crashing.campaign(root / "kills", options.kills, options.seed, KINDS)
            result["kills of a store"] = told(outcome)
            failed += len(outcome.failures)
        if options.catalog_kills:
            outcome = crashing_catalog.campaign(
                root / "catalogs", options.catalog_kills, options.seed
            )
            result["kills of a catalogue"] = told(outcome)
            failed += len(outcome.failures)
        result["faults"] = {}
        for fault in FAULTS:
            if options.faults is not None and fault.__name__ not in options.faults:
                continue
            place = root / fault.__name__
            place.mkdir()
            try:
                words = fault(place)
            except PermissionError as error:
                words = f"not tried: {error}"
            except Exception as error:
                words = f"FAILED: {type(error).__name__}: {error}"
                failed += 1
            result["faults"][fault.__name__] = words
            print(f"{fault.__name__}: {words}", flush=True)
    result["load"] = load()
    options.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
