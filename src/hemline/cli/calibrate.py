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
    photos: Annotated[int, typer.Option(min=10, help="Street photos to ask.")] = 400,
    crop: Annotated[
        str,
        typer.Option(
            help="As it will be searched. none: whole pictures; query: photos cut to their box; "
            "box: both sides; detected-query: photos cut to what the detector finds, as the page "
            "does."
        ),
    ] = "none",
    split: Annotated[
        str, typer.Option(help="Which rows; 'all' for a manifest that no training has seen.")
    ] = "val",
    same: Annotated[float, typer.Option(help="Share of right hits among 'same' ones.")] = 0.65,
    similar: Annotated[
        float, typer.Option(help="Share of right hits among 'same' and 'similar' ones.")
    ] = 0.3,
    as_json: JsonOption = False,
) -> None:
    """Measure from which score on a hit is the same product, and from which a similar one.

    The thresholds are written into the bundle; its fingerprint stays, so its catalogues do too. A
    catalogue has its own copy of the bundle: name CATALOG/bundle to mark that one.

    Example: hemline calibrate my-bundle validation --split all
    """
    from hemline.data.manifest import Manifest
    from hemline.evaluation.calibrate import calibrate as measure
    from hemline.evaluation.calibrate import record
    from hemline.runtime.bundle import Bundle

    shares = {"same": same, "similar": similar}
    with natives_hushed(), progress("asking photos") as advance:
        found = measure(
            Bundle.open(bundle),
            Manifest.read(manifest),
            photos=photos,
            crop=crop,
            split=split,
            shares=shares,
            advance=advance,
        )
    record(bundle, found)
    emit({"bundle": str(bundle), **found.model_dump()}, as_json, _tell)


def _tell(result: Mapping[str, Any]) -> None:
    for name in ("same", "similar"):
        data = result["data"]
        out(
            f"{name:8} from {result[name]:.4f}: {result['precision'][name]:.3f} of "
            f"{data[f'hits_{name}']} hits are right, {data[f'recall_{name}']:.3f} of the right ones"
        )
    out(f"written into {result['bundle']}")


COMMANDS = {"calibrate": calibrate}
