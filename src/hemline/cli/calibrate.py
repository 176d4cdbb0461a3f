"""``hemline calibrate``: what the scores of a bundle mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, out, progress


def calibrate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")],
    manifest: Annotated[Path, typer.Argument(help="Street and shop rows.")],
    photos: Annotated[int, typer.Option(min=10, help="Street photos to search with.")] = 400,
    crop: Annotated[
        str,
        typer.Option(
            help="Crop of the images, as in later searches. none: whole images; query: photos "
            "cropped to their box; box: both sides; detected-query: photos cropped to the "
            "detected garment, as the page does; every: photos and every garment in them, as "
            "'hemline search' does."
        ),
    ] = "none",
    split: Annotated[
        str, typer.Option(help="Split to measure on; 'all' for a manifest that wasn't trained on.")
    ] = "val",
    same: Annotated[float, typer.Option(help="Precision of 'same' hits.")] = 0.65,
    similar: Annotated[
        float, typer.Option(help="Precision of 'same' and 'similar' hits together.")
    ] = 0.3,
    as_json: JsonOption = False,
) -> None:
    """Measure the least score of a hit that is the same product, and of a similar one.

    The thresholds are written into the bundle; its fingerprint stays, so its catalogues do too. A
    catalogue has its own copy of the bundle: name CATALOG/bundle to calibrate that one.

    Example: hemline calibrate my-bundle validation --split all
    """
    from hemline.data.manifest import Manifest
    from hemline.evaluation.calibrate import calibrate as measure
    from hemline.evaluation.calibrate import record
    from hemline.runtime.bundle import Bundle

    with natives_hushed(), progress("searching with photos") as advance:
        found = measure(
            Bundle.open(bundle),
            Manifest.read(manifest),
            photos=photos,
            crop=crop,
            split=split,
            shares={"same": same, "similar": similar},
            advance=advance,
        )
    record(bundle, found)
    emit({"bundle": str(bundle), **found.model_dump()}, as_json, _print)


def _print(result: Mapping[str, Any]) -> None:
    data = result["data"]
    for name in ("same", "similar"):
        out(
            f"{name:8} from {result[name]:.4f}: {result['precision'][name]:.3f} of "
            f"{data[f'hits_{name}']} hits are right, {data[f'recall_{name}']:.3f} of the right ones"
        )
    out(f"written into {result['bundle']}")


COMMANDS = {"calibrate": calibrate}
