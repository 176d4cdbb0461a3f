"""``hemline quantize``: a bundle whose graphs compute in int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import (
    JsonOption,
    emit,
    natives_hushed,
    out,
    out_comparison,
    progress,
    say,
)

Crop = Annotated[
    str,
    typer.Option(
        help="Crop of the images, as in later searches. none: whole images; query: photos cropped "
        "to their box; box: both sides."
    ),
]
Split = Annotated[
    str,
    typer.Option(
        help="Rows that count besides those without a split; default: all but test. 'all': all."
    ),
]
Calibration = Annotated[
    int, typer.Option(min=1, help="Images of each domain that ranges are taken from.")
]
Most = Annotated[int, typer.Option(min=20, help="Most photos to encode; a seeded choice.")]
Gallery = Annotated[int, typer.Option(min=20, help="Most shop images to encode.")]
Portable = Annotated[
    bool,
    typer.Option(
        "--portable",
        help="Weights of 7 bits, which give the same numbers on processors without VNNI, and lose "
        "more recall.",
    ),
]
Part = Annotated[
    str,
    typer.Option(
        help="What is to compute in int8. towers: what embeds images; detector: what finds "
        "garments, for which the manifest has boxes or the column garments."
    ),
]
Name = Annotated[
    str | None,
    typer.Option(help="Name of the new bundle; default: NAME-int8, with --part detector NAME."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Also write a bundle that is worse, or isn't faster.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the choice of images and the bootstrap.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of one run of a graph.")]


def quantize(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or a shipped one's name.")
    ],
    manifest: Annotated[Path, typer.Argument(help="Shop rows, and street rows of the same items.")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new bundle.")],
    crop: Crop = "none",
    split: Split = "",
    calibration: Calibration = 100,
    photos: Most = 2000,
    gallery: Gallery = 5000,
    portable: Portable = False,
    part: Part = "towers",
    name: Name = None,
    force: Force = False,
    seed: Seed = 0,
    threads: Threads = 1,
    as_json: JsonOption = False,
) -> None:
    """Make a bundle's towers, or its detector, compute in int8; measure what that costs and gains.

    Ranges are taken from images of some products; recall is that of photos of the others, with both
    bundles. A bundle that loses more than 0.01 of recall@1, or that isn't faster on this processor,
    isn't written (exit status 1). Detector, re-ranker, maps and thresholds stay. BUNDLE stays as it
    is. Needs hemline[quantize]; no torch.

    With --part detector, ranges are taken from some images, and average precision is that of other
    images with marked garments; it may fall by 0.01. The embedding stays, so catalogues stay valid.

    Example: hemline quantize my-bundle shop.csv -o my-int8

    Example: hemline quantize shop-bundle shop.csv -o shop-int8 --crop query --json

    Example: hemline quantize my-bundle street.parquet -o faster --part detector --portable
    """
    from hemline.quantization.api import quantize as run

    with natives_hushed():
        result = run(
            bundle, manifest, folder, crop=crop, split=split, calibration=calibration,
            photos=photos, gallery=gallery, portable=portable, part=part, name=name, force=force,
            seed=seed, threads=threads, progress=progress,
        )  # fmt: skip
    emit(result, as_json, _words if part == "towers" else _detector_words)
    if not result["written"]:
        if not as_json:
            why = "; ".join(result["refused"])
            say(f"hemline: not written: {why}; --force writes it anyway")
        raise typer.Exit(1)


def _words(result: Mapping[str, Any]) -> None:
    used = result["calibration"]
    out(f"ranges are taken from {used['street']} photos and {used['shop']} shop images")
    out(
        f"{result['queries']} photos of {result['items']} products that took no part in that, "
        f"among {result['gallery']} shop images of {result['gallery_items']}:"
    )
    out_comparison(result, "int8")
    cosine = result["cosine"]
    out(f"cosine of the embeddings: {cosine['mean']} on average, {cosine['least']} at least")
    _spent(result)
    if result["written"]:
        out(f"Next: hemline catalog rebuild CATALOG --bundle {result['bundle']}")


def _detector_words(result: Mapping[str, Any]) -> None:
    before, after, gap = (result[part] for part in ("before", "after", "difference"))
    out(f"ranges are taken from {result['calibration']['images']} images")
    out(f"{result['images']} images that took no part in that, {result['garments']} garments:")
    out(
        f"average precision at overlap 0.5: {after['ap@0.5']:.3f} "
        f"({after['interval'][0]:.3f}-{after['interval'][1]:.3f}), before {before['ap@0.5']:.3f} "
        f"({gap['ap@0.5']:+.3f}); at 0.5 to 0.95 {after['ap@0.5:0.95']:.3f}, before "
        f"{before['ap@0.5:0.95']:.3f}"
    )
    for name, value in after["groups"].items():
        out(f"  {name}: {value:.3f}, before {before['groups'].get(name, float('nan')):.3f}")
    _spent(result)
    if result["written"]:
        out(f"Next: hemline detect PHOTO --bundle {result['bundle']}")


def _spent(result: Mapping[str, Any]) -> None:
    spent, bytes_ = result["cpu_ms"], result["bytes"]
    out(
        f"one photo: {spent['after']} ms of CPU time, before {spent['before']} "
        f"({spent['ratio']} of it; {result['machine']['processor']})"
    )
    out(f"files: {bytes_['after'] / 1e6:.1f} MB, before {bytes_['before'] / 1e6:.1f}")
    if result["written"]:
        out(f"{result['bundle']}: {result['name']}")


COMMANDS: Mapping[str, Callable[..., Any]] = {"quantize": quantize}
