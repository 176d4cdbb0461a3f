"""``hemline detect``: photos in, their garments out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import JsonOption, emit, natives_hushed, out, say


def detect(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="One or more photos.")],
    bundle: Annotated[
        str | None,
        typer.Option(help="A bundle's folder or name; the one that ships by default."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Leave out what is less sure (0-1); as the bundle says."
        ),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Draw the photos with their boxes: a .png or .jpg file.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the detector; all cores by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the garments on photos: where they are, what kind, and how sure.

    Boxes are x1,y1,x2,y2 in pixels of the upright photo, as search --box takes them; garments stand
    best score first. "best" is the one a search with --detect takes. With one photo the JSON is its
    answer; with several it has them under "results".

    Example: hemline detect street.jpg --draw found.png --json
    """
    from hemline.data.garments import group_of
    from hemline.data.images import open_image
    from hemline.errors import UsageError
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.detector import BundleDetector, best_garment
    from hemline.views.detections import draw_garments, write_drawing

    if draw is not None and draw.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"--draw draws a .png or .jpg file, not {draw.name}")
    opened = Bundle.default() if bundle is None else Bundle.open(bundle)
    detector = BundleDetector(opened, threads)
    least = detector.threshold if min_score is None else min_score
    results, drawings = [], []
    with natives_hushed():
        for photo in photos:
            start = time.perf_counter()
            image = open_image(photo)
            decoded = time.perf_counter()
            (found,) = detector.detect([image])
            shown = [garment for garment in found if garment.score >= least]
            done = time.perf_counter()
            height, width = image.shape[:2]
            best = best_garment(shown, width, height)
            garments = [
                {
                    "box": [round(v, 2) for v in garment.box],
                    "category": garment.category,
                    "group": group_of(garment.category),
                    "score": garment.score,
                }
                for garment in shown
            ]
            results.append(
                {
                    "photo": str(photo),
                    "width": width,
                    "height": height,
                    "garments": garments,
                    "best": None if best is None else shown.index(best),
                    "timings_ms": {
                        "decode": round((decoded - start) * 1000, 3),
                        "detect": round((done - decoded) * 1000, 3),
                    },
                }
            )
            if draw is not None:
                drawings.append(draw_garments(image, shown))
    if draw is not None:
        write_drawing(draw, drawings)
        say(f"drawn in {draw}")
    emit(results[0] if len(results) == 1 else {"results": results}, as_json, _tell)


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
