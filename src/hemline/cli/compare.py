"""``hemline compare``: several results of the same queries, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, out, to_json
from hemline.files import write_durable


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Files that `hemline evaluate -o` wrote, or folders of them. The first is what "
            "the others are compared with.",
        ),
    ],
    measures: Annotated[
        str,
        typer.Option(
            help="With commas between them: recall@K, pictures@K (recall over pictures), "
            "precision@K, map@K, ndcg@K, mrr, map. Default: what all results report."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare results of the same protocol: figures, and paired differences with intervals.

    Results of other queries, another gallery or other choices are refused.

    Example: hemline compare results/ynet.json results/tagynet.json --measures recall@20,map@1000
    """
    from hemline.evaluation.compared import compare_results
    from hemline.evaluation.stored import read_results

    names = [name.strip() for name in measures.split(",") if name.strip()]
    found = compare_results(read_results(runs), names, seed=seed)
    if output is not None:
        write_durable(output, to_json(found, indent=2) + "\n")
    emit(found, json, _print)


def _print(found: Mapping[str, Any]) -> None:
    from hemline.views.compare_table import compare_table

    compare_table(found, out)


COMMANDS: Mapping[str, Callable[..., Any]] = {"compare": compare}
