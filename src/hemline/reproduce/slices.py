"""The rows and their differences for all queries, and for those that are alike in a column."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.stored import StoredResult
from hemline.reproduce.experiment import Experiment, Row
from hemline.reproduce.source import Source

Results = Mapping[str, Mapping[str, Sequence[StoredResult]]]
Mask = npt.NDArray[np.bool_]
#: What a column is called, where its name doesn't say it.
_WORDS = {"others": "other garments and accessories in the photo"}
#: Groups of a column of numbers, at most.
_GROUPS = 5


def slices_of(
    experiment: Experiment, results: Results, source: Source, label: str
) -> dict[str, Any]:
    """The JSON under ``slices``: column → ``words`` and ``groups``, of which the first is all
    queries. A group has ``queries``, and of each row the ``measured`` figures and, where the row
    builds on another, the paired difference (``gain``) of each; empty without such a column."""
    protocol = next(iter(source.parts))
    parts = source.parts[protocol]
    measured = {
        row: every[protocol] for row, every in results.items() if every.get(protocol)
    }  # fmt: skip
    found: dict[str, Any] = {}
    for column in experiment.slices:
        if column not in source.searched.names or not measured:
            continue
        asked = [np.asarray(part.manifest.column(column))[part.queries] for part in parts]
        whole = np.concatenate(asked)
        groups = {"all": np.ones(len(whole), bool), **grouped(whole)}
        found[column] = {
            "words": _WORDS.get(column, column),
            "protocol": protocol,
            "groups": {
                name: _group(mask, experiment, measured, label) for name, mask in groups.items()
            },
        }
    return found


def grouped(values: npt.NDArray[Any]) -> dict[str, Mask]:
    """Name of a group → its queries (Q,). Numbers are cut into at most five groups of about the
    same size, words are groups by themselves; an empty word or no number is in none."""
    if values.dtype.kind not in "fiu":
        words = values.astype(str)
        return {word: words == word for word in sorted(set(words.tolist())) if word}
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return {}
    whole = bool((known == known.round()).all())
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, _GROUPS + 1), method="nearest"))
    edges = [*cuts[:-1].tolist(), np.inf]
    groups = {}
    for low, high in itertools.pairwise(edges):
        mask = (values >= low) & (values < high)
        last = known.max() if high == np.inf else high - 1 if whole else high
        name = f"{low:g}" if last == low else f"{low:g} to {last:g}"
        groups[name] = mask
    return groups


def _group(
    mask: Mask, experiment: Experiment, measured: Mapping[str, Sequence[StoredResult]], label: str
) -> dict[str, Any]:
    rows = {}
    for row in experiment.rows:
        if row.name in measured:
            rows[row.name] = {
                measure: _figure(mask, row, measured, measure, label)
                for measure in experiment.measures
                if measure.startswith("recall@")
            }
    return {"queries": int(mask.sum()), "rows": rows}


def _figure(
    mask: Mask,
    row: Row,
    measured: Mapping[str, Sequence[StoredResult]],
    measure: str,
    label: str,
) -> dict[str, Any]:
    ours = _values(measured[row.name], measure)[mask]
    ranks = measured[row.name][0].rankings
    assert ranks is not None
    products = [one for one, kept in zip(ranks.products, mask.tolist(), strict=True) if kept]
    interval = cluster_interval(ours, products)
    figure: dict[str, Any] = {
        "value": interval.value, "low": interval.low, "high": interval.high, "label": label,
    }  # fmt: skip
    if row.over is not None and row.over[0] in measured:
        theirs = _values(measured[row.over[0]], measure)[mask]
        figure["gain"] = {
            "over": row.over[0], **paired_difference(ours, theirs, products)._asdict(),
        }  # fmt: skip
    return figure


def _values(runs: Sequence[StoredResult], measure: str) -> npt.NDArray[np.float64]:
    """(Q,) the mean over seeds."""
    values: npt.NDArray[np.float64] = np.mean(
        [one.rankings.measure(measure) for one in runs if one.rankings], axis=0
    )
    return values


def sliced_table(found: Mapping[str, Any]) -> list[str]:
    """The lines of a table for each column."""
    lines = []
    for one in found.get("slices", {}).values():
        names = list(one["groups"])
        heads = [f"{name} ({one['groups'][name]['queries']:,} queries)" for name in names]
        lines += ["", f"By {one['words']}:", ""]
        lines += [_line(["system", "measure", *heads]), _line(["---"] * (len(names) + 2))]
        for row in next(iter(one["groups"].values()))["rows"]:
            for measure in next(iter(one["groups"].values()))["rows"][row]:
                figures = [one["groups"][name]["rows"][row][measure] for name in names]
                lines.append(_line([row, measure, *map(_share, figures)]))
                if "gain" in figures[0]:
                    over = f"{row} over {figures[0]['gain']['over']}"
                    gains = [_gain(figure["gain"]) for figure in figures]
                    lines.append(_line([over, measure, *gains]))
    return lines


def ladder_table(found: Mapping[str, Any]) -> list[str]:
    """The lines of a table of recall@20 by the size of the gallery."""
    rows = {
        row["name"]: one["ladder"]
        for row in found["rows"]
        for one in row["protocols"].values()
        if one.get("ladder")
    }
    if not rows:
        return []
    sizes = [size for size, _ in next(iter(rows.values()))]
    lines = ["", f"recall@20 by pictures in the gallery, {found['label']}:", ""]
    lines += [_line(["system", *(f"{size:,}" for size in sizes)])]
    lines += [_line(["---"] * (len(sizes) + 1))]
    for name, steps in rows.items():
        lines.append(_line([name, *(f"{share:.3f}" for _, share in steps)]))
    return lines


def groups_table(found: Mapping[str, Any]) -> list[str]:
    """The lines of a table of recall@1 and recall@20 by category, pose or part, of an experiment
    that is drawn so."""
    rows = {
        row["name"]: one
        for row in found["rows"]
        for one in row["protocols"].values()
        if one.get("groups")
    }
    if found.get("drawn") != "groups" or not rows:
        return []
    one = next(iter(rows.values()))
    heads = [f"{row}, {measure}" for row in rows for measure in ("recall@1", "recall@20")]
    lines = ["", _line([one["by"], "queries", *heads]), _line(["---"] * (len(heads) + 2))]
    for name, group in one["groups"].items():
        cells = [
            f"{figures['groups'][name][measure]:.3f}" if name in figures["groups"] else "–"
            for figures in rows.values()
            for measure in ("recall@1", "recall@20")
        ]
        lines.append(_line([name, f"{group['queries']:,}", *cells]))
    return lines


def _share(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def _gain(gain: Mapping[str, Any]) -> str:
    return f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
