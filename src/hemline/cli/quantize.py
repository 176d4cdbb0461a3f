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
Name = Annotated[str | None, typer.Option(help="Name of the new bundle; default: NAME-int8.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also write a bundle that loses recall, or isn't faster.")
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
    name: Name = None,
    force: Force = False,
    seed: Seed = 0,
    threads: Threads = 1,
    as_json: JsonOption = False,
) -> None:
    """Make a bundle's towers compute in int8, and measure what that costs and gains.

    Ranges are taken from images of some products; recall is that of photos of the others, with both
    bundles. A bundle that loses more than 0.01 of recall@1, or that isn't faster on this processor,
    isn't written (exit status 1). Detector, re-ranker, maps and thresholds stay. BUNDLE stays as it
    is. Needs hemline[quantize]; no torch.

    Example: hemline quantize hemline-small shop.csv -o small-int8

    Example: hemline quantize shop-bundle shop.csv -o shop-int8 --crop query --json
    """
    from hemline.quantization.api import quantize as run

    with natives_hushed():
        result = run(
            bundle, manifest, folder, crop=crop, split=split, calibration=calibration,
            photos=photos, gallery=gallery, portable=portable, name=name, force=force, seed=seed,
            threads=threads, progress=progress,
        )  # fmt: skip
    emit(result, as_json, _words)
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
    spent, bytes_, cosine = result["cpu_ms"], result["bytes"], result["cosine"]
    out(
        f"one photo: {spent['after']} ms of CPU time, before {spent['before']} "
        f"({spent['ratio']} of it; {result['machine']['processor']})"
    )
    out(f"cosine of the embeddings: {cosine['mean']} on average, {cosine['least']} at least")
    out(f"files: {bytes_['after'] / 1e6:.1f} MB, before {bytes_['before'] / 1e6:.1f}")
    if result["written"]:
        out(f"{result['bundle']}: {result['name']}")
        out(f"Next: hemline catalog rebuild CATALOG --bundle {result['bundle']}")


COMMANDS: Mapping[str, Callable[..., Any]] = {"quantize": quantize}
