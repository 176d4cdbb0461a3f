"""Many thousand spoilt data sets and pictures, in one process whose memory is measured.

The cases are those of `tests/helpers`: each must end in a manifest with its report, a picture, or
one HemlineError; anything else is a failure and is named with its seed.

    python benchmarks/fuzz.py --cases 7000 --start 100000 -o benchmarks/results/fuzz.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import fuzz_pictures, fuzz_readers
from helpers.published import JPEG
from hemline.evaluation.machine import processor


def peak() -> int:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def readers(target: str, cases: int, start: int, place: Path) -> tuple[Counter[str], list[str]]:
    root = fuzz_readers.TARGETS[target][0](place / target / "tree")
    (place / target / "outside.jpg").write_bytes(JPEG)
    whole = fuzz_readers.snapshot(root)
    ends: Counter[str] = Counter()
    failures = []
    for seed in range(start, start + cases):
        try:
            _, end = fuzz_readers.attempt(target, root, seed)
        except Exception as error:
            end = "failed"
            failures.append(f"{target}, seed {seed}: {error!r}"[:300])
        ends[end] += 1
        fuzz_readers.restore(root, whole)
    return ends, failures


def pictures(cases: int, start: int, place: Path) -> tuple[Counter[str], list[str]]:
    ends: Counter[str] = Counter()
    failures = []
    for seed in range(start, start + cases):
        try:
            end = fuzz_pictures.attempt(seed, place)
        except Exception as error:
            end = "failed"
            failures.append(f"picture, seed {seed}: {error!r}"[:300])
        ends[end] += 1
    return ends, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000, help="half readers, half pictures")
    parser.add_argument("--start", type=int, default=100_000, help="the first seed")
    parser.add_argument("--place", type=Path, help="where trees are made; default the system's")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    found: dict[str, Any] = {}
    failures: list[str] = []
    before, begun = peak(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hemline-fuzz-", dir=args.place) as name:
        place = Path(name)
        each = args.cases // 2 // len(fuzz_readers.TARGETS)
        for target in fuzz_readers.TARGETS:
            ends, wrong = readers(target, each, args.start, place)
            found[target] = dict(ends)
            failures += wrong
            print(target, dict(ends), f"{peak()} MiB", file=sys.stderr, flush=True)
        ends, wrong = pictures(args.cases // 2, args.start, place)
        found["pictures"] = dict(ends)
        failures += wrong
    result = {
        "what": "spoilt data sets and pictures; every case ends in a result or one error",
        "cases": sum(sum(ends.values()) for ends in found.values()),
        "first_seed": args.start,
        "ends": found,
        "failures": failures,
        "seconds": round(time.perf_counter() - begun, 1),
        "peak_mib": peak(),
        "peak_before_mib": before,
        "machine": f"{processor()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; one core used, the machine shared with other work",
    }
    print(json.dumps(result, indent=1))
    if args.output:  # runs of other seeds stay
        runs = json.loads(args.output.read_text())["runs"] if args.output.exists() else []
        runs = [run for run in runs if run["first_seed"] != args.start] + [result]
        args.output.write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
