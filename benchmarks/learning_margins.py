"""The margins of the tests that assert learning: ten seeds, one and two threads.

Usage: python benchmarks/learning_margins.py [-k EXPRESSION] [--seeds 0 10] [--threads 1 2]

Runs every test that holds a value by `helpers.learning.learned`, and prints for each value its
range over all runs, its bound, and how many runs would have failed. About two minutes a run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]


def tests() -> list[str]:
    """The test functions that call `learned`, or the helper that does."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for part in re.split(r"\n(?=(?:def|class|@)\W*)", path.read_text(encoding="utf-8")):
            named = re.match(r"def (test_\w+)", part)
            if named and re.search(r"\b(learned|assert_overfits)\(", part):
                found.append(f"{path.relative_to(ROOT)}::{named[1]}")
    return found


def run(expression: str, seed: int, threads: int, values: Path) -> None:
    """One run of all; values are appended to a file."""
    os.environ |= {
        "HEMLINE_TEST_SEED": str(seed),
        "HEMLINE_TEST_THREADS": str(threads),
        "HEMLINE_TEST_MARGINS": str(values),
    }
    torch.set_num_threads(threads)
    for name in list(sys.modules):  # so that they read the seed anew
        if name.partition(".")[0] in ("helpers", "tests"):
            del sys.modules[name]
    pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", "-k", expression, *tests()])


def report(lines: list[dict[str, Any]]) -> None:
    """One line for each value: its range, its bound, and the runs that break it."""
    grouped = defaultdict(list)
    for line in lines:
        grouped[line["test"], line["what"]].append(line)
    for (test, what), found in grouped.items():
        values = [line["value"] for line in found]
        most, least = found[0]["most"], found[0]["least"]
        bound = f"<= {most}" if most is not None else f">= {least}"
        failed = sum(v > most if most is not None else v < least for v in values)
        text = f"{min(values):8.3f} to {max(values):8.3f}  {bound:>8}"
        print(f"{text}  {len(values):3} runs{f', {failed} FAIL' if failed else ''}  {test}: {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="only tests that match, as pytest's -k")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 10), help="from, to")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--values", type=Path, help="a file to keep the values in, and to go on")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ["OMP_WAIT_POLICY"] = "passive"  # the machine may be busy
    with tempfile.TemporaryDirectory() as folder:
        values = options.values or Path(folder) / "values.jsonl"
        for seed in range(*options.seeds):
            for threads in options.threads:
                run(options.k, seed, threads, values)
                print(f"seed {seed}, {threads} threads: done", file=sys.stderr)
        report([json.loads(line) for line in values.read_text(encoding="utf-8").splitlines()])


if __name__ == "__main__":
    main()
