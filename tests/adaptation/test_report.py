from __future__ import annotations

import numpy as np

from hemline.adaptation.choose import TOP, Outcome
from hemline.adaptation.report import compare, thresholds


def test_better_is_an_interval_above_zero() -> None:
    items = [f"i{k // 2}" for k in range(40)]
    old, new = Outcome(np.full(40, 2)), Outcome(np.ones(40, np.int64))
    report = compare(old, new, items, 0)
    assert report["better"]
    assert report["difference"]["mrr"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert (report["queries"], report["items"]) == (40, 20)
    assert not compare(new, new, items, 0)["better"]
    assert not compare(new, old, items, 0)["better"]


def test_thresholds_come_from_the_hits_and_are_missing_where_too_few_are_right() -> None:
    scores = np.tile(np.linspace(0.9, 0.1, TOP), (50, 1))
    scores[:, 10:] = np.nan  # a gallery of ten items
    right = np.zeros((50, TOP), bool)
    right[:40, 0] = True
    outcome = Outcome(np.ones(50, np.int64), scores, right)
    found = thresholds(outcome, 10)
    assert found is not None
    assert found.same == 0.9
    assert found.precision["same"] == 0.8
    assert 0.1 < found.similar < 0.9
    assert found.data["hits"] == 500
    outcome.right[:] = False
    assert thresholds(outcome, 10) is None
