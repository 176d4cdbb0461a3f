"""The Grocery Store Dataset: phone photos from shops, and the shop's own picture of each product.

Source: M. Klasson, C. Zhang, H. Kjellström, "A Hierarchical Grocery Store Image Dataset with
Visual and Semantic Labels", WACV 2019, https://github.com/marcusklasson/GroceryStoreDataset

Layout, below the root or its folder ``dataset``:

- ``classes.csv``: fine class, its number, coarse class, its number, iconic picture, description.
- ``train.txt``, ``val.txt``, ``test.txt`` (each where present): ``path, fine, coarse``.

A street row for each photo, in the split that lists it; a shop row for each fine class, in none.
``item_id`` is the fine class's name, ``category`` the coarse one's, also as the tag ``coarse=``.
The shop row keeps the description's text in the column ``description``.

Protocols. The paper classifies; the search, phone photos among 81 shop images, is this project's:

- ``grocery``: the photos of ``val.txt``; items are in train and test alike, as published.
- ``grocery-coarse``: the same, and every item of the photo's coarse class is right.
- ``grocery-folds``: five folds of items (``grocery_folds.json``) kept out of training altogether;
  all their photos of train and val are queries, every shop image is in the gallery.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolGroup, ProtocolSpec, roles
from hemline.data.relevance import Right, match_items, text_column
from hemline.datasets._base import (
    LINKS,
    Options,
    ReaderSpec,
    ReadReport,
    beside,
    follows,
    keep_present,
    records_manifest,
)
from hemline.datasets._files import leaves
from hemline.datasets._json import whole
from hemline.datasets._lists import read_text
from hemline.errors import DataError, UsageError
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
    manifest = records_manifest(rows, root)
    published = beside(PUBLISHED, counted)
    return keep_present(manifest, tuple(notes), not follows(options), published)


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


@lru_cache(maxsize=1)
def folds() -> tuple[frozenset[str], ...]:
    """The committed folds: each a set of item ids; together the 81 products."""
    text = resources.files("hemline.datasets").joinpath("grocery_folds.json").read_text("utf-8")
    return tuple(frozenset(names) for names in json.loads(text)["folds"])


def _of_val(
    name: str, manifest: Manifest, choices: Choices, right: Right | None = None, **stated: str
) -> tuple[Protocol, ...]:
    """Photos of ``val`` against every shop picture."""
    role, split = roles(manifest), text_column(manifest, "split")
    known = {
        "queries": "phone photos of val",
        "gallery": "every shop picture",
        "items": "seen in training too, as published",
    }
    queries = np.flatnonzero((role == "query") & (split == "val"))
    gallery = np.flatnonzero(role == "gallery")
    return (match_items(name, manifest, queries, gallery, choices, known | stated, right=right),)


def grocery_coarse(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Photos of ``val``; any product of the photo's coarse class (its category) is right.

    Raises:
        DataError: a row has no category.
    """
    kind, items = text_column(manifest, "category"), text_column(manifest, "item_id")
    if (kind == "").any():
        raise DataError(
            f"{int((kind == '').sum())} rows have no category; protocol 'grocery-coarse' takes the "
            "coarse class from it"
        )
    members: dict[str, set[str]] = {}
    for name, item in zip(kind.tolist(), items.tolist(), strict=True):
        members.setdefault(name, set()).add(item)
    right = {name: frozenset(products) for name, products in members.items()}
    relevance = f"any product of the photo's coarse class, {len(right)} classes"
    return _of_val(
        "grocery-coarse", manifest, choices, lambda row: right[str(kind[row])], relevance=relevance
    )


def grocery_folds(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """One protocol for each fold of products, or the one of ``choices.fold``.

    Raises:
        UsageError: there is no such fold.
        DataError: the manifest isn't of these products.
    """
    known = folds()
    numbers = range(len(known))
    if choices.fold is not None:
        if choices.fold not in numbers:
            raise UsageError(f"fold is 0 to {len(known) - 1}, not {choices.fold}")
        numbers = range(choices.fold, choices.fold + 1)
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    strange = set(items.tolist()) - frozenset().union(*known)
    if strange:
        raise DataError(
            f"{len(strange)} products are not in the committed folds of the grocery data (the "
            f"first: {min(strange)!r}); make the manifest by 'hemline data read grocery ROOT -o M'"
        )
    role = roles(manifest)
    gallery = np.flatnonzero(role == "gallery")
    group = ProtocolGroup(
        "grocery-folds",
        "folds",
        {
            "queries": "all phone photos of each fold's products",
            "items": f"{len(numbers)} folds of products, pooled over all queries",
        },
    )
    built = []
    for number in numbers:
        kept_out = known[number]
        inside = np.fromiter((item in kept_out for item in items.tolist()), bool, len(items))
        stated = {
            "queries": f"all phone photos of the {len(kept_out)} products of fold {number}",
            "gallery": "every shop picture",
            "items": f"fold {number} of {len(known)} kept out of training altogether",
        }
        queries = np.flatnonzero((role == "query") & inside)
        built.append(
            match_items(
                f"grocery-folds/{number}",
                manifest,
                queries,
                gallery,
                choices,
                stated,
                kept_out,
                group=group,
            )
        )
    return tuple(built)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "grocery": ProtocolSpec(
        partial(_of_val, "grocery"),
        queries="phone photos of val",
        gallery="all 81 shop pictures",
        products="seen in training too, as published",
    ),
    "grocery-coarse": ProtocolSpec(
        grocery_coarse,
        queries="phone photos of val; any product of the photo's coarse class is right",
        gallery="all 81 shop pictures",
        products="seen in training too, as published",
    ),
    "grocery-folds": ProtocolSpec(
        grocery_folds,
        queries="all photos of train and val of a fold's products",
        gallery="all 81 shop pictures",
        products="five committed folds, kept out of training altogether",
    ),
}
