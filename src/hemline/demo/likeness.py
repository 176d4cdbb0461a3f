"""What the scores in the demo's shop mean: the words of likeness on its page."""

from __future__ import annotations

from hemline.bundle import read_info
from hemline.demo.shop import Shop
from hemline.errors import DataError
from hemline.evaluation.calibrate import calibrate_live, record
from hemline.files import write_durable
from hemline.progress import Advance, no_advance
from hemline.search.engine import Engine

#: Photos that are searched; half of them set the thresholds, which must hold for the others. With
#: 256, thresholds failed on some 40 hits that hold with 384 and more.
PHOTOS = 512


def measure(shop: Shop, *, photos: int = PHOTOS, advance: Advance = no_advance) -> str:
    """Calibrates the catalogue's own bundle on the shop's photos, once.

    The photos are cropped as the page does. Where the thresholds don't hold for the photos that
    didn't set them, nothing is recorded, and the page has no words.

    Returns:
        Why there are no words; empty where there are.
    """
    bundle = shop.catalog.live().bundle
    folder = shop.catalog.folder
    assert folder is not None
    info, note = read_info(bundle.folder), folder.with_name(f"{folder.name}-likeness.txt")
    if info.alike is not None and info.alike.data.get("manifest") == shop.manifest.fingerprint():
        return ""
    if note.is_file():
        return note.read_text(encoding="utf-8").strip()
    crop = "detected-query" if info.detector else "query" if shop.crop == "box" else "none"
    try:
        found = calibrate_live(
            Engine(shop.catalog), shop.manifest, photos=photos, crop=crop, advance=advance
        )
    except DataError as error:
        write_durable(note, f"{error}\n")
        return str(error)
    record(bundle.folder, found)
    return ""
