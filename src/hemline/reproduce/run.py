"""`reproduce`: an experiment by name to a table, a plot and JSON; what was done is taken over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hemline.errors import UsageError, nearest
from hemline.files import write_durable
from hemline.progress import ProgressOf, no_progress
from hemline.reproduce import ahbn, darn, detectors, ours, plots, siamese, ynet
from hemline.reproduce.drawings import DRAWINGS
from hemline.reproduce.experiment import Experiment, Row
from hemline.reproduce.measure import Say, Workshop
from hemline.reproduce.outcome import markdown, outcome, row_of
from hemline.reproduce.scales import SCALES, Plan, Scale
from hemline.reproduce.slices import slices_of
from hemline.reproduce.source import Source, drawn, given, missing

EXPERIMENTS: Mapping[str, Experiment] = {
    **darn.EXPERIMENTS,
    **ynet.EXPERIMENTS,
    **siamese.EXPERIMENTS,
    **ahbn.EXPERIMENTS,
    **ours.EXPERIMENTS,
}
TABLE, PLOT, RESULT = "table.md", "plot.png", "result.json"


def _silent(line: str) -> None:
    """Says nothing."""


def reproduce(
    name: str,
    out: Path,
    *,
    scale: str = "bench",
    data: Path | None = None,
    data_format: str | None = None,
    protocol: str | None = None,
    runs: Sequence[str] = (),
    starts: Sequence[str] = (),
    detector: str = "",
    weights: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    products: int | None = None,
    epochs: int | None = None,
    distractors: int = 0,
    settings: Sequence[str] = (),
    threads: int | None = None,
    allow_leak: bool = False,
    say: Say = _silent,
    progress: ProgressOf = no_progress,
) -> dict[str, Any]:
    """Reruns a table or figure of a paper; goes on where it was stopped.

    Args:
        name, scale: of `EXPERIMENTS`; ``smoke``, ``bench`` or ``paper``.
        out: folder of data, runs and results; the outcome goes to ``out/NAME-SCALE``.
        data: the paper's own folder or a manifest; drawn images where None.
        data_format, protocol: instead of the paper's; names of `READERS` and `PROTOCOLS`.
        runs: finished runs or bundles: ``ROW=FOLDER``, or a folder of runs named as the rows.
        starts: ``ROW=RUN``, a finished run that the training of a row begins from.
        detector: a bundle whose detector crops what the paper's does; for others both sides.
        weights, only: ``NETWORK=FILE`` to start from; names of rows.
        seeds, products, epochs: of trainings, drawn data and rows; the scale's own by default.
        distractors: shop pictures of so many further products in a drawn gallery.
        settings: ``NAME=VALUE`` of every row's recipe, over all else; the outcome names them.
        threads, say, progress: of a bundle's graphs; as of `hemline.train`.
        allow_leak: also measure models that were trained on queries; the outcome says so.

    Returns:
        The JSON that is written.

    Raises:
        UsageError: no such name, scale, row or protocol, or a model that was trained on queries.
        DataError: the data can't be read or lacks what is needed.
    """
    experiment = find(name)
    sized, chosen = _scale(scale, products, epochs, settings), _chosen(experiment, only)
    given_runs = _runs(runs, experiment)
    source = _source(
        experiment, Path(out), sized, data, data_format, protocol, progress, detector, distractors
    )
    crop = "box" if detector else None if source.own else experiment.crop
    plan = Plan(sized, crop, _weights(weights), source.keep_out, source.extra)
    shop = Workshop(
        Path(out), source, plan, tuple(seeds) or sized.seeds, say, progress, *given_runs,
        _begun(starts, experiment), allow_leak, threads,
    )  # fmt: skip
    return _written(name, experiment, shop, chosen, Path(out) / f"{name}-{scale}")


def _written(
    name: str, experiment: Experiment, shop: Workshop, rows: Sequence[Row], folder: Path
) -> dict[str, Any]:
    """Measures, and writes table and JSON."""
    found = _measured(name, experiment, shop, rows, folder)
    write_durable(folder / TABLE, markdown(found, experiment.measures))
    write_durable(folder / RESULT, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return found | {"folder": str(folder)}


def _source(
    experiment: Experiment,
    out: Path,
    scale: Scale,
    data: Path | None,
    data_format: str | None,
    protocol: str | None,
    progress: ProgressOf,
    detector: str,
    distractors: int,
) -> Source:
    if distractors and (data is not None or experiment.drawn in ("time", "detectors")):
        raise UsageError("--distractors are drawn, and only for a search among drawn images")
    if data is not None:
        return given(experiment, Path(data), data_format, protocol, detector, out, progress)
    if data_format or protocol:
        raise UsageError("--format and --protocol say how --data is read; give that too")
    if experiment.drawn == "time":  # nothing of the images is measured
        made = drawn(experiment, SCALES["smoke"], out, progress)
        return replace(made, words="made-up vectors")
    return drawn(experiment, scale, out, progress, detector, distractors)


def _measured(
    name: str, experiment: Experiment, shop: Workshop, rows: Sequence[Row], folder: Path
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    label = shop.plan.scale.label
    told: dict[str, Any] = {
        "scale": shop.plan.scale.name, "label": label, "seeds": list(shop.seeds),
        "epochs": shop.plan.scale.epochs, "settings": list(shop.plan.scale.settings),
    }  # fmt: skip
    if experiment.drawn == "detectors":
        made, searched = detectors.rows(shop, experiment, rows)
        found = outcome(name, experiment, shop.source, made, told)
        found["data"] |= searched
        return found | _plotted(found, experiment, folder)
    lacks = {row.name: shop.lacks(row) for row in rows}
    results = {row.name: {} if lacks[row.name] else shop.results(row) for row in rows}
    made = [row_of(row, experiment, results, label, lacks[row.name]) for row in rows]
    if experiment.labels:
        measured = [row for row in rows if results[row.name]]
        labels = {row.name: shop.labels(row) for row in measured}
        told["labels"] = {row: found for row, found in labels.items() if "why" not in found}
    found = outcome(name, experiment, shop.source, made, told)
    found["drawn"] = experiment.drawn
    found["slices"] = slices_of(experiment, results, shop.source, label)
    if experiment.drawn in DRAWINGS:
        draw, itself = DRAWINGS[experiment.drawn]
        found["drawing"] = draw(shop, experiment, results, folder / PLOT)
        if itself:
            return found | {"files": [TABLE, PLOT, RESULT]}
    return found | _plotted(found, experiment, folder)


def _plotted(found: Mapping[str, Any], experiment: Experiment, folder: Path) -> dict[str, Any]:
    """The plot, or why there is none."""
    if not plots.available():
        why = "the plot needs matplotlib: pip install 'hemline[learn]'"
        return {"files": [TABLE, RESULT], "not_plotted": why}
    if not plots.entries(found) and "drawing" not in found:
        return {"files": [TABLE, RESULT], "not_plotted": "nothing was measured"}
    plots.plot(found, experiment, folder / PLOT)
    return {"files": [TABLE, PLOT, RESULT]}


def find(name: str) -> Experiment:
    """
    Raises:
        UsageError: there is no such experiment.
    """
    if name not in EXPERIMENTS:
        raise UsageError(f"there is no {name!r} to reproduce. {nearest(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]


def listed() -> list[dict[str, Any]]:
    """What each name is, needs and takes."""
    return [
        {
            "name": name,
            "title": one.title,
            "paper": one.paper,
            "data": one.data,
            "protocols": list(one.protocols),
            "needs": [f"protocol {protocol}" for protocol in missing(one)],
            "rows": [row.name for row in one.rows],
            "trainings": len(_trained(one.rows)),
            "not_trained": {row.name: row.instead for row in one.rows if row.instead},
            "measures": list(one.measures),
        }
        for name, one in EXPERIMENTS.items()
    ]


def _trained(rows: Sequence[Row]) -> set[str]:
    """Names of the rows that are trained at ``bench``, with those that they start from."""
    own = {row.name for row in rows if row.recipe}
    before = [row.start for row in rows if row.start is not None]
    return own | _trained(before) if before else own


def _scale(name: str, products: int | None, epochs: int | None, settings: Sequence[str]) -> Scale:
    if name not in SCALES:
        raise UsageError(f"no scale {name!r}. {nearest(name, SCALES)}")
    scale = SCALES[name]
    return replace(
        scale, products=products or scale.products, epochs=epochs or scale.epochs,
        settings=tuple(settings),
    )  # fmt: skip


def _chosen(experiment: Experiment, only: Sequence[str]) -> tuple[Row, ...]:
    names = [row.name for row in experiment.rows]
    for name in only:
        if name not in names:
            raise UsageError(f"it has no row {name!r}. {nearest(name, names)}")
    return tuple(row for row in experiment.rows if not only or row.name in only)


def _runs(words: Sequence[str], experiment: Experiment) -> tuple[dict[str, list[str]], list[Path]]:
    """``ROW=FOLDER`` by row, and the folders of runs."""
    names = [row.name for row in experiment.rows]
    taken: dict[str, list[str]] = {}
    folders = []
    for word in words:
        row, sign, place = word.partition("=")
        if sign and row in names:
            taken.setdefault(row, []).append(place)
        elif Path(word).is_dir():
            folders.append(Path(word))
        elif sign:
            raise UsageError(f"--runs {word}: there is no row {row!r}. {nearest(row, names)}")
        else:
            raise UsageError(f"--runs {word}: neither a folder of runs nor ROW=FOLDER")
    return taken, folders


def _begun(words: Sequence[str], experiment: Experiment) -> dict[str, Path]:
    """``ROW=RUN`` by row."""
    names = [row.name for row in experiment.rows if row.recipe]
    found = {}
    for word in words:
        row, sign, run = word.partition("=")
        if row not in names:
            raise UsageError(f"--start {word}: there is no row {row!r}. {nearest(row, names)}")
        if not sign or not (Path(run) / "recipe.json").is_file():
            raise UsageError(f"--start {word}: expected ROW=RUN with a run's folder")
        found[row] = Path(run).absolute()
    return found


def _weights(words: Sequence[str]) -> dict[str, Path]:
    found = {}
    for word in words:
        network, sign, file = word.partition("=")
        if not sign or not Path(file).is_file():
            raise UsageError(f"--weights {word}: expected NETWORK=FILE with a file that is there")
        found[network] = Path(file).absolute()
    return found
