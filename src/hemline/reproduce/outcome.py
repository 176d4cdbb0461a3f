"""An experiment's figures: what was measured beside what is published, as JSON and Markdown."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.protocol import Protocol
from hemline.errors import UsageError
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.machine import machine
from hemline.evaluation.stored import StoredResult
from hemline.reproduce.experiment import Experiment, Row
from hemline.reproduce.slices import groups_table, ladder_table, sliced_table
from hemline.reproduce.source import Source

Results = Mapping[str, Mapping[str, Sequence[StoredResult]]]

#: k of the curves.
CURVE = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100)
NOT_AVAILABLE = "not available"


def per_query(results: Sequence[StoredResult], measure: str) -> npt.NDArray[np.float64]:
    """(S, Q) of a measure, for each seed and query."""
    return np.stack([one.rankings.measure(measure) for one in results if one.rankings])


def told(values: npt.NDArray[np.float64], products: Sequence[str], label: str) -> dict[str, Any]:
    """Mean over seeds and queries of (S, Q), its interval over products, each seed's own mean."""
    interval = cluster_interval(values.mean(axis=0), products)
    return {
        "value": float(values.mean()),
        "low": interval.low,
        "high": interval.high,
        "seeds": [float(one.mean()) for one in values],
        "label": label,
    }


def row_of(
    row: Row, experiment: Experiment, results: Results, label: str, why: str
) -> dict[str, Any]:
    """A row of the JSON."""
    found: dict[str, Any] = {"name": row.name, "recipe": row.recipe or None, "protocols": {}}
    for protocol, runs in results.get(row.name, {}).items():
        ranks = runs[0].rankings
        assert ranks is not None
        one = runs[0].found
        measured = {name: _figure(runs, name, label) for name in experiment.measures}
        figures: dict[str, Any] = {
            "measured": measured,
            "results": [run.path.name for run in runs],
            "runs": [run.found["run"] for run in runs],
            "started_from": one.get("started_from", ""),
            "dim": one.get("dim"),
        }
        if runs[0].leak:
            figures["leak"] = runs[0].leak
        if one.get("ladder"):
            figures["ladder"] = _ladder(runs)
        figures["curve"] = _curve(runs)
        figures["groups"], figures["by"] = _groups(runs, experiment.by)
        found["protocols"][protocol] = figures
    found["published"] = _labelled(row.published)
    if row.note:
        found["note"] = row.note
    if not found["protocols"]:
        found["not_measured"] = why
    return found | _gain(row, experiment, results, label)


def _figure(runs: Sequence[StoredResult], measure: str, label: str) -> dict[str, Any]:
    ranks = runs[0].rankings
    assert ranks is not None
    if measure == "increase":
        steps = _ladder(runs) if runs[0].found.get("ladder") else []
        least = steps[-1][1] if steps else 0.0
        value = steps[0][1] / least - 1 if least else None
        return {"value": value, "low": None, "high": None, "label": label}
    try:
        return told(per_query(runs, measure), ranks.products, label)
    except UsageError as error:  # NDCG of data without tags
        return {"value": None, "why": str(error), "label": label}


def _gain(row: Row, experiment: Experiment, results: Results, label: str) -> dict[str, Any]:
    """The paired difference from the row below it in the paper's ladder."""
    if row.over is None:
        return {}
    other, published = row.over
    gain: dict[str, Any] = {"over": other, "published": published, "measured": {}}
    for protocol, ours in results.get(row.name, {}).items():
        theirs = results.get(other, {}).get(protocol, ())
        if not theirs or ours[0].rankings is None:
            continue
        measure = experiment.measures[0]
        known = _published_gain(row, experiment, protocol) if published is None else published
        found = paired_difference(
            per_query(ours, measure).mean(axis=0),
            per_query(theirs, measure).mean(axis=0),
            ours[0].rankings.products,
        )
        gain["measured"][protocol] = {**found._asdict(), "label": label, "published": known}
    return {"gain": gain}


def _published_gain(row: Row, experiment: Experiment, protocol: str) -> float | None:
    """The difference of the first measure, where the figures of both rows are published."""
    assert row.over is not None
    other = next(one for one in experiment.rows if one.name == row.over[0])
    ours, theirs = (
        published_of(_labelled(one.published), experiment.measures[0], protocol)
        for one in (row, other)
    )
    return None if ours is None or theirs is None else ours - theirs


def _labelled(published: Mapping[str, float | None]) -> dict[str, dict[str, Any]]:
    return {name: {"value": value, "label": "published"} for name, value in published.items()}


def _curve(runs: Sequence[StoredResult]) -> list[list[float]]:
    most = runs[0].found["gallery_products"]
    ks = [k for k in CURVE if k <= most] or [1]
    return [[k, float(per_query(runs, f"recall@{k}").mean())] for k in ks]


def _ladder(runs: Sequence[StoredResult]) -> list[list[float]]:
    steps = [[step["recall@20"] for step in run.found["ladder"]] for run in runs]
    sizes = [step["gallery"] for step in runs[0].found["ladder"]]
    means = np.mean(steps, axis=0).tolist()
    return [[size, share] for size, share in zip(sizes, means, strict=True)]


def _groups(runs: Sequence[StoredResult], by: str) -> tuple[dict[str, Any], str]:
    """Recall by category, by another column or by the parts of a protocol, of the first run; by
    category where the protocol doesn't tell the column apart."""
    one = runs[0].found
    known = {"category": one["categories"], **one.get("slices", {})}
    if one.get("parts"):
        known["category"] = {part["name"].rpartition("/")[2]: part for part in one["parts"]}
    told_by = by if known.get(by) else "category"
    return {
        name: {key: group[key] for key in ("queries", "recall@1", "recall@20")}
        for name, group in known[told_by].items()
    }, told_by


def outcome(
    name: str,
    experiment: Experiment,
    source: Source,
    rows: Sequence[Mapping[str, Any]],
    scale: Mapping[str, Any],
) -> dict[str, Any]:
    """The JSON of an experiment."""
    parts = [part for every in source.parts.values() for part in every]
    return {
        "format": "hemline-reproduce",
        "name": name,
        "title": experiment.title,
        "paper": experiment.paper,
        "note": experiment.note,
        "when": time.strftime("%Y-%m-%d"),
        "data": {
            "words": source.words,
            "own": source.own,
            "fingerprint": source.searched.fingerprint(),
            "queries": max(sum(map(_queries, every)) for every in source.parts.values()),
            "gallery": max(len(part.gallery) for part in parts),
        },
        "protocols": {
            protocol: [dict(part.choices) for part in every]
            for protocol, every in source.parts.items()
        },
        "interval": {"level": 0.95, "method": "bootstrap over products, percentiles"},
        "machine": machine(),
        **scale,
        "rows": list(rows),
    }


def _queries(part: Protocol) -> int:
    return len(part.queries)


def markdown(found: Mapping[str, Any], measures: Sequence[str]) -> str:
    """The table, with what it was measured on above it."""
    several = len(found["protocols"]) > 1
    head = ["system", *(["protocol"] if several else [])]
    for measure in measures:
        head += [f"{measure}, {found['label']}", f"{measure}, published"]
    gains = any("gain" in row for row in found["rows"])
    head += ["difference, measured", "published"] if gains else []
    lines = [_about(found), "", _line(head), _line(["---"] * len(head))]
    notes = [found["note"]] if found["note"] else []
    for row in found["rows"]:
        for protocol in row["protocols"] or found["protocols"]:
            cells = [row["name"], *([protocol] if several else [])]
            figures = row["protocols"].get(protocol, {})
            for measure in measures:
                cells.append(_cell(figures.get("measured", {}).get(measure)))
                cells.append(_published(row["published"], measure, protocol))
            if gains:
                cells += _gain_cells(row, protocol)
            lines.append(_line(cells))
            notes += [f"{row['name']}: {figures['leak']}"] if "leak" in figures else []
        if "not_measured" in row:
            notes.append(f"{row['name']} was not measured: {row['not_measured']}.")
        notes += [f"{row['name']}: {row['note']}."] if "note" in row else []
    notes += _starts(found["rows"])
    if not found["rows"]:
        lines = lines[:1]
    lines += ["", *_drawing(found.get("drawing", {})), *_labels(found), *sliced_table(found)]
    lines += [*_further(found), *ladder_table(found), *groups_table(found)]
    return "\n".join([*lines, "", *(f"- {note}" for note in dict.fromkeys(notes))]).strip() + "\n"


def _starts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the rows' trainings began from; rows of one start together."""
    by_start: dict[str, list[str]] = {}
    for row in rows:
        for figures in row["protocols"].values():
            if figures.get("started_from"):
                names = by_start.setdefault(figures["started_from"], [])
                names += [row["name"]] if row["name"] not in names else []
    return [f"Began from {start}: {', '.join(names)}." for start, names in by_start.items()]


def _labels(found: Mapping[str, Any]) -> list[str]:
    """Each tag's name and each landmark as the rows predict them, as AHBN's Figures 4 and 5."""
    lines = []
    for whole, each, key, words in (
        ("attribute_map", "attribute_types", "map", "mean average precision of a name's tags"),
        ("landmark_error", "landmarks", "nme", "error, as a share of the image's side"),
    ):
        rows = {name: one for name, one in found.get("labels", {}).items() if whole in one}
        if not rows:
            continue
        names = list(dict.fromkeys(name for one in rows.values() for name in one[each]))
        title = f"{whole.replace('_', ' ')}: {words}; {found['label']}"
        lines += ["", _line([title, "all", *names]), _line(["---"] * (len(names) + 2))]
        for row, one in rows.items():
            shares = {name: value[key] for name, value in one[each].items()}
            cells = [f"{shares[name]:.3f}" if name in shares else "–" for name in names]
            lines.append(_line([row, f"{one[whole]:.3f}", *cells]))
    return lines


def _further(found: Mapping[str, Any]) -> list[str]:
    """What a row has beside the measures of the paper, and what validation chose for it."""
    rows = {
        row["name"]: one
        for row in found["rows"]
        for one in row["protocols"].values()
        if one.get("further")
    }
    if not rows:
        return []
    names = list(dict.fromkeys(name for one in rows.values() for name in one["further"]))
    lines = ["", _line([f"further, {found['label']}", *names]), _line(["---"] * (len(names) + 1))]
    for row, one in rows.items():
        lines.append(_line([row, *(_cell(one["further"].get(name)) for name in names)]))
    for row, one in rows.items():
        chosen = {name: one for name, one in one.get("chosen", {}).items() if name != "validation"}
        words = ", ".join(f"{name} {value}" for name, value in chosen.items())
        lines += ["", f"{row}, chosen by validation: {words}."] if chosen else []
    return lines


def _drawing(drawing: Mapping[str, Any]) -> list[str]:
    """What isn't a search: its bars as a table, its single numbers in a line each."""
    if "bars" in drawing:
        head = ["", f"{drawing['unit']}, {drawing['label']}", "published"]
        rows = [[name, f"{value:.3g}", NOT_AVAILABLE] for name, value in drawing["bars"].items()]
        return list(map(_line, [head, ["---"] * 3, *rows]))
    numbers = {name: value for name, value in drawing.items() if isinstance(value, float)}
    for name, value in drawing.items():
        if isinstance(value, dict) and name != "weights":
            numbers |= {f"{name}, {key}": one for key, one in value.items()}
    told = [
        f"- {name}: {value:.3f}, {drawing['label']}; published: {NOT_AVAILABLE}"
        for name, value in numbers.items()
    ]
    return [*told, f"- {drawing['words']}."] if "words" in drawing else told


def _about(found: Mapping[str, Any]) -> str:
    data, seeds = found["data"], found["seeds"]
    own = "the paper's own data" if data["own"] else "not the paper's data"
    title = f"**{found['title']}** ({found['paper']}). Scale {found['scale']}"
    if not found["rows"]:
        return f"{title}; {found['machine']['processor']}, {found['when']}."
    epochs = f"{found['epochs']} epochs; " if found.get("epochs") else ""
    if found.get("settings"):
        epochs += f"{', '.join(found['settings'])}; "
    return (
        f"{title}: {data['words']} "
        f"({own}); {epochs}{data['queries']:,} queries, {data['gallery']:,} gallery pictures; "
        f"seeds {', '.join(map(str, seeds))}; intervals 95 %, over products; "
        f"{found['machine']['processor']}, {found['when']}. Published figures are the paper's, on "
        "its own data."
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def published_of(published: Mapping[str, Any], measure: str, protocol: str) -> float | None:
    """A published figure by ``recall@50``, or by ``recall@50 1k`` for a protocol ``…-1k``."""
    found = published.get(measure) or published.get(f"{measure} {protocol.rpartition('-')[2]}")
    return None if found is None else found["value"]


def _published(published: Mapping[str, Any], measure: str, protocol: str) -> str:
    value = published_of(published, measure, protocol)
    return NOT_AVAILABLE if value is None else f"{value:.3f}"


def _gain_cells(row: Mapping[str, Any], protocol: str) -> list[str]:
    if "gain" not in row:
        return ["", ""]
    gain = row["gain"]
    value = gain["measured"].get(protocol)
    told = f"{value['value']:+.3f} ({value['low']:+.3f} to {value['high']:+.3f})" if value else "–"
    published = gain["published"] if value is None else value["published"]
    known = NOT_AVAILABLE if published is None else f"{published:+.3f}"
    return [f"{told} over {gain['over']}", known]
