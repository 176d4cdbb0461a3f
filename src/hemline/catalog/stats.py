"""Statistics of a catalogue: counts, bundle and disk space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.catalog import pointer

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

#: Parts of the catalogue's folder that aren't the store's.
_OTHERS = ("pictures", "bundle")


def stats(catalog: Catalog) -> dict[str, Any]:
    """See `Catalog.stats`."""
    live = catalog.live()
    counts, info = live.store.counts(), live.bundle.info
    held = 0 if live.folder is None else _bytes(live.folder, skip=_OTHERS)
    copies = 0 if catalog.folder is None else _bytes(catalog.folder / "pictures")
    rebuilds = pointer.unfinished(catalog.folder) if catalog.folder else []
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
    if rebuilds:
        found["unfinished_rebuild"] = [folder.name for folder in rebuilds]
    return found


def _bytes(folder: Path, skip: tuple[str, ...] = ()) -> int:
    """The bytes of all files below a folder, without ``skip`` and rebuilt stores in it."""
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
