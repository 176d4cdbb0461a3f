from __future__ import annotations

import numpy as np
import pytest

from hemline.errors import UsageError
from hemline.evaluation.bootstrap import cluster_interval, paired_difference


def slow_interval(values: np.ndarray, clusters: list[str], seed: int, draws: int) -> tuple:
    names = sorted(set(clusters))
    rng = np.random.default_rng(seed)
    means = []
    for picked in rng.integers(0, len(names), (draws, len(names))):
        drawn = [v for p in picked for v, c in zip(values, clusters, strict=True) if c == names[p]]
        means.append(np.mean(drawn))
    return tuple(np.quantile(means, [0.025, 0.975]))


def test_it_resamples_products_as_the_slow_loop_does() -> None:
    rng = np.random.default_rng(0)
    clusters = [f"i{n}" for n in rng.integers(0, 8, 60)]
    values = rng.random(60)
    found = cluster_interval(values, clusters, draws=200, seed=7)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(slow_interval(values, clusters, 7, 200))


def test_photos_of_one_product_do_not_narrow_the_interval() -> None:
    outcome = np.random.default_rng(1).random(20) < 0.5
    once = cluster_interval(outcome, [str(i) for i in range(20)], seed=3)
    often = cluster_interval(
        np.repeat(outcome, 50), [str(i) for i in range(20) for _ in range(50)], seed=3
    )
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        share = rng.beta(6, 4, 40)  # of each product; the mean is 0.6
        values = (rng.random((40, 10)) < share[:, None]).astype(float).ravel()
        clusters = np.repeat(np.arange(40), 10).astype(str).tolist()
        interval = cluster_interval(values, clusters, draws=300, seed=trial)
        covered += interval.low <= 0.6 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_paired_difference_is_tighter_than_two_intervals() -> None:
    rng = np.random.default_rng(3)
    clusters = [str(i // 5) for i in range(300)]
    theirs = (rng.random(300) < 0.5).astype(float)
    ours = np.where(rng.random(300) < 0.1, 1.0, theirs)
    difference = paired_difference(ours, theirs, clusters, seed=1)
    alone = cluster_interval(ours, clusters, seed=1)
    assert difference.low > 0
    assert difference.high - difference.low < alone.high - alone.low
    assert paired_difference(ours, ours, clusters) == (0.0, 0.0, 0.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clusters = [0.0, 1.0, 1.0, 0.0, 1.0], list("aabbc")
    assert cluster_interval(values, clusters, seed=5) == cluster_interval(values, clusters, seed=5)


def test_other_queries_or_none_are_refused() -> None:
    with pytest.raises(UsageError, match="same queries"):
        paired_difference([1.0], [1.0, 0.0], ["a"])
    with pytest.raises(UsageError, match="no interval"):
        cluster_interval([], [])
