"""``hemline report``: results as one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, say


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Files that `hemline evaluate -o` wrote, or folders of them, of the same queries.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page: a .html file.")],
    images: Annotated[
        Path | None,
        typer.Option(help="The manifest that was measured; adds sheets of its images."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A run or bundle that was measured; adds where it looks in some of --images. May "
            "be repeated."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    json: JsonOption = False,
) -> None:
    """Write results side by side as one HTML page that needs no other file and no network.

    Figures with intervals and paired differences, recall curves, recall by gallery size and by
    group, NDCG, sheets of found and lost queries, the worst queries, attention maps.

    Example: hemline report results -o report.html --images data/manifest.parquet

    Example: hemline report results -o report.html --images m.parquet --model runs/ctxynet
    """
    from hemline.data.manifest import Manifest
    from hemline.errors import UsageError
    from hemline.evaluation.stored import read_results
    from hemline.views.run_report import write_report

    if output.suffix.lower() != ".html":
        raise UsageError(f"-o writes .html, not {output.name!r}")
    found = read_results(runs)
    manifest = None if images is None else Manifest.read(images)
    write_report(output, found, manifest, title=title, seed=seed, models=model or ())
    say(f"{len(found)} results: {output}")
    emit({"report": str(output), "results": [one.label for one in found]}, json, _print)


def _print(found: Mapping[str, Any]) -> None:
    """The line on standard error has said it."""


COMMANDS: Mapping[str, Callable[..., Any]] = {"report": report}
