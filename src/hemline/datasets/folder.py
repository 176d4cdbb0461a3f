"""A tree of images, whose folder names give item and domain.

Every image below the root is read, at any depth:

- ``ITEM/street/*.jpg`` and ``ITEM/shop/*.jpg``
- ``street/ITEM/*.jpg`` and ``shop/ITEM/*.jpg``
- ``ITEM/*.jpg``: shop images

``ITEM`` may be several folders (``dress/0017``). An image outside any item's folder is an item of
its own, named by the file without suffix; so ``street/17.jpg`` and ``shop/17.jpg`` are a pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hemline.data.manifest import Manifest
from hemline.datasets._base import (
    LINKS,
    Options,
    ReaderSpec,
    ReadReport,
    choice,
    follows,
    keep_present,
    records_manifest,
)
from hemline.datasets._files import PICTURES, find_pictures, links_note
from hemline.errors import DataError
from hemline.types import DOMAINS, SPLITS


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    split = choice(options, "split", ("", *SPLITS))
    plain = choice(options, "domain", ("shop", "street"))
    if not root.is_dir():
        raise DataError(f"{root} is a file; this format is a folder of pictures")
    rows: list[dict[str, Any]] = []
    layouts: Counter[str] = Counter()
    unnamed: list[str] = []
    follow, left = follows(options), list[str]()
    for path in find_pictures(root, follow, left):
        if not _writable(path):
            unnamed.append(path)
            continue
        layout, domain, item = _place(PurePosixPath(path), plain)
        layouts[layout] += 1
        rows.append({"path": path, "item_id": item, "domain": domain, "split": split})
    if unnamed:
        first = unnamed[0].encode("utf-8", "backslashreplace").decode()
        note = (
            f"{len(unnamed):,} pictures are left out, as their names aren't plain UTF-8: {first!r}"
        )
    if not rows and unnamed:
        raise DataError(f"{root}: {note}; rename them")
    if not rows:
        raise DataError(f"{root} holds no pictures ({', '.join(sorted(PICTURES))})")
    notes = [f"{count:,} pictures laid out as {layout}" for layout, count in layouts.most_common()]
    domains = Counter(row["domain"] for row in rows)
    if len(domains) == 1:
        notes.append(f"all are {next(iter(domains))} pictures; no folder says otherwise")
    if unnamed:
        notes.append(note)
    notes += links_note(left)
    return keep_present(records_manifest(rows, root), tuple(notes), not follow)


def _writable(path: str) -> bool:
    """Whether a manifest can hold the name: UTF-8 without control characters."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not any(ord(letter) < 32 or ord(letter) == 127 for letter in path)


def _place(path: PurePosixPath, plain: str) -> tuple[str, str, str]:
    """Layout, domain and item of one image; ``plain`` is the domain if no folder states it."""
    folders = path.parts[:-1]
    if folders and folders[0] in DOMAINS:
        item = "/".join(folders[1:])
        layout = "DOMAIN/ITEM/picture" if item else "DOMAIN/ITEM.jpg"
        return layout, folders[0], item or path.stem
    if folders and folders[-1] in DOMAINS:
        return "ITEM/DOMAIN/picture", folders[-1], "/".join(folders[:-1])
    item = "/".join(folders)
    return ("ITEM/picture" if item else "ITEM.jpg"), plain, item or path.stem


READERS: Mapping[str, ReaderSpec] = {
    "folder": ReaderSpec(
        name="folder",
        summary="A tree of pictures: ITEM/street and ITEM/shop, DOMAIN/ITEM, or plain ITEM.",
        get="lay out your pictures in folders",
        licence="that of your pictures",
        reader=_read,
        options={
            "split": "train, val or test for all rows; default empty",
            "domain": "street or shop where no folder says which; default shop",
            **LINKS,
        },
    )
}
