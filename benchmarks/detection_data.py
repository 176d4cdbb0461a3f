"""The pictures the shipped detector learns from and is measured on: drawn scenes, drawn scenes with
real garments in them, real photos with weak boxes, street photos of people with boxes of their
masks, those people in other garments, and pictures without any garment.

    python benchmarks/detection_data.py FOLDER              about 12 minutes on one core
    python benchmarks/detection_data.py FOLDER --products 30 --photos 40 --scenes 1

Writes ``FOLDER/manifest.parquet`` with a column ``part``:

======== =========================================================================================
part     rows
======== =========================================================================================
drawn    `hemline data make --size 320 --seed 41`: a shop and two street pictures of each product
pasted   the same with the photos of `clothing` as products (``--photos``, seed 43)
photos   those photos themselves, each with the box of its cut-out: weak, as GrabCut draws it; where
         it can't cut out (about a third) there is no row
street   street photos of people (`street`), every garment by its mask; shoes and bags too
dressed  their people of the split train, each in ``--scenes`` garments cut from `clothing`
nothing  photos of groceries and of hats: no garment that is looked for
======== =========================================================================================

Real photos are split by their sender, whose photos are all in one part: a test sender's photo is
neither pasted nor learned from. (One backdrop can belong to several senders.) Street photos are
split by photo, as `hemline data read co-parsing` does. The photos are read
from `HEMLINE_SHARED`, by default ``../shared`` from the project's root.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from _shared import SHARED
from _street_garments import people_dressed, street

from hemline.data.garments import COLUMN, Garment, kind_of, to_text
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.datasets.clothing import splits
from hemline.synthetic import SyntheticSettings, make_dataset
from hemline.synthetic.cutout import cut_out
from hemline.synthetic.photos import LABELS
from hemline.synthetic.seeds import share
from hemline.types import Box, Record

SIZE, DRAWN_SEED, PASTED_SEED = 320, 41, 43
#: Shares of the senders that are tested and validated on.
TEST, VAL = 0.25, 0.08


def shared() -> Path:
    """The folder of real data."""
    if not (SHARED / "data" / "clothing").is_dir():
        raise SystemExit(f"no real photos at {SHARED}/data/clothing: set HEMLINE_SHARED")
    return SHARED


def split_of_sender(sender: str) -> str:
    """``test``, ``val`` or ``train``, the same for all photos of a sender."""
    drawn = share("detector", sender)
    return "test" if drawn < TEST else "val" if drawn < TEST + VAL else "train"


def senders(clothing: Path) -> dict[str, tuple[str, str]]:
    """A photo's stem → (sender, label)."""
    with open(clothing / "images.csv", encoding="utf-8", newline="") as lines:
        return {row["image"]: (row["sender_id"], row["label"]) for row in csv.DictReader(lines)}


def scenes(manifest: Path, part: str, known: dict[str, tuple[str, str]]) -> list[Record]:
    """A drawn manifest's rows; where a real photo is in them its sender says the split."""
    rows = []
    for row in Manifest.read(manifest):
        split = row.split
        if part == "pasted":
            split = split_of_sender(known[Path(str(row.extra["source"])).stem][0])
        rows.append(
            Record(
                f"{part}/{row.image_id}",
                str(manifest.parent / row.path),
                row.item_id,
                row.domain,
                row.category,
                row.box,
                split=split,
                extra={"part": part, COLUMN: row.extra[COLUMN]},
            )
        )
    return rows


def photos(clothing: Path, known: dict[str, tuple[str, str]], limit: int) -> list[Record]:
    """Real photos with the box of their cut-out, and hats as pictures of nothing."""
    rows = []
    for stem, (sender, label) in sorted(known.items())[:limit]:
        path = clothing / "images" / f"{stem}.jpg"
        kind = kind_of(label)
        if not kind and label != "Hat":
            continue
        box: Box | None = None
        found: tuple[Garment, ...] = ()
        if kind:
            cutout = cut_out(open_image(path))
            if cutout is None:
                continue
            box, found = cutout.box, (Garment(kind, cutout.box, role="product"),)
        rows.append(
            Record(
                f"photos/{stem}",
                str(path),
                f"photo-{stem}",
                "street",
                kind,
                box,
                split=split_of_sender(sender),
                extra={"part": "photos" if kind else "nothing", COLUMN: to_text(found)},
            )
        )
    return rows


def groceries(folder: Path, limit: int) -> list[Record]:
    """Phone photos of shelves: no garment anywhere."""
    rows = []
    for name, wanted in (("train.txt", "train"), ("val.txt", "test")):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        paths = [line.split(",")[0].strip() for line in lines if line.strip()]
        order = np.random.default_rng(0).permutation(len(paths))[:limit]
        for at, k in enumerate(order.tolist()):
            split = "val" if wanted == "train" and at < limit // 10 else wanted
            rows.append(
                Record(
                    f"nothing/{paths[k]}",
                    str(folder / paths[k]),
                    f"grocery-{name}-{k}",
                    "street",
                    split=split,
                    extra={"part": "nothing", COLUMN: "[]"},
                )
            )
    return rows


def to_wear(clothing: Path, known: dict[str, tuple[str, str]]) -> list[tuple[Path, str]]:
    """Photos of garments, and their labels, of senders that no split of any benchmark keeps."""
    return [
        (clothing / "images" / f"{stem}.jpg", label)
        for stem, (sender, label) in sorted(known.items())
        if label in LABELS and split_of_sender(sender) == "train" and sender not in splits()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--products", type=int, default=1500)
    parser.add_argument("--photos", type=int, default=4000, help="real photos to look at, at most")
    parser.add_argument("--scenes", type=int, default=3, help="of each street photo, dressed anew")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    out = chosen.folder.resolve()
    clothing = shared() / "data" / "clothing"
    known = senders(clothing)
    settings = SyntheticSettings(size=SIZE)
    drawn = make_dataset(
        out / "drawn", chosen.products, DRAWN_SEED, settings, workers=chosen.workers
    )
    pasted = make_dataset(
        *(out / "pasted", chosen.photos, PASTED_SEED, settings, clothing),
        street_views=1,
        workers=chosen.workers,
    )
    rows = scenes(drawn, "drawn", known) + scenes(pasted, "pasted", known)
    rows += photos(clothing, known, chosen.photos)
    rows += groceries(shared() / "data" / "grocery", max(10, chosen.photos // 6))
    people = shared() / "data" / "street"
    rows += street(people)
    rows += people_dressed(out / "dressed", people, to_wear(clothing, known), chosen.scenes)
    Manifest.from_records(rows, out).write(out / "manifest.parquet")
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (str(row.extra["part"]), row.split)
        counts[key] = counts.get(key, 0) + 1
    for (part, split), count in sorted(counts.items()):
        print(f"{part:<8} {split:<6} {count:>6}")


if __name__ == "__main__":
    main()
