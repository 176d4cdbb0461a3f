"""Area under the ROC curve and average precision within folds, and the area's bootstrap.

Pairs are compared within a fold only: scores of different folds come from different classifiers,
and pooling them biases the area of a tag that nothing predicts below one half.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hemline.ranking.metrics import average_precision

Floats = npt.NDArray[np.float64]
#: Most weights in memory at once.
_CELLS = 8_000_000


class FoldedArea:
    """The area of one tag, from scores (N,), labels (N,) bool and folds (N,) of N items."""

    def __init__(self, scores: Floats, labels: npt.NDArray[np.bool_], folds: npt.NDArray[np.int64]):
        self.size = len(scores)
        self.parts = []
        for fold in np.unique(folds):
            rows = np.flatnonzero(folds == fold)
            order = rows[np.argsort(scores[rows], kind="stable")]
            truth = labels[order]
            if truth.all() or not truth.any():
                continue
            values = scores[order]
            self.parts.append(
                (
                    order,
                    truth,
                    np.searchsorted(values, values[truth], "left"),
                    np.searchsorted(values, values[truth], "right"),
                )
            )

    def value(self) -> float:
        """Share (0-1) of pairs in the right order, a tie counting half; NaN without pairs."""
        return float(self.weighted(np.ones((1, self.size)))[0])

    def weighted(self, weights: Floats) -> Floats:
        """The area (B,) for each of B weightings (B, N) of the items."""
        right = np.zeros(len(weights))
        pairs = np.zeros(len(weights))
        for order, truth, below, upto in self.parts:
            mine = weights[:, order]
            negative = np.where(truth, 0.0, mine)
            sums = np.concatenate([np.zeros((len(mine), 1)), np.cumsum(negative, 1)], 1)
            positive = mine[:, truth]
            right += (positive * (sums[:, below] + sums[:, upto])).sum(1) / 2.0
            pairs += positive.sum(1) * sums[:, -1]
        with np.errstate(invalid="ignore"):
            return np.where(pairs > 0, right / pairs, np.nan)

    def interval(self, draws: int, level: float, rng: np.random.Generator) -> tuple[float, float]:
        """Percentiles of the area over resampled items."""
        found = []
        step = max(1, _CELLS // max(1, self.size))
        chances = np.full(self.size, 1.0 / self.size)
        for start in range(0, draws, step):
            counts = rng.multinomial(self.size, chances, min(step, draws - start))
            found.append(self.weighted(counts.astype(np.float64)))
        tail = (1.0 - level) / 2.0
        low, high = np.nanquantile(np.concatenate(found), [tail, 1.0 - tail])
        return float(low), float(high)

    def chance_spread(self) -> float:
        """Standard deviation of the area of random scores (Mann and Whitney, 1947)."""
        variance, pairs = 0.0, 0
        for _, truth, _, _ in self.parts:
            ones, zeros = int(truth.sum()), int((~truth).sum())
            variance += ones * zeros * (ones + zeros + 1) / 12.0
            pairs += ones * zeros
        return math.sqrt(variance) / pairs if pairs else math.nan


def folded_average_precision(
    scores: Floats, labels: npt.NDArray[np.bool_], folds: npt.NDArray[np.int64]
) -> float:
    """`average_precision` within each fold, weighted by its positives; NaN without any."""
    total = 0.0
    for fold in np.unique(folds):
        rows = folds == fold
        total += average_precision(-scores[rows], labels[rows]) * np.count_nonzero(labels[rows])
    return float(total / labels.sum()) if labels.any() else math.nan
