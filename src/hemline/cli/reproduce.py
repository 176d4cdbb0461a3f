"""``hemline reproduce``: a paper's table or figure, measured beside what is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, progress, say
from hemline.errors import UsageError

Name = Annotated[
    str | None, typer.Argument(help="A table or figure of --list.", show_default=False)
]
Show = Annotated[
    bool, typer.Option("--list", help="List the names, with what each needs and takes.")
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder of data, runs and results, which all names share."),
]
Scale = Annotated[
    str,
    typer.Option(
        help="smoke (seconds; shows that it works), bench (hours on two cores) or paper (as "
        "published; days on an accelerator)."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="The paper's own data set, or a manifest; drawn images without."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Format of --data where it isn't the paper's, as grocery."),
]
Protocol = Annotated[str | None, typer.Option(help="Protocol for --data, instead of the paper's.")]
Runs = Annotated[
    list[str] | None,
    typer.Option(
        help="Finished runs or bundles: ROW=FOLDER, or a folder of runs named as the rows. May be "
        "repeated."
    ),
]
Start = Annotated[
    list[str] | None,
    typer.Option(
        help="ROW=RUN: a finished run that the row's training begins from, as AHBN's on "
        "Consumer-to-Shop for Street2Shop. May be repeated."
    ),
]
Detector = Annotated[
    str,
    typer.Option(
        help="A bundle whose detector crops the images that the paper crops by one (hemline data "
        "crop)."
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="NETWORK=FILE that trainings start from; at bench mobilenetv2_100=FILE serves all "
        "rows. May be repeated."
    ),
]
Only = Annotated[list[str] | None, typer.Option(help="Only this row. May be repeated.")]
Seeds = Annotated[str, typer.Option(help="Seeds of the trainings, with commas between them.")]
Products = Annotated[
    int | None, typer.Option(min=8, help="Products to draw; the scale's own by default.")
]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Epochs of a row; the scale's own by default.")
]
Distractors = Annotated[
    int,
    typer.Option(
        min=0, help="Shop pictures of so many further products in the gallery of drawn images."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="NAME=VALUE of every row's recipe, as of hemline train; the table names it. May be "
        "repeated.",
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of a bundle.")]
AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Also measure a model that was trained on queries; the outcome says so.",
    ),
]


def reproduce(
    name: Name = None,
    show: Show = False,
    output: Output = None,
    scale: Scale = "bench",
    data: Data = None,
    data_format: Format = None,
    protocol: Protocol = None,
    runs: Runs = None,
    start: Start = None,
    detector: Detector = "",
    weights: Weights = None,
    only: Only = None,
    seeds: Seeds = "",
    products: Products = None,
    epochs: Epochs = None,
    distractors: Distractors = 0,
    settings: Settings = None,
    threads: Threads = None,
    allow_leak: AllowLeak = False,
    json: JsonOption = False,
) -> None:
    """Rerun a table or figure of a paper: a table, a plot and JSON, measured beside published.

    A killed command goes on: finished trainings and evaluations are not done again. hemline compare
    and hemline report read the results folder.

    Example: hemline reproduce ynet-figure3 --data DARN --scale paper -o papers

    Example: hemline reproduce siamese-table --scale smoke -o papers
    """
    from hemline.reproduce import run

    if show:
        emit({"experiments": run.listed()}, json, _print_list)
        return
    if name is None or output is None:
        raise UsageError("`hemline reproduce` needs NAME and -o FOLDER; --list names what there is")
    words = [word.strip() for word in seeds.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--seeds has numbers with commas between them, as 0,1,2: not {seeds!r}")
    found = run.reproduce(
        name, output, scale=scale, data=data, data_format=data_format, protocol=protocol,
        runs=runs or (), starts=start or (), detector=detector, weights=weights or (),
        only=only or (), seeds=[int(w) for w in words],
        products=products, epochs=epochs, distractors=distractors, settings=settings or (),
        threads=threads, allow_leak=allow_leak, say=say, progress=progress,
    )  # fmt: skip
    emit(found, json, _print)


def _print(found: Mapping[str, Any]) -> None:
    folder = Path(found["folder"])
    for line in (folder / "table.md").read_text("utf-8").splitlines():
        out(line)
    if "not_plotted" in found:
        say(f"no plot: {found['not_plotted']}")
    say("written: " + ", ".join(str(folder / file) for file in found["files"]))


def _print_list(found: Mapping[str, Any]) -> None:
    for one in found["experiments"]:
        out(f"{one['name']}: {one['title']}")
        out(f"  data: {one['data']}, protocol {', '.join(one['protocols'])}; drawn images without")
        for need in one["needs"]:
            out(f"  needs: {need}, which this version doesn't have")
        if one["rows"]:
            out(f"  rows: {', '.join(one['rows'])}")
        if one["trainings"]:
            out(f"  takes: {one['trainings']} trainings at bench for one seed")
        for row, why in one["not_trained"].items():
            out(f"  {row}: {why}")


COMMANDS: Mapping[str, Callable[..., Any]] = {"reproduce": reproduce}
