"""A plain tree of pictures; the folders' names say what each shows.

Every picture below the root is taken, whatever its depth:

- ``ITEM/street/*.jpg`` and ``ITEM/shop/*.jpg``
- ``street/ITEM/*.jpg`` and ``shop/ITEM/*.jpg``
- ``ITEM/*.jpg``: shop pictures

``ITEM`` may be several folders (``dress/0017``). A picture that lies in no item's folder is an item
of its own, named by the file without suffix; so ``street/17.jpg`` and ``shop/17.jpg`` are a pair.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hemline.data.manifest import Manifest
from hemline.data.readers._base import (
    PICTURES,
    Options,
    ReaderSpec,
    ReadReport,
    choice,
    keep_present,
    records_manifest,
)
from hemline.errors import DataError
from hemline.types import DOMAINS, SPLITS


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    split = choice(options, "split", ("", *SPLITS))
    plain = choice(options, "domain", ("shop", "street"))
    if not root.is_dir():
        raise DataError(f"{root} is a file; this format is a folder of pictures")
    rows: list[dict[str, Any]] = []
    layouts: Counter[str] = Counter()
    for path in _pictures(root):
        layout, domain, item = _place(PurePosixPath(path), plain)
        layouts[layout] += 1
        rows.append({"path": path, "item_id": item, "domain": domain, "split": split})
    if not rows:
        raise DataError(f"{root} holds no pictures ({', '.join(sorted(PICTURES))})")
    notes = [f"{count:,} pictures laid out as {layout}" for layout, count in layouts.most_common()]
    domains = Counter(row["domain"] for row in rows)
    if len(domains) == 1:
        notes.append(f"all are {next(iter(domains))} pictures; no folder says otherwise")
    return keep_present(records_manifest(rows, root), tuple(notes))


def _pictures(root: Path) -> Iterator[str]:
    """The pictures below ``root``, as ``a/b.jpg``, sorted; hidden files and folders left out."""
    for folder, inner, files in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        below = Path(folder).relative_to(root)
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES:
                yield (below / name).as_posix()


def _place(path: PurePosixPath, plain: str) -> tuple[str, str, str]:
    """Layout, domain and item of one picture; ``plain`` is the domain that no folder states."""
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
        },
    )
}
