"""The report of an evaluation as one JSON object (docs/interfaces.md). Shares are 0-1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError
from hemline.evaluation.bootstrap import Interval, cluster_interval, paired_difference
from hemline.evaluation.leaks import Overlap, sentence
from hemline.evaluation.machine import machine
from hemline.evaluation.rankings import Rankings
from hemline.evaluation.result import NDCG_K, EvaluationResult
from hemline.ranking.metrics import KS, hits_at_k, recalls_at, reciprocal_ranks

#: The columns of AHBN's tables (TCSVT 31(8), 2021): Acc@k among images.
ACCURACY_KS = (1, 10, 20, 30, 40, 50)


def report(
    results: Sequence[EvaluationResult],
    *,
    ks: Sequence[int] = KS,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """The JSON of one model: one protocol, or several folds pooled over all their queries.

    Args:
        results: one for each fold; each query belongs to one of them.
        ks: of the recalls.
        seed: of the bootstrap.
        level: of the intervals, 0-1.

    Raises:
        UsageError: no result.
    """
    if not results:
        raise UsageError("no outcome to report")
    one = results[0]
    items = [item for result in results for item in result.items]
    intervals = {
        name: cluster_interval(values, items, seed=seed, level=level)
        for name, values in per_query(results, ks).items()
    }
    gallery = np.unique(np.concatenate([result.protocol.gallery for result in results]))
    fingerprints = {result.fingerprint for result in results}
    found: dict[str, Any] = {name: interval.value for name, interval in intervals.items()}
    found |= {
        "queries": len(items),
        "products_asked": len(set(items)),
        "gallery": len(gallery),
        "gallery_products": len(set(np.asarray(one.protocol.manifest.column("item_id"))[gallery])),
        "unmatched": sum(result.protocol.unmatched for result in results),
        "training_overlap": together(results).as_json(),
        "protocol": _choices(results),
        "model": one.model,
        "fingerprint": one.fingerprint if len(fingerprints) == 1 else "several",
        "data_fingerprint": one.protocol.manifest.fingerprint(),
        "intervals": {name: [i.low, i.high] for name, i in intervals.items()},
        "interval": {
            "level": level,
            "method": "bootstrap over products, percentiles",
            "draws": 2000,
            "seed": seed,
        },
        "categories": by_group(results, _categories(results)),
        "skipped": [
            {"path": path, "reason": reason}
            for path, reason in sorted({pair for result in results for pair in result.skipped})
        ],
        "seconds": {
            name: round(sum(result.seconds.get(name, 0.0) for result in results), 3)
            for name in one.seconds
        },
        "machine": machine(),
    }
    found |= _where_they_apply(results, ks)
    return found | {"rankings": Rankings.of(results).to_json()}


def _where_they_apply(results: Sequence[EvaluationResult], ks: Sequence[int]) -> dict[str, Any]:
    """``search``, ``detected``, ``first_search``, the papers' figures, folds and parts."""
    one = results[0]
    found: dict[str, Any] = {}
    if one.dimensions:
        spent = sum(result.search_seconds for result in results)
        asked = sum(len(result.ranks) for result in results)
        found["search"] = {
            "dimensions": one.dimensions,
            "processor_seconds_per_1000": round(1000 * spent / max(1, asked), 4),
        }
    if one.started_from:
        found["started_from"] = one.started_from
    if one.detected:
        found["detected"] = {
            side: float(np.mean([result.detected[side] for result in results]))
            for side in one.detected
        }
    if one.catalog:
        found["catalog"] = one.catalog
    first = [result.first_ranks for result in results if result.first_ranks is not None]
    if len(first) == len(results):
        found["first_search"] = recalls_at(np.concatenate(first), ks)
    unseen = [result.unseen_ranks for result in results]
    if any(ranks is not None for ranks in unseen):
        pairs = zip(unseen, results, strict=True)
        ranks = [result.ranks if some is None else some for some, result in pairs]
        found["without_trained_distractors"] = recalls_at(np.concatenate(ranks), ks)
    found |= in_papers_terms(results, ks)
    if one.protocol.group is not None or len(results) > 1:
        found |= _parts(results, ks)
    return found


def _parts(results: Sequence[EvaluationResult], ks: Sequence[int]) -> dict[str, Any]:
    """``folds``: each one's recall; ``parts`` and their mean where each is a figure of its own."""
    each = [
        {
            "name": o.protocol.name,
            "queries": len(o.ranks),
            "gallery": len(o.protocol.gallery),
            "fingerprint": o.fingerprint,
            **recalls_at(o.ranks, _with_shown(ks)),
        }
        for o in results
    ]
    parts = results[0].protocol.group
    if parts is None or parts.kind == "folds":
        return {"folds": each} if len(each) > 1 else {}
    names = [f"recall@{k}" for k in _with_shown(ks)]
    mean = {name: float(np.mean([part[name] for part in each])) for name in names}
    return {"parts": each, "mean_of_parts": mean}


def _with_shown(ks: Sequence[int]) -> tuple[int, ...]:
    """``ks`` with the 1 and 20 of tables by part, category and column."""
    return tuple(sorted({*ks, 1, 20}))


def in_papers_terms(results: Sequence[EvaluationResult], ks: Sequence[int] = KS) -> dict[str, Any]:
    """Figures to compare with papers: ``pictures`` has recall among the first k images, not items;
    ``accuracy`` is the same at the columns of AHBN's tables, of the protocols that it measured;
    ``ladder`` recall by the size of the gallery; ``published`` figures not measured here."""
    images = [result.image_ranks for result in results if result.image_ranks is not None]
    counted = len(images) == len(results)
    found: dict[str, Any] = {}
    if counted:
        ranks = np.concatenate(images)
        found["pictures"] = recalls_at(ranks, ks)
        if any(entry.source.startswith("AHBN") for entry in results[0].protocol.published):
            found["accuracy"] = {f"acc@{k}": float(hits_at_k(ranks, k).mean()) for k in ACCURACY_KS}
    one = results[0]
    if one.ranks_by_size:
        sizes = {**one.ranks_by_size, len(one.protocol.gallery): one.ranks}
        found["ladder"] = [
            {"gallery": size, **recalls_at(ranks, sorted({*ks, 20}))}
            for size, ranks in sorted(sizes.items())
        ]
    if one.protocol.published:
        found["published"] = [entry._asdict() for entry in one.protocol.published]
    return found


def per_query(
    results: Sequence[EvaluationResult], ks: Sequence[int] = KS
) -> dict[str, npt.NDArray[np.float64]]:
    """Every metric before it is averaged: name → (Q,) over all queries of all folds."""
    ranks = np.concatenate([result.ranks for result in results])
    figures = {f"recall@{k}": hits_at_k(ranks, k) for k in ks}
    figures["mrr"] = reciprocal_ranks(ranks)
    each = [r.average_precision for r in results if r.average_precision is not None]
    if len(each) == len(results):
        figures["map"] = np.concatenate(each)
    ndcg = [result.ndcg for result in results if result.ndcg is not None]
    if len(ndcg) == len(results):
        figures[f"ndcg@{NDCG_K}"] = np.concatenate(ndcg)
    if results[0].protocol.measures and all(r.right_total is not None for r in results):
        kept = Rankings.of(results)
        figures |= {name: kept.measure(name) for name in results[0].protocol.measures}
    return figures


def compare(
    ours: Sequence[EvaluationResult],
    theirs: Sequence[EvaluationResult],
    *,
    ks: Sequence[int] = KS,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Ours minus theirs on the same queries, each metric with its interval.

    Raises:
        UsageError: the two have different queries.
    """
    for a, b in zip(ours, theirs, strict=True):
        if not np.array_equal(a.protocol.queries, b.protocol.queries):
            raise UsageError(f"{a.model} and {b.model} have different queries; nothing to compare")
    items = [item for result in ours for item in result.items]
    mine, other = per_query(ours, ks), per_query(theirs, ks)
    differences: dict[str, Interval] = {
        name: paired_difference(mine[name], other[name], items, seed=seed, level=level)
        for name in mine
        if name in other
    }
    return {
        "model": theirs[0].model,
        "fingerprint": theirs[0].fingerprint,
        "training_overlap": together(theirs).as_json(),
        **({"started_from": theirs[0].started_from} if theirs[0].started_from else {}),
        **{name: float(values.mean()) for name, values in other.items()},
        "difference": {name: interval._asdict() for name, interval in differences.items()},
    }


def together(results: Sequence[EvaluationResult]) -> Overlap:
    """The overlap with training of all folds or categories."""
    each = [result.overlap for result in results]
    counts = {
        f.name: sum(getattr(one, f.name) for one in each)
        for f in fields(Overlap)
        if f.type == "int"
    }
    return replace(
        each[0],
        **counts,
        allowed=any(one.allowed for one in each),
        unrecorded=tuple(dict.fromkeys(name for one in each for name in one.unrecorded)),
    )


def by_group(
    results: Sequence[EvaluationResult], groups: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Queries and recall of each group (Q,), by name; an empty name is left out."""
    ranks = np.concatenate([result.ranks for result in results])
    rows: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        if group:
            rows[group].append(row)
    return {
        group: {"queries": len(rows[group]), **recalls_at(ranks[rows[group]], (1, 20))}
        for group in sorted(rows)
    }


def by_column(results: Sequence[EvaluationResult], column: str) -> dict[str, dict[str, Any]]:
    """Recall by a column of the manifest: by value, or by quarters of a number.

    Synthetic data has a column for the strength of each disturbance of an image.

    Raises:
        UsageError: there is no such column, or it is a list.
    """
    values: list[Any] = []
    for result in results:
        whole = result.protocol.manifest.column(column)
        if isinstance(whole, list):
            raise UsageError(f"column {column!r} holds lists; slices need a number or a word")
        values.extend(np.asarray(whole)[result.protocol.queries].tolist())
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or len(set(numbers)) <= 6:
        return by_group(results, ["" if v is None else str(v) for v in values])
    array = np.asarray(values, np.float64)
    known = array[np.isfinite(array)]
    if len(known) == 0:
        return {}
    edges = np.unique(np.quantile(known, [0.0, 0.25, 0.5, 0.75, 1.0]))
    places = np.clip(np.searchsorted(edges, array, side="right") - 1, 0, max(0, len(edges) - 2))
    places = np.where(np.isfinite(array), places, -1)
    names = {-1: ""}
    for place in set(places[places >= 0].tolist()):
        # Of its own numbers: ranges of whole ones would share their ends.
        low, high = (
            f"{end:.3g}" for end in (array[places == place].min(), array[places == place].max())
        )
        names[place] = low if low == high else f"{low} to {high}"
    return by_group(results, [names[place] for place in places.tolist()])


def _choices(results: Sequence[EvaluationResult]) -> dict[str, str]:
    overlap, stated = together(results), _of_protocol(results)
    if overlap.leaks and "items" in stated:
        stated["items"] += "; not so for this model, see trained_on"
    return {**stated, "trained_on": sentence(overlap)}


def _of_protocol(results: Sequence[EvaluationResult]) -> dict[str, str]:
    one = results[0].protocol
    if one.group is None or (len(results) == 1 and one.group.kind == "folds"):
        return dict(one.choices)
    crops = [result.protocol.choices["crop"] for result in results]
    same = {"crop": crops[0] if len(set(crops)) == 1 else crops[0].partition(" (")[0]}
    return {**one.choices, **same, **one.group.choices, "name": one.group.name}


def _categories(results: Sequence[EvaluationResult]) -> list[str]:
    columns = [np.asarray(r.protocol.manifest.column("category"), np.str_) for r in results]
    pairs = zip(columns, results, strict=True)
    return [name for column, r in pairs for name in column[r.protocol.queries].tolist()]
