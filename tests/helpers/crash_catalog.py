"""Changes to a whole catalogue (pictures, bundle, rebuild, backup), for a process that is killed.

    python crash_catalog.py ROOT FIRST JOURNAL

ROOT holds ``shop`` (the catalogue), ``bundle0`` and ``bundle1``, and ``pictures/N.jpg``. Step N is
one of rebuild (by the bundle that isn't live), add, remove and backup, and is noted in JOURNAL
before and after.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.runtime.bundle import Bundle
from hemline.types import Record

PICTURES = 160
ITEMS = 40


def make(root: Path) -> None:
    """The pictures, two bundles and a full catalogue."""
    from helpers.tiny_bundle import make_tiny_bundle

    (root / "pictures").mkdir(parents=True)
    for number in range(PICTURES):
        colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = np.kron(colours, np.ones((8, 8, 1), np.uint8)).astype(np.uint8)
        (root / "pictures" / f"{number}.jpg").write_bytes(encode_jpeg(image))
    for which in (0, 1):
        make_tiny_bundle(root / f"bundle{which}", seed=which)
    with Catalog.create(root / "shop", Bundle.open(root / "bundle0")) as catalog:
        catalog.add(manifest(root, list(range(PICTURES))), workers=1)


def manifest(root: Path, numbers: list[int], price: int = 0) -> Manifest:
    records = [
        Record(
            image_id=f"{n}.jpg",
            path=f"{n}.jpg",
            item_id=f"item{n % ITEMS}",
            domain="shop",
            category="dress",
            extra={"price": float(price)},
        )
        for n in numbers
    ]
    return Manifest.from_records(records, root / "pictures")


def step(number: int) -> tuple[str, list[int]]:
    """Its kind, and the pictures or items it is about."""
    rng = np.random.default_rng([5, number])
    kind = ("rebuild", "rebuild", "add", "remove", "backup")[int(rng.integers(5))]
    if kind == "add":
        return kind, sorted(int(i) for i in rng.choice(PICTURES, 40, replace=False))
    if kind == "remove":
        return kind, sorted(int(i) for i in rng.choice(ITEMS, 4, replace=False))
    return kind, []


def do(root: Path, catalog: Catalog, number: int) -> None:
    kind, about = step(number)
    if kind == "rebuild":
        live = catalog.bundle.fingerprint
        bundles = [Bundle.open(root / f"bundle{which}") for which in (0, 1)]
        catalog.rebuild(next(b for b in bundles if b.fingerprint != live), batch=16)
    elif kind == "add":
        catalog.add(manifest(root, about, number), batch=64, workers=1)
    elif kind == "remove":
        catalog.remove([f"item{item}" for item in about])
    else:
        # The last one stays until this one is acknowledged.
        for older in sorted(root.glob("copy*"), key=lambda p: int(p.name[4:]))[:-1]:
            shutil.rmtree(older)
        catalog.backup(root / f"copy{number}")


def main() -> None:
    root, number, journal = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with open(journal, "a", encoding="ascii") as notes:

        def note(text: str) -> None:
            notes.write(text + "\n")
            notes.flush()
            os.fsync(notes.fileno())

        with Catalog.open(root / "shop") as catalog:
            note("ready")
            while True:
                note(f"begin {number}")
                do(root, catalog, number)
                note(f"done {number}")
                number += 1


if __name__ == "__main__":
    main()
