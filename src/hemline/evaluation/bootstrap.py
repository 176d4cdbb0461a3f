"""Bootstrap intervals for means over queries: **items** are resampled, not photos.

Photos of one item succeed and fail together, so resampling photos would give too narrow an
interval. Source: A. C. Davison, D. V. Hinkley, "Bootstrap Methods and their Application",
Cambridge 1997, §3.8 (resampling clusters); percentile intervals, §5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    value: float
    low: float
    high: float


def cluster_interval(
    values: npt.ArrayLike,
    clusters: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of ``values`` (Q,) with its percentile interval over resampled clusters.

    Args:
        values: (Q,) one for each query (a hit, a reciprocal rank, a difference of two models).
        clusters: (Q,) the item of each query.
        level: confidence, 0-1.
        draws: number of resamples.
        seed: the same seed gives the same interval.

    Raises:
        UsageError: no query, or not one cluster for each.
    """
    numbers = np.asarray(values, np.float64)
    if len(numbers) == 0 or len(numbers) != len(clusters):
        raise UsageError(f"{len(numbers)} values and {len(clusters)} clusters make no interval")
    _, codes = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    sums = np.bincount(codes, weights=numbers)
    sizes = np.bincount(codes).astype(np.float64)
    rng = np.random.default_rng(seed)
    count = len(sums)
    means = np.empty(draws)
    step = max(1, 4_000_000 // count)
    for start in range(0, draws, step):
        drawn = rng.integers(0, count, (min(step, draws - start), count))
        means[start : start + len(drawn)] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(numbers.mean()), float(low), float(high))


def paired_difference(
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    clusters: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of ours - theirs over the **same** queries in the same order, with its interval.

    An interval without 0 is a significant difference over these items.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        raise UsageError(f"a paired difference needs the same queries, not {len(a)} and {len(b)}")
    return cluster_interval(a - b, clusters, level=level, draws=draws, seed=seed)
