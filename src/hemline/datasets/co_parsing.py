"""Clothing Co-Parsing: street photos of people with a label for every pixel.

Source: W. Yang, P. Luo, L. Lin, "Clothing Co-Parsing by Joint Image Segmentation and Labeling",
CVPR 2014, https://github.com/bearpaw/clothing-co-parsing

Layout: ``photos/NNNN.jpg``, ``labels.txt`` (``number name`` on each line), ``masks/NNNN.png``,
whose pixels are numbers of labels.txt (the published ``.mat`` files, written as pictures).

A street row for each garment of a photo with a mask: its box is that of the label's pixels, but for
the outermost 0.3 % on each side, which are specks; ``category`` is the label, also as the tag
``category=``. Shoes, bags and accessories are left out, and garments below 1.5 % of the photo. The
split goes by photo, by a hash of its name: 60 % train, 15 % val, 25 % test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.data.masks import open_mask, read_labels
from hemline.datasets._base import (
    LINKS,
    Options,
    ReaderSpec,
    ReadReport,
    follows,
    keep_present,
    records_manifest,
)
from hemline.errors import DataError

#: Labels that are garments.
GARMENTS = frozenset(
    {
        *("blazer", "blouse", "bodysuit", "cape", "cardigan", "coat", "dress", "hoodie", "jacket"),
        *("jeans", "jumper", "leggings", "pants", "romper", "shirt", "shorts", "skirt", "suit"),
        *("sweater", "sweatshirt", "t-shirt", "top", "vest"),
    }
)
#: Least share of the photo's pixels of a garment.
SMALLEST = 0.015
_SPECKS = 0.003


def split_of(photo: str) -> str:
    """``train``, ``val`` or ``test``, by the photo's name."""
    share = int(hashlib.sha256(f"co-parsing {photo}".encode()).hexdigest()[:8], 16) / 2**32
    return "train" if share < 0.6 else "val" if share < 0.75 else "test"


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    masks = sorted((root / "masks").glob("*.png"))
    if not masks:
        raise DataError(f"{root / 'masks'} holds no masks (.png)")
    labels = read_labels(root / "labels.txt")
    rows = [row for mask in masks for row in _rows(mask, labels)]
    if not rows:
        raise DataError(f"no mask of {root / 'masks'} holds a garment")
    notes = (f"{len(rows)} garments in {len(masks)} photos with masks",)
    return keep_present(records_manifest(rows, root), notes, not follows(options))


def _rows(file: Path, labels: Mapping[int, str]) -> list[dict[str, Any]]:
    mask = open_mask(file)
    rows = []
    for code in np.flatnonzero(np.bincount(mask.ravel(), minlength=256) >= SMALLEST * mask.size):
        name = labels.get(int(code), "")
        if name in GARMENTS:
            x1, y1, x2, y2 = _box(mask == code)
            rows.append(
                {
                    "path": f"photos/{file.stem}.jpg",
                    "image_id": f"{file.stem}-{name}",
                    "item_id": f"{file.stem}-{name}",
                    "domain": "street",
                    "split": split_of(file.stem),
                    "category": name,
                    "tags": [f"category={name}"],
                    "x1": x1,
                    "y1": y1,
                    "x2": x2,
                    "y2": y2,
                    "mask": f"masks/{file.name}",
                    "label": int(code),
                }
            )
    return rows


def _box(shown: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the pixels, without specks."""
    ys, xs = np.nonzero(shown)
    low, high = _SPECKS, 1 - _SPECKS
    x1, x2 = np.quantile(xs, (low, high), method="nearest")
    y1, y2 = np.quantile(ys, (low, high), method="nearest")
    return float(x1), float(y1), float(x2 + 1), float(y2 + 1)


READERS: Mapping[str, ReaderSpec] = {
    "co-parsing": ReaderSpec(
        name="co-parsing",
        summary="Clothing Co-Parsing: street photos of people, a row for each garment by its mask.",
        get="git clone https://github.com/bearpaw/clothing-co-parsing, and write the pixel-level "
        "annotations as masks/NNNN.png",
        licence="Apache-2.0 for the repository; the photographers and people were not asked",
        reader=_read,
        folder=True,
        options=LINKS,
    )
}
