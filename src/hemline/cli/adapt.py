"""``hemline adapt``: a shop's own images make a bundle better."""

from __future__ import annotations

import os
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
from hemline.errors import DataError, UsageError
from hemline.sql import DATABASE

Rows = Annotated[Path | None, typer.Argument(help="Shop rows, and street rows of the same items.")]
Shop = Annotated[
    Path | None,
    typer.Option(
        "--catalog",
        help="Instead of a manifest: a catalogue's images, with the feedback that its service "
        "stored.",
    ),
]
Feedback = Annotated[
    Path | None,
    typer.Option(help="JSON lines of GET /v1/feedback/export; needs photos that were kept."),
]
Crop = Annotated[
    str,
    typer.Option(
        help="Crop of a manifest's images, as in later searches. none: whole images; query: photos "
        "cropped to their box; box: both sides."
    ),
]
Split = Annotated[
    str,
    typer.Option(
        help="Rows that count besides those without a split; default: all but test. 'all': all."
    ),
]
Most = Annotated[int, typer.Option(min=20, help="Most photos to encode; a seeded choice.")]
Gallery = Annotated[int, typer.Option(min=20, help="Most shop images to encode.")]
Name = Annotated[str | None, typer.Option(help="Name of the new bundle; default: NAME-adapted.")]
Detector = Annotated[
    str | None,
    typer.Option(
        metavar="BUNDLE",
        help="Take the detector of this bundle (a folder, or a shipped one's name) instead of the "
        "given bundle's.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Also write a bundle that isn't measurably better.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the folds, of choices and the bootstrap.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads.")]


def adapt(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or a shipped one's name.")
    ],
    manifest: Rows = None,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new bundle.")] = ...,  # type: ignore[assignment]
    catalog: Shop = None,
    feedback: Feedback = None,
    crop: Crop = "none",
    split: Split = "",
    photos: Most = 2000,
    gallery: Gallery = 5000,
    name: Name = None,
    detector: Detector = None,
    force: Force = False,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a bundle to a shop's own images, in minutes on a CPU, and measure what it gave.

    A linear map for each domain is fitted on photos of products and the shop's images of the same
    ones. Without photos, several shop images of a product are used. Figures are of products that
    took no part in fitting or choosing. BUNDLE stays as it is. A bundle that isn't better isn't
    written (exit status 1): the 95 % interval of the difference in mean reciprocal rank must lie
    above 0.

    Example: hemline adapt hemline-small shop.csv -o shop-bundle

    Example: hemline adapt hemline-small shop.csv --feedback feedback.jsonl -o shop-bundle

    Example: hemline adapt hemline-small --catalog my-shop -o shop-bundle
    """
    from hemline.adaptation.api import adapt as run

    if (manifest is None) == (catalog is None):
        raise UsageError("name either a manifest or --catalog")
    options: dict[str, Any] = {
        "crop": crop, "split": split, "photos": photos, "gallery": gallery, "name": name,
        "detector": detector, "force": force, "seed": seed, "threads": threads,
        "progress": progress,
    }  # fmt: skip
    with natives_hushed():
        if catalog is None:
            assert manifest is not None
            result = run(bundle, manifest, folder, feedback=feedback, **options)
        else:
            result = _of_catalog(run, bundle, catalog, folder, feedback, options)
    emit(result | {"catalog": str(catalog or "CATALOG")}, as_json, _words)
    if not result["written"]:
        if not as_json:
            say("hemline: not written, as it isn't measurably better; --force writes it anyway")
        raise typer.Exit(1)


def _of_catalog(
    run: Callable[..., dict[str, Any]],
    bundle: str,
    place: Path,
    folder: Path,
    feedback: Path | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    from hemline.catalog.catalog import Catalog

    with Catalog.open(place) as catalog:
        given: Any = feedback
        if feedback is None:
            given = _stored_feedback(place)
        return run(bundle, catalog, folder, feedback=given, **options)


def _stored_feedback(place: Path) -> list[dict[str, Any]] | None:
    """The feedback on hits of the catalogue's service, or None where it has none."""
    database = os.environ.get(DATABASE, "")
    if not database and not (place / "service" / "journal.sqlite").is_file():
        return None
    from hemline.service.problems import Problem
    from hemline.service.settings import Settings
    from hemline.service.state import open_journal

    journal = open_journal(Settings(place, database=database))
    try:
        return list(journal.triplets())
    except Problem as problem:
        raise DataError(f"the feedback of {place} can't be read: {problem}") from None
    finally:
        journal.close()


def _words(result: Mapping[str, Any]) -> None:
    counts = result["counts"]
    if result["without_photos"]:
        out("no street photos: shop images of a product stand in for them")
    if "feedback" in counts:
        out(
            f"feedback: {counts['feedback']} right hits, {counts['feedback_without_photo']} "
            f"without a kept photo, {counts['feedback_of_unknown_items']} of unknown products; "
            f"{counts['feedback_negatives']} products that were wrong or passed over stay in the "
            "gallery"
        )
    for key, what in (
        ("photos_without_shop_image", "photos of products without a shop image were left out"),
        ("shop_images_left_out", "shop images were left out (--gallery)"),
        ("unreadable", "images can't be read and were left out"),
    ):
        if counts.get(key):
            out(f"{counts[key]} {what}")
    if result["measured"]:
        _figures(result)
    method = dict(result["method"])
    settings = ", ".join(f"{name} {value:g}" for name, value in method.items() if name != "name")
    out(f"method: {method['name']}{f' ({settings})' if settings else ''}")
    if result["written"]:
        if result["alike"] is None:
            out("it has no thresholds of 'same' and 'similar'; 'hemline calibrate' measures them")
        out(f"{result['bundle']}: {result['name']}, {result['embedding_dim']} numbers")
        out(f"Next: hemline catalog rebuild {result['catalog']} --bundle {result['bundle']}")


def _figures(result: Mapping[str, Any]) -> None:
    out(
        f"{result['queries']} photos of {result['items']} products that took no part in fitting or "
        f"choosing, among {result['gallery']} shop images of {result['gallery_items']}:"
    )
    out_comparison(result, "after")


COMMANDS: Mapping[str, Callable[..., Any]] = {"adapt": adapt}
