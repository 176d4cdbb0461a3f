"""The clothing-dataset: photos of real garments, laid flat or hung, one photo of each.

Source: A. Grigorev and contributors, "Clothing dataset", 2020,
https://github.com/alexeygrigorev/clothing-dataset, CC0

Layout: ``images.csv`` with the columns image, sender_id, label, kids, and ``images/IMAGE.jpg``.

A shop row for each photo, an item of its own. ``category`` is the label in small letters, also as
the tag ``category=``; the column ``photographer`` has the sender. The split goes by photographer:
`clothing_splits.json` lists those of val and test; senders whose photos share a backdrop stay
together. Protocol ``kinds`` asks what a photo's nearest neighbour by another photographer shows.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

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
from hemline.datasets._lists import read_text
from hemline.errors import DataError

#: Labels that name no kind.
_UNKNOWN = ("", "Not sure", "Other", "Skip")


@lru_cache(maxsize=1)
def splits() -> Mapping[str, str]:
    """Photographer → ``val`` or ``test``; all others train."""
    text = resources.files("hemline.datasets").joinpath("clothing_splits.json").read_text("utf-8")
    listed = json.loads(text)
    return {sender: split for split in ("val", "test") for sender in listed[split]}


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    table = root / "images.csv"
    if not table.is_file():
        raise DataError(f"there is no {table}; the root is the folder that holds images.csv")
    lines = csv.DictReader(io.StringIO(read_text(table).decode("utf-8-sig"), newline=""))
    missing = [name for name in ("image", "sender_id", "label") if name not in _names(lines)]
    if missing:
        found = ", ".join(_names(lines))
        raise DataError(f"{table} lacks the column {missing[0]!r}; found {found}")
    rows, unlabelled = [], 0
    for number, line in enumerate(lines, 2):
        name, label = (line["image"] or "").strip(), (line["label"] or "").strip()
        if not name or leaves(name) or "\0" in name:
            raise DataError(f"{table}, line {number}: {name[:80]!r} names no image")
        unlabelled += label in _UNKNOWN
        rows.append(_row(name, (line["sender_id"] or "").strip(), label))
    if not rows:
        raise DataError(f"{table} lists no images")
    notes = [f"split by photographer: {len(splits())} of them are kept for val and test"]
    if unlabelled:
        notes.append(f"{unlabelled} photos have no kind")
    return keep_present(records_manifest(rows, root), tuple(notes), not follows(options))


def _names(lines: csv.DictReader[str]) -> list[str]:
    return list(lines.fieldnames or [])


def _row(name: str, sender: str, label: str) -> dict[str, Any]:
    kind = "" if label in _UNKNOWN else label.lower()
    return {
        "path": f"images/{name}.jpg",
        "item_id": name,
        "domain": "shop",
        "split": splits().get(sender, "train"),
        "category": kind,
        "tags": [f"category={kind}"] if kind else [],
        "photographer": sender,
    }


READERS: Mapping[str, ReaderSpec] = {
    "clothing": ReaderSpec(
        name="clothing",
        summary="clothing-dataset: photos of garments laid flat or hung, by photographer.",
        get="git clone https://github.com/alexeygrigorev/clothing-dataset",
        licence="CC0 (A. Grigorev and contributors)",
        reader=_read,
        folder=True,
        options=LINKS,
    )
}
