"""DeepFashion2: users' and shops' photos with every garment annotated.

Source: Y. Ge, R. Zhang, L. Wu, X. Wang, X. Tang, P. Luo, "DeepFashion2: A Versatile Benchmark for
Detection, Pose Estimation, Segmentation and Re-Identification of Clothing Images", CVPR 2019,
https://github.com/switchablenorms/DeepFashion2

Layout: ``train`` and ``validation`` (one of them is enough), each with ``image/000001.jpg`` and
``annos/000001.json``: ``source`` (user, shop), ``pair_id``, ``item1`` … with category, ``style``,
``bounding_box`` and ``landmarks``. The test pictures have no annotations and are skipped.

A row for each garment; the first of a picture has the picture's name as its id, the others
``#2``, ``#3`` …. Two garments match where they have the same pair and the same style above 0: the
item is ``pair/style``. A garment of style 0 has no match and an item of its own,
``pair/0/split-picture-garment``. Further columns: ``style``, ``scale``, ``occlusion``,
``zoom_in``, ``viewpoint`` (the data set's numbers).

Protocol ``deepfashion2`` (clothes retrieval): users' garments searched among the shops'. A garment
of style 0 has no match: it is never a query, and is a distractor in the gallery.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.manifest.validate import BOX, SCHEMA
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items, text_column
from hemline.datasets._arrow import pa
from hemline.datasets._base import (
    LINKS,
    Options,
    ReaderSpec,
    ReadReport,
    beside,
    checked,
    more_notes,
)
from hemline.datasets._deepfashion2_marks import GARMENTS, eight
from hemline.datasets._json import number, read_json, whole
from hemline.errors import DataError
from hemline.files import absolute

#: Pictures as released, for research; the paper counts those of the whole data set.
PUBLISHED = {"train images": 191_961, "validation images": 32_153}
_SPLITS = {"train": "train", "validation": "val"}
_DOMAINS = {"user": "street", "shop": "shop"}
_NUMBERS = ("style", "scale", "occlusion", "zoom_in", "viewpoint")
#: Bytes of one annotation; the largest published one has some 300 thousand.
_LARGEST = 16 << 20


class _Rows:
    """The columns, as lists, and the problems found."""

    def __init__(self) -> None:
        names = ("image_id", "path", "item_id", "domain", "split", "category", *BOX, "landmarks")
        self.columns: dict[str, list[Any]] = {name: [] for name in (*names, *_NUMBERS)}
        self.wrong: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def count(self, what: str, file: str) -> None:
        self.wrong[what] += 1
        self.first.setdefault(what, file)

    def notes(self) -> list[str]:
        return [f"{n:,} {what}, the first in {self.first[what]}" for what, n in self.wrong.items()]


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    there = [name for name in _SPLITS if (root / name / "annos").is_dir()]
    if not there:
        raise DataError(
            f"{root} has neither train/annos nor validation/annos; the root is the folder that "
            "holds train and validation"
        )
    rows, counted = _Rows(), {}
    for name in there:
        files = sorted(
            entry.name for entry in os.scandir(root / name / "annos") if _is_annotation(entry)
        )
        counted[f"{name} images"] = len(files)
        for file in files:
            _picture(root / name / "annos" / file, name, rows)
    if not rows.columns["path"]:
        raise DataError("; ".join([f"{root}: no garment is annotated", *rows.notes()]))
    counts = beside(PUBLISHED, counted)
    manifest, report = checked(_arrays(rows), root, absolute(root), options, rows.notes(), counts)
    return manifest, more_notes(report, *_shared(manifest))


def _is_annotation(entry: os.DirEntry[str]) -> bool:
    stem, dot, suffix = entry.name.rpartition(".")
    return suffix == "json" and bool(dot) and stem.isascii() and stem.isalnum()


def _picture(file: Path, split: str, rows: _Rows) -> None:
    try:
        found = read_json(file, _LARGEST)
    except DataError as error:
        rows.count("annotations that can't be read", f"{split}/{file.name} ({error})"[:300])
        return
    where = f"{split}/{file.name}"
    if not isinstance(found, dict):
        rows.count("annotations that hold no garments", where)
        return
    domain, pair = _DOMAINS.get(str(found.get("source"))), whole(found.get("pair_id"))
    if domain is None or pair is None:
        rows.count("annotations without source (user, shop) or pair_id", where)
        return
    path = f"{split}/image/{file.stem}.jpg"
    garments = 0
    for key, item in _garments(found):
        kind, style = whole(item.get("category_id"), 1, len(GARMENTS)), whole(item.get("style"))
        if kind is None or style is None:
            rows.count("garments without category_id (1-13) or style, left out", where)
            continue
        garments += 1
        columns = rows.columns
        columns["image_id"].append(path if garments == 1 else f"{path}#{garments}")
        columns["path"].append(path)
        alone = f"{pair}/0/{split}-{file.stem}-{key}"
        columns["item_id"].append(f"{pair}/{style}" if style else alone)
        columns["domain"].append(domain)
        columns["split"].append(_SPLITS[split])
        columns["category"].append(GARMENTS[kind].name)
        for name, side in zip(BOX, _box(item.get("bounding_box"), where, rows), strict=True):
            columns[name].append(side)
        marks = eight(kind, item.get("landmarks"))
        if marks is None:
            rows.count(
                "garments whose landmarks aren't those of their category, without any", where
            )
        columns["landmarks"].append(None if marks is None else marks.ravel())
        for name in _NUMBERS:
            columns[name].append(whole(item.get(name), 0, 2**31 - 1))
    if not garments:
        rows.count("annotations that hold no garments", where)


def _garments(found: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """``item1``, ``item2`` … in the order of their numbers."""
    numbered = [(key[4:], value) for key, value in found.items() if key[:4] == "item"]
    known = [(int(k), v) for k, v in numbered if k.isascii() and k.isdecimal() and len(k) < 6]
    for key, value in sorted(known, key=lambda one: one[0]):
        if isinstance(value, dict):
            yield key, value


def _box(value: Any, where: str, rows: _Rows) -> tuple[float | None, ...]:
    sides = [number(v) for v in value] if isinstance(value, list) and len(value) == 4 else []
    if sides and sides[2] > sides[0] and sides[3] > sides[1]:
        return tuple(sides)
    rows.count("garments whose box has no area or is none, without box", where)
    return (None,) * 4


def _arrays(rows: _Rows) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, values in rows.columns.items():
        if name == "landmarks":
            columns[name] = pa.array(values, SCHEMA[name])
        else:
            columns[name] = pa.array(values, pa.int64() if name in _NUMBERS else SCHEMA[name])
    return columns


def _shared(manifest: Manifest) -> list[str]:
    """A note if an item is in both splits, since pair numbers would then clash."""
    split, item = manifest.column("split"), manifest.column("item_id")
    matched = np.asarray(manifest.column("style")) > 0
    both = set(item[(split == "train") & matched]) & set(item[(split == "val") & matched])
    if not both:
        return []
    return [f"{len(both):,} items are in train and in val, as {min(both)}"]


READERS: Mapping[str, ReaderSpec] = {
    "deepfashion2": ReaderSpec(
        name="deepfashion2",
        summary="DeepFashion2: every garment of customers' and shops' photos.",
        get="fill in the form at https://github.com/switchablenorms/DeepFashion2 for the password, "
        "then unpack train.zip and validation.zip side by side",
        licence="non-commercial research only",
        reader=_read,
        folder=True,
        options=LINKS,
    )
}


def deepfashion2(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Users' garments of val with a style, among all shop garments of val."""
    role, split = roles(manifest), text_column(manifest, "split")
    items = text_column(manifest, "item_id")
    styled = np.fromiter((not _unmatched(item) for item in items.tolist()), bool, len(items))
    queries = np.flatnonzero((role == "query") & (split == "val") & styled)
    gallery = np.flatnonzero((role == "gallery") & (split == "val"))
    stated = {
        "queries": "users' garments of val whose style is above 0",
        "gallery": "all shop garments of val, those of style 0 too",
        "items": "the queries' products are kept out of training",
    }
    held_out = set(items[queries].tolist())
    return (match_items("deepfashion2", manifest, queries, gallery, choices, stated, held_out),)


def _unmatched(item: str) -> bool:
    """Whether ``pair/style`` has style 0 (a reader may number those: ``pair/0/3``)."""
    parts = item.split("/")
    return len(parts) > 1 and parts[1].partition("#")[0] == "0"


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "deepfashion2": ProtocolSpec(
        deepfashion2,
        queries="users' garments of val whose style is above 0",
        gallery="all shop garments of val, those of style 0 too",
        products="the queries' products are kept out of training",
        crop="box",
    )
}
