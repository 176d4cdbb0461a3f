"""Every reader on spoilt trees: each case ends in a manifest with its report, or in one error."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from helpers.fuzz_readers import TARGETS, attempt, restore, snapshot
from helpers.published import JPEG

#: Cases of each target; `benchmarks/fuzz.py` runs more.
CASES = 150


@pytest.mark.parametrize("target", TARGETS)
def test_every_case_ends_well(target: str, tmp_path: Path) -> None:
    root = TARGETS[target][0](tmp_path / "tree")
    (tmp_path / "outside.jpg").write_bytes(JPEG)
    whole, ends = snapshot(root), Counter[str]()
    for seed in range(CASES):
        try:
            _, end = attempt(target, root, seed)
        except Exception as error:
            raise AssertionError(f"{target}, seed {seed}: {error!r}") from error
        ends[end] += 1
        restore(root, whole)
    assert ends["refused"] + ends["read"] == CASES
    assert min(ends["refused"], ends["read"]) > 0
