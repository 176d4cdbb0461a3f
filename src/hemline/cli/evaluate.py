"""``hemline evaluate``: how often the right product comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._choices import Crop, Several, Unmatched, WithinCategory, choices
from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, say, to_json
from hemline.cli._probe import probe as run_probe
from hemline.cli._probe import tell_probe
from hemline.cli._protocol import PROTOCOL_NAMES
from hemline.errors import UsageError
from hemline.files import write_durable


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A run's folder, a bundle's folder, or the name of a shipped bundle."),
    ],
    manifest: Annotated[Path, typer.Argument(help="Whose photos ask and whose pictures answer.")],
    protocol: Annotated[
        str, typer.Option(help=f"{PROTOCOL_NAMES}. `hemline data protocol --list` explains them.")
    ] = "default",
    fold: Annotated[int | None, typer.Option(help="Only this fold, from 0.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model, asked the same queries: the paired difference. May be repeated."
        ),
    ] = None,
    crop: Crop = None,
    within_category: WithinCategory = None,
    several: Several = None,
    unmatched: Unmatched = None,
    rerank: Annotated[
        bool, typer.Option("--rerank/--no-rerank", help="Re-rank where the model does.")
    ] = True,
    slices: Annotated[
        list[str] | None,
        typer.Option(help="Recall by a column of the manifest too; may be given several times."),
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Write the failures as a sheet: .png or .html.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Keep the embeddings there; a second run reads them.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and of holdout's choice.")] = 0,
    share: Annotated[float, typer.Option(help="Of the products that holdout keeps out.")] = 0.2,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of one run.")] = None,
    probe: Annotated[
        str,
        typer.Option(help="tags: no search, but which tags can be seen on the pictures."),
    ] = "",
    probe_on: Annotated[str, typer.Option(help="The pictures to probe: shop or street.")] = "shop",
    noise: Annotated[
        Path | None,
        typer.Option(
            help="With --probe tags: write those that can't be seen, for data tags --drop."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure a model: recall, mean reciprocal rank, mAP and NDCG with their intervals.

    Example: hemline evaluate runs/tagynet data/manifest.parquet --against runs/ynet
    Example: hemline evaluate atelier tagged.parquet --probe tags --noise noise.txt
    """
    if probe or noise is not None:
        if not probe or against or slices or errors is not None:
            raise UsageError(
                "--probe tags stands alone or with --probe-on, --noise, --crop, --cache, --seed, "
                "--threads and -o; --noise needs it"
            )
        boxes = crop == "box"
        seen = run_probe(
            probe, model, manifest, probe_on, noise, boxes=boxes, cache=cache, seed=seed,
            threads=threads,
        )  # fmt: skip
        if output is not None:
            _write_json(seen, output)
        emit(seen, json, tell_probe)
        return
    from hemline.data.manifest import Manifest
    from hemline.datasets import build
    from hemline.evaluation.model import open_encoder
    from hemline.evaluation.report import by_column, compare, report
    from hemline.evaluation.run import EvaluationResult
    from hemline.evaluation.run import evaluate as measure
    from hemline.views.report_table import table

    if errors is not None and errors.suffix.lower() not in (".png", ".html"):
        raise UsageError(f"--errors writes .png or .html, not {errors.name!r}")
    rows = Manifest.read(manifest)
    chosen = choices(crop, within_category, several, unmatched, fold, share, seed)
    parts = build(protocol, rows, chosen)
    columns = tuple(dict.fromkeys([*(slices or ()), *parts[0].slices]))
    for column in columns:
        rows.column(column)  # an unknown one fails before the work, not after

    def run(name: str) -> list[EvaluationResult]:
        encoder = open_encoder(name, threads)
        found = []
        for part in parts:
            with progress(f"{encoder.name}, {part.name}") as advance:
                found.append(measure(encoder, part, rerank=rerank, cache=cache, advance=advance))
        return found

    with natives_hushed():
        ours = run(model)
        result = report(ours, seed=seed)
        if against:
            result["against"] = [compare(ours, run(other), seed=seed) for other in against]
    if columns:
        result["slices"] = {column: by_column(ours, column) for column in columns}
    if errors is not None:
        _write_errors(ours, errors)
        result["errors"] = str(errors)
    if output is not None:
        _write_json(result, output)
    emit(result, json, lambda r: table(r, out))


def _write_errors(outcomes: list[Any], path: Path) -> None:
    from hemline.views.failures import failures
    from hemline.views.sheet import write_page, write_sheet

    rows = failures(outcomes)
    if not rows:
        say("no failure to show")
    write: Callable[..., None] = write_sheet if path.suffix.lower() == ".png" else write_page
    write(path, rows, title=f"{outcomes[0].model}: photos whose product was not first")
    say(f"{len(rows)} failures: {path}")


def _write_json(result: Mapping[str, Any], path: Path) -> None:
    write_durable(path, to_json(result, indent=2) + "\n")


COMMANDS: Mapping[str, Callable[..., Any]] = {"evaluate": evaluate}
