"""``hemline detect``: photos in, garments out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, out, say

if TYPE_CHECKING:
    from hemline.runtime.detector import BundleDetector
    from hemline.types import Detection, Image


_Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="One or more photos.")]
_Bundle = Annotated[
    str | None, typer.Option(help="A bundle's folder or name; the one that ships by default.")
]
_MinScore = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Least score of a garment (0-1); the bundle's threshold by default."
    ),
]
_Draw = Annotated[
    Path | None, typer.Option(help="Draw the photos with their boxes: a .png or .jpg file.")
]
_Threads = Annotated[
    int | None, typer.Option(help="Threads of the detector; all cores by default.")
]


def detect(
    photos: _Photos,
    bundle: _Bundle = None,
    min_score: _MinScore = None,
    draw: _Draw = None,
    threads: _Threads = None,
    as_json: JsonOption = False,
) -> None:
    """Find the garments in photos: box, category and score.

    Boxes are x1,y1,x2,y2 in pixels of the upright photo, as search --box takes them; garments come
    best score first. "best" is the one that search --detect takes. With one photo the JSON is its
    answer; with several it has them under "results".

    Example: hemline detect street.jpg --draw found.png --json
    """
    from hemline.errors import UsageError
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.detector import BundleDetector
    from hemline.views.detections import draw_garments, write_drawing

    if draw is not None and draw.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"--draw draws a .png or .jpg file, not {draw.name}")
    opened = Bundle.default() if bundle is None else Bundle.open(bundle)
    detector = BundleDetector(opened, threads)
    least = detector.threshold if min_score is None else min_score
    results, drawings = [], []
    with natives_hushed():
        for photo in photos:
            result, image, found = _detect(detector, photo, least)
            results.append(result)
            if draw is not None:
                drawings.append(draw_garments(image, found))
    if draw is not None:
        write_drawing(draw, drawings)
        say(f"drawn in {draw}")
    emit(results[0] if len(results) == 1 else {"results": results}, as_json, _tell)


def _detect(
    detector: BundleDetector, photo: Path, least: float
) -> tuple[dict[str, Any], Image, list[Detection]]:
    """A photo's answer as JSON, the image, and its garments."""
    from hemline.data.images import open_image
    from hemline.runtime.detector import best_garment
    from hemline.search.clock import Clock
    from hemline.search.result_json import detections_json

    clock = Clock()
    with clock.step("decode"):
        image = open_image(photo)
    with clock.step("detect"):
        (found,) = detector.detect([image])
    shown = [garment for garment in found if garment.score >= least]
    height, width = image.shape[:2]
    best = best_garment(shown, width, height)
    timings = clock.timings()
    result = {
        "photo": str(photo),
        "width": width,
        "height": height,
        "garments": detections_json(shown),
        "best": None if best is None else shown.index(best),
        "timings_ms": {step: timings[step] for step in ("decode", "detect")},
    }
    return result, image, shown


def _tell(result: Mapping[str, Any]) -> None:
    for one in result.get("results", [result]):
        out(f"{one['photo']} ({one['width']}x{one['height']})")
        if not one["garments"]:
            out("  no garment is found")
        for place, garment in enumerate(one["garments"]):
            box = ",".join(f"{v:g}" for v in garment["box"])
            mark = "  <- best" if place == one["best"] else ""
            out(f"  {garment['score']:.2f}  {garment['category']:<11} {box}{mark}")


COMMANDS = {"detect": detect}
