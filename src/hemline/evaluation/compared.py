"""Several results of the same queries, with paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hemline.errors import UsageError
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.stored import StoredResult, check_same_questions

_NO_INTERVAL = {"low": None, "high": None}


def compare_results(
    results: Sequence[StoredResult],
    measures: Sequence[str] = (),
    *,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Each result's figures, and its differences from the first on the same queries.

    Args:
        results: two or more of one protocol.
        measures: by `hemline.evaluation.rankings.MEASURES`; by default what all results report.
        seed: of the bootstrap over products.
        level: of the intervals, 0-1.

    Returns:
        ``protocol``, ``queries``, ``gallery``, ``measures``, ``interval``, ``results`` (each with
        ``label``, ``model``, ``fingerprint``, ``file``, ``figures`` and, where it was trained on
        queries, ``leak``) and ``differences`` (``of``, ``less`` and ``figures``). A figure has
        ``value``, ``low`` and ``high``; those of results without ranks, as earlier versions wrote
        them, have no interval of a difference.

    Raises:
        UsageError: one result, results of different queries, or a measure that one lacks.
        DataError: kept ranks are damaged.
    """
    if len(results) < 2:
        raise UsageError("a comparison needs two results or more")
    check_same_questions(results)
    names, base = list(measures) or _common(results), results[0]
    return {
        "protocol": dict(base.found["protocol"]),
        "queries": base.found["queries"],
        "gallery": base.found["gallery"],
        "measures": names,
        "interval": {
            "level": level,
            "method": "bootstrap over products, percentiles",
            "seed": seed,
        },
        "results": [
            {
                "label": one.label,
                "model": one.found["model"],
                "fingerprint": one.found["fingerprint"],
                "file": str(one.path),
                "figures": {name: figure(one, name, seed, level) for name in names},
                **({"leak": one.leak} if one.leak else {}),
            }
            for one in results
        ],
        "differences": [
            {
                "of": one.label,
                "less": base.label,
                "figures": {name: _difference(one, base, name, seed, level) for name in names},
            }
            for one in results[1:]
        ],
    }


def figure(one: StoredResult, name: str, seed: int = 0, level: float = 0.95) -> dict[str, Any]:
    """One measure of a result: ``value``, ``low``, ``high``.

    Raises:
        UsageError: the result doesn't have it.
    """
    stored = one.found["intervals"].get(name)
    if stored is not None and (one.rankings is None or one.found["interval"]["level"] == level):
        return {"value": one.found[name], "low": stored[0], "high": stored[1]}
    if one.rankings is None:
        raise UsageError(
            f"{one.label} has no {name}: it was written by an earlier version, which kept no "
            "ranks; evaluate again"
        )
    values, products = one.rankings.measure(name), one.rankings.products
    interval = cluster_interval(values, products, seed=seed, level=level)
    return interval._asdict()


def _difference(
    one: StoredResult, base: StoredResult, name: str, seed: int, level: float
) -> dict[str, Any]:
    if one.rankings is None or base.rankings is None:
        value = figure(one, name)["value"] - figure(base, name)["value"]
        return {"value": value, **_NO_INTERVAL}
    ours, theirs = one.rankings.measure(name), base.rankings.measure(name)
    found = paired_difference(ours, theirs, base.rankings.products, seed=seed, level=level)
    return {**found._asdict(), "queries_that_differ": int(np.count_nonzero(ours != theirs))}


def _common(results: Sequence[StoredResult]) -> list[str]:
    names = [set(one.found["intervals"]) for one in results]
    return [name for name in results[0].found["intervals"] if set.intersection(*names) >= {name}]
