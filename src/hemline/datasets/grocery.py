"""The Grocery Store Dataset: phone photos from shops, and the shop's own picture of each product.

Source: M. Klasson, C. Zhang, H. Kjellström, "A Hierarchical Grocery Store Image Dataset with
Visual and Semantic Labels", WACV 2019, https://github.com/marcusklasson/GroceryStoreDataset

Layout, below the root or its folder ``dataset``:

- ``classes.csv``: fine class, its number, coarse class, its number, iconic picture, description.
- ``train.txt``, ``val.txt``, ``test.txt`` (each where present): ``path, fine, coarse``.

A street row for each photo, in the split that lists it; a shop row for each fine class, in none.
``item_id`` is the fine class's name, ``category`` the coarse one's, also as the tag ``coarse=``.
The shop row keeps the description's text in the column ``description``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hemline.data.manifest import Manifest
from hemline.datasets._base import (
    LINKS,
    Options,
    ReaderSpec,
    ReadReport,
    follows,
    keep_present,
    records_manifest,
)
from hemline.datasets._files import leaves
from hemline.datasets._json import whole
from hemline.datasets._lists import read_text
from hemline.errors import DataError
from hemline.types import SPLITS

PUBLISHED = {"products": 81, "train": 2_640, "val": 296, "test": 2_485}


class _Class(NamedTuple):
    name: str
    coarse: str
    picture: str
    description: str


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    if not (root / "classes.csv").is_file() and (root / "dataset").is_dir():
        root = root / "dataset"
    classes = _classes(root / "classes.csv")
    rows = [
        _row(c.picture, c, "shop", "", description=_description(root, c.description))
        for c in classes.values()
    ]
    listed = [split for split in SPLITS if (root / f"{split}.txt").is_file()]
    if not listed:
        raise DataError(f"{root} has none of train.txt, val.txt, test.txt; it lists no photos")
    for split in listed:
        rows += _photos(root / f"{split}.txt", split, classes)
    without = sum(not row["description"] for row in rows[: len(classes)])
    notes = [f"photos listed by {', '.join(f'{split}.txt' for split in listed)}"]
    if without:
        notes.append(f"{without} of {len(classes)} products have no description file")
    counted = {
        "products": len(classes),
        **{split: sum(row["split"] == split for row in rows) for split in listed},
    }
    published = {name: (PUBLISHED[name], here) for name, here in counted.items()}
    return keep_present(records_manifest(rows, root), tuple(notes), not follows(options), published)


def _row(path: str, kind: _Class, domain: str, split: str, description: str = "") -> dict[str, Any]:
    return {
        "path": path,
        "item_id": kind.name,
        "domain": domain,
        "split": split,
        "category": kind.coarse,
        "tags": [f"coarse={kind.coarse}"],
        "description": description,
    }


def _classes(file: Path) -> dict[int, _Class]:
    if not file.is_file():
        raise DataError(f"there is no {file}; the root is the folder that holds classes.csv")
    classes = {}
    lines = csv.reader(io.StringIO(read_text(file).decode(), newline=""))
    try:
        rows = list(lines)
    except csv.Error as error:
        raise DataError(f"{file}, line {lines.line_num}: no CSV: {error}") from None
    for number, cells in enumerate(rows[1:], 2):
        if not cells:
            continue
        if len(cells) != 6 or whole(cells[1].strip()) is None:
            raise DataError(
                f"{file}, line {number}: {len(cells)} cells {cells[:3]}; expected six: class, "
                "its number, coarse class, its number, picture, description"
            )
        name, fine, coarse, _, picture, description = (cell.strip() for cell in cells)
        classes[int(fine)] = _Class(name, coarse, picture.lstrip("/"), description.lstrip("/"))
    if not classes:
        raise DataError(f"{file} lists no classes")
    return classes


def _description(root: Path, path: str) -> str:
    file = root / path
    if leaves(path) or "\0" in path or not path or not file.is_file():
        return ""
    text = read_text(file, "replace").decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _photos(file: Path, split: str, classes: Mapping[int, _Class]) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_text(file).decode().split("\n"), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.rsplit(",", 2)]
        fine = whole(cells[1]) if len(cells) == 3 else None
        if fine is None or fine not in classes:
            raise DataError(
                f"{file}, line {number}: {line[:80]!r}; expected 'path, fine class, "
                f"coarse class' with a fine class of classes.csv (0 to {max(classes)})"
            )
        rows.append(_row(cells[0], classes[fine], "street", split))
    return rows


READERS: Mapping[str, ReaderSpec] = {
    "grocery": ReaderSpec(
        name="grocery",
        summary="Grocery Store Dataset: phone photos in shops against 81 shop pictures.",
        get="git clone https://github.com/marcusklasson/GroceryStoreDataset; the root is its "
        "folder `dataset`",
        licence="MIT (M. Klasson and others)",
        reader=_read,
        folder=True,
        options=LINKS,
    )
}
