"""``hemline evaluate``: how often the right product comes first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._choices import Crop, Several, Unmatched, WithinCategory, choices
from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, say, to_json
from hemline.cli._probe import print_probe, probe_tags
from hemline.cli._protocol import PROTOCOL_NAMES
from hemline.errors import UsageError
from hemline.files import write_durable

if TYPE_CHECKING:
    from hemline.evaluation.run import EvaluationResult

Model = Annotated[
    str,
    typer.Argument(
        help="A run's or a bundle's folder, the name of a shipped bundle, or a live catalogue's "
        "folder, whose answers are measured."
    ),
]
Rows = Annotated[Path, typer.Argument(help="A manifest with the queries and the gallery.")]
Name = Annotated[
    str, typer.Option(help=f"{PROTOCOL_NAMES}. `hemline data protocol --list` explains them.")
]
Fold = Annotated[int | None, typer.Option(help="Only this fold, counted from 0.")]
Against = Annotated[
    list[str] | None,
    typer.Option(help="Another model, for the paired difference. May be repeated."),
]
Rerank = Annotated[bool, typer.Option("--rerank/--no-rerank", help="Re-rank where the model does.")]
Slices = Annotated[
    list[str] | None, typer.Option(help="Recall by a column of the manifest. May be repeated.")
]
Ks = Annotated[
    str, typer.Option(help="The k of recall@k, with commas between them: any number from 1.")
]
Errors = Annotated[Path | None, typer.Option(help="Draw the failures as a sheet: .png or .html.")]
Cache = Annotated[
    Path | None, typer.Option(help="Folder that caches the embeddings for later runs.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap and of holdout's choice.")]
Share = Annotated[float, typer.Option(help="Share of the products that holdout keeps out.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads.")]
Probe = Annotated[
    str, typer.Option(help="tags: instead of searching, test which tags a linear probe finds.")
]
ProbeOn = Annotated[str, typer.Option(help="Images to probe: shop or street.")]
Noise = Annotated[
    Path | None,
    typer.Option(help="With --probe tags: write the tags not found, for data tags --drop."),
]
AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Also measure a model that was trained on queries; the result says so.",
    ),
]
Labels = Annotated[
    bool,
    typer.Option(
        "--labels",
        help="Also measure the tags and landmarks that a run predicts; reads each image twice.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")
]


def evaluate(
    model: Model,
    manifest: Rows,
    protocol: Name = "default",
    fold: Fold = None,
    against: Against = None,
    crop: Crop = None,
    within_category: WithinCategory = None,
    several: Several = None,
    unmatched: Unmatched = None,
    rerank: Rerank = True,
    slices: Slices = None,
    ks: Ks = "1,5,20,50",
    errors: Errors = None,
    cache: Cache = None,
    seed: Seed = 0,
    share: Share = 0.2,
    threads: Threads = None,
    probe: Probe = "",
    probe_on: ProbeOn = "shop",
    noise: Noise = None,
    allow_leak: AllowLeak = False,
    labels: Labels = False,
    output: Output = None,
    json: JsonOption = False,
) -> None:
    """Measure a model: recall, mean reciprocal rank, mAP and NDCG with their intervals.

    Example: hemline evaluate runs/tagynet data/manifest.parquet --against runs/ynet

    Example: hemline evaluate hemline-small tagged.parquet --probe tags --noise noise.txt
    """
    if probe or noise is not None:
        _check_probe(bool(probe) and not (against or slices or errors is not None))
        result = probe_tags(
            probe, model, manifest, probe_on, noise, boxes=crop == "box", cache=cache, seed=seed,
            threads=threads,
        )  # fmt: skip
        _finish(result, output, json, print_probe)
        return
    from hemline.evaluation import api

    _check_sheet(errors)
    wanted = _numbers(ks)
    chosen = choices(crop, within_category, several, unmatched, fold, share, seed)
    parts, columns = api.prepare(manifest, protocol, chosen, slices or ())

    run = partial(
        api.measure, parts=parts, rerank=rerank, cache=cache, threads=threads, progress=progress,
        allow_leak=allow_leak,
    )  # fmt: skip
    with natives_hushed():
        ours = run(model)
        result = api.full_report(ours, map(run, against or ()), columns, seed, wanted)
        if labels:
            result["labels"] = api.predictions(model, parts, progress)
    if errors is not None:
        _write_errors(ours, errors)
        result["errors"] = str(errors)
    _finish(result, output, json, _print)


def _check_probe(alone: bool) -> None:
    if not alone:
        raise UsageError(
            "--probe tags stands alone or with --probe-on, --noise, --crop, --cache, --seed, "
            "--threads and -o; --noise needs it"
        )


def _check_sheet(errors: Path | None) -> None:
    if errors is not None and errors.suffix.lower() not in (".png", ".html"):
        raise UsageError(f"--errors writes .png or .html, not {errors.name!r}")


def _numbers(ks: str) -> tuple[int, ...]:
    """``1,10,100`` → (1, 10, 100), rising, each once."""
    words = [word.strip() for word in ks.split(",")]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", word) for word in words):
        raise UsageError(
            f"--ks has numbers from 1 with commas between them, as 1,10,100: not {ks!r}"
        )
    return tuple(sorted({int(word) for word in words}))


def _write_errors(results: Sequence[EvaluationResult], path: Path) -> None:
    from hemline.evaluation.leaks import sentence
    from hemline.views.failures import failures
    from hemline.views.sheet import write_page, write_sheet

    rows = failures(results)
    if not rows:
        say("no failure to show")
    write: Callable[..., None] = write_sheet if path.suffix.lower() == ".png" else write_page
    title = f"{results[0].model}: photos whose product was not first"
    leaks = [sentence(result.overlap) for result in results if result.overlap.leaks]
    write(path, rows, title=f"{title}. {leaks[0]}" if leaks else title)
    say(f"{len(rows)} failures: {path}")


def _finish(
    result: Mapping[str, Any],
    output: Path | None,
    json: bool,
    words: Callable[[Mapping[str, Any]], None],
) -> None:
    if output is not None:
        write_durable(output, to_json(result, indent=2) + "\n")
    emit(result, json, words)


def _print(result: Mapping[str, Any]) -> None:
    from hemline.views.report_table import table

    table(result, out)


COMMANDS: Mapping[str, Callable[..., Any]] = {"evaluate": evaluate}
