"""What a catalogue holds, what made it, and what it takes on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.catalog import pointer

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

#: Of the catalogue's folder, what isn't the store's.
_OTHERS = ("pictures", "bundle")


def stats(catalog: Catalog) -> dict[str, Any]:
    """See `Catalog.stats`."""
    live = catalog.live()
    counts, info = live.store.counts(), live.bundle.info
    held = 0 if live.home is None else _bytes(live.home, skip=_OTHERS)
    copies = 0 if catalog.folder is None else _bytes(catalog.folder / "pictures")
    unfinished = [] if catalog.folder is None else [p.name for p in pointer.later(catalog.folder)]
    found: dict[str, Any] = {
        "catalog": str(catalog.folder or "memory"),
        "items": counts.items,
        "pictures": counts.images,
        "columns": ["category", "tags", *live.store.columns()],
        "model": info.name,
        "fingerprint": live.store.fingerprint,
        "embedding_dim": live.store.dim,
        "reranks": info.reranks,
        "uses_tags": info.uses_tags,
        **live.store.stats(),
        "store_bytes": held,
        "copies_bytes": copies,
    }
    if unfinished:
        found["unfinished_rebuild"] = unfinished
    return found


def _bytes(folder: Path, skip: tuple[str, ...] = ()) -> int:
    """Of all files below a folder, without some of its own parts and rebuilt stores."""
    total = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name in skip or path.name.startswith("rebuilt-"):
            continue
        if path.is_dir():
            total += _bytes(path)
        else:
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
    return total
