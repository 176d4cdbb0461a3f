"""``hemline data crop``: a manifest with a detector's boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import (
    JsonOption,
    ManifestArgument,
    Workers,
    emit,
    natives_hushed,
    out,
    progress,
    say,
)
from hemline.errors import UsageError

_SIDES = {"both": ("street", "shop"), "street": ("street",), "shop": ("shop",)}


_Output = Annotated[
    Path, typer.Option("-o", "--output", help="The manifest to write: .parquet or .csv.")
]
_Detector = Annotated[
    str | None,
    typer.Option(help="A bundle with a detector, by folder or name; default: the one shipped."),
]
_Side = Annotated[str, typer.Option(help="Whose images are cropped: both, street or shop.")]
_Without = Annotated[
    str,
    typer.Option(help="Rows without a garment: whole (no box), keep (the box they had) or drop."),
]
_Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of what was found; default: crops in HEMLINE_HOME. A second run, or one that "
        "was interrupted, looks only at new files."
    ),
]


def crop(
    manifest: ManifestArgument,
    output: _Output,
    detector: _Detector = None,
    side: _Side = "both",
    without: _Without = "whole",
    cache: _Cache = None,
    workers: Workers = None,
    json: JsonOption = False,
) -> None:
    """Write a manifest whose boxes are those that a detector finds.

    The images stay as they are: train with data.crop=box, evaluate with --crop box. The boxes that
    the rows had are kept in the columns listed_x1 to listed_y2.

    Example: hemline data crop m.parquet --detector bundle --side shop -o cropped.parquet
    """
    from hemline.data.manifest import Manifest
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.crops import WITHOUT, crop_manifest
    from hemline.runtime.detector import BundleDetector

    if side not in _SIDES:
        raise UsageError(f"--side is both, street or shop, not {side!r}")
    if without not in WITHOUT:
        raise UsageError(f"--without is {', '.join(WITHOUT)}, not {without!r}")
    table = Manifest.read(manifest)
    found = BundleDetector(Bundle.default() if detector is None else Bundle.open(detector))
    with natives_hushed(), progress("detecting garments") as advance:
        made, report = crop_manifest(
            table,
            found,
            sides=_SIDES[side],
            without=without,
            journal=_journal(cache, table.root, found.fingerprint),
            workers=workers,
            advance=advance,
        )
    path = made.write(output)
    result = {
        "manifest": str(path),
        "detector": found.name,
        "detector_fingerprint": found.fingerprint,
        "rows_written": len(made),
        "fingerprint": made.fingerprint(),
        "rows": report.rows,
        "cropped": report.cropped,
        "no_garment": report.without,
        "without": without,
        "unreadable": [{"path": name, "reason": reason} for name, reason in report.unreadable],
        "landmarks_outside": report.landmarks_outside,
        "remembered": report.remembered,
    }
    emit(result, json, lambda told: _print(told, WITHOUT[without]))


def _journal(cache: Path | None, root: Path, detector: str) -> Path:
    from hemline.files import home

    word = f"{root}\n{detector}".encode("utf-8", "surrogateescape")
    return (cache or home() / "crops") / f"{hashlib.sha256(word).hexdigest()[:16]}.jsonl"


def _print(result: Mapping[str, Any], without: str) -> None:
    for side, rows in result["rows"].items():
        out(f"{side}: a garment in {result['cropped'][side]:,} of {rows:,} rows")
        if result["no_garment"][side]:
            out(f"  none in {result['no_garment'][side]:,}; {without}")
    if result["unreadable"]:
        first = result["unreadable"][0]
        say(
            f"{len(result['unreadable']):,} images can't be read, and their rows stay as they "
            f"were; the first: {first['path']} {first['reason']}"
        )
    if result["landmarks_outside"]:
        out(f"{result['landmarks_outside']:,} landmarks outside the boxes count as absent")
    if result["remembered"]:
        out(f"{result['remembered']:,} images were looked at by an earlier run")
    out(f"{result['rows_written']:,} rows: {result['manifest']}")
