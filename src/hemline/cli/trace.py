"""``hemline trace``: where accuracy goes between a checkpoint and an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._choices import Crop, Several, Unmatched, choices
from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress, to_json
from hemline.cli._protocol import PROTOCOL_NAMES
from hemline.files import write_durable

AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Also measure a model that was trained on queries; the result says so.",
    ),
]


def trace(
    catalog: Annotated[Path, typer.Argument(help="The catalogue's folder.")],
    manifest: Annotated[Path, typer.Argument(help="The queries and the gallery.")],
    checkpoint: Annotated[
        str | None, typer.Option(help="The run that the catalogue's bundle was exported from.")
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            help="A step to leave out: checkpoint, graph, stored, index, rerank or detector. May "
            "be repeated."
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help=f"{PROTOCOL_NAMES}.")] = "default",
    crop: Crop = None,
    several: Several = None,
    unmatched: Unmatched = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that caches the embeddings.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    allow_leak: AllowLeak = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure the same queries after each step from a checkpoint to a catalogue's answer.

    The steps: the checkpoint in float32; its exported graph; the vectors that the catalogue stores;
    the codes of its index; re-ranking; the detector. The catalogue holds the manifest's gallery.

    Example: hemline trace shop data/manifest.parquet --checkpoint runs/tagynet
    """
    from hemline.catalog.catalog import Catalog
    from hemline.errors import UsageError
    from hemline.evaluation import api
    from hemline.evaluation.trace import trace as measure

    chosen = choices(crop, False, several, unmatched, None, 0.2, seed)
    parts, _ = api.prepare(manifest, protocol, chosen)
    if len(parts) > 1:
        raise UsageError(f"protocol {protocol!r} has {len(parts)} parts; name one of them")
    with natives_hushed(), Catalog.open(catalog) as opened:
        found = measure(
            opened, parts[0], checkpoint=checkpoint, skip=skip or (), cache=cache, seed=seed,
            threads=threads, progress=progress, allow_leak=allow_leak,
        )  # fmt: skip
    if output is not None:
        write_durable(output, to_json(found, indent=2) + "\n")
    emit(found, json, _print)


def _print(found: Mapping[str, Any]) -> None:
    from hemline.views.trace_table import trace_table

    trace_table(found, out)


COMMANDS: Mapping[str, Callable[..., Any]] = {"trace": trace}
