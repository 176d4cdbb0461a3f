"""Before and after as figures with intervals, and thresholds of scores from what was kept out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hemline.adaptation.choose import TOP, Outcome
from hemline.bundle import ScoreThresholds
from hemline.evaluation.bootstrap import Interval, cluster_interval, paired_difference
from hemline.evaluation.calibrate import SHARES, threshold
from hemline.ranking.metrics import hits_at_k, reciprocal_ranks

#: The figure that decides whether the adapted bundle is better.
DECIDES = "mrr"


def compare(before: Outcome, after: Outcome, items: Sequence[str], seed: int) -> dict[str, Any]:
    """Figures of both, and their paired difference; ``better`` if the interval of the difference in
    mean reciprocal rank lies above 0.

    Args:
        items: (Q,) the item of each query; resampled by the bootstrap.
    """
    old, new = _per_query(before), _per_query(after)
    difference = {n: paired_difference(new[n], old[n], items, seed=seed) for n in new}
    return {
        "queries": len(items),
        "items": len(set(items)),
        "before": {n: _json(cluster_interval(v, items, seed=seed)) for n, v in old.items()},
        "after": {n: _json(cluster_interval(v, items, seed=seed)) for n, v in new.items()},
        "difference": {name: _json(interval) for name, interval in difference.items()},
        "better": bool(difference[DECIDES].low > 0),
    }


def _per_query(outcome: Outcome) -> dict[str, Any]:
    ranks = outcome.ranks
    return {
        "recall@1": hits_at_k(ranks, 1),
        "recall@5": hits_at_k(ranks, 5),
        "mrr": reciprocal_ranks(ranks),
    }


def _json(interval: Interval) -> dict[str, float]:
    return {name: round(value, 4) for name, value in interval._asdict().items()}


def comparison_table(compared: Mapping[str, Any]) -> list[str]:
    """The lines of a Markdown table of what `compare` gives."""
    parts = ("before", "after", "difference")
    lines = ["| | before | after | difference |", "|---|---|---|---|"]
    for figure in compared["after"]:
        cells = [
            f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
            for one in (compared[part][figure] for part in parts)
        ]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return lines


def thresholds(
    outcome: Outcome, gallery_items: int, items: Sequence[str] = ()
) -> ScoreThresholds | None:
    """The score thresholds of the photos that were kept out, as `hemline.evaluation.calibrate`
    measures them; None where too few hits are right."""
    have = np.isfinite(outcome.scores)
    scores, right = outcome.scores[have], outcome.right[have]
    least = {name: threshold(scores, right, share) for name, share in SHARES.items()}
    if any(value is None for value in least.values()):
        return None
    found = {name: round(float(value), 4) for name, value in least.items() if value is not None}
    precision = {n: round(float(right[scores >= value].mean()), 4) for n, value in found.items()}
    data = {
        "photos": len(outcome.ranks),
        "hits": int(have.sum()),
        "top": TOP,
        "gallery_products": gallery_items,
        "by": "hemline adapt, photos of items that their maps haven't seen",
        "items": list(items),
    }
    return ScoreThresholds(**found, precision=precision, data=data)
