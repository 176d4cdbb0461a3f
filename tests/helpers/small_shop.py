"""A catalogue of flat-coloured pictures, for tests of its upkeep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.catalog.store import Store
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.types import Record


def write_picture(path: Path, seed: int) -> None:
    """Four flat quarters, coloured by ``seed``; so old that its time of change is trusted."""
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(image))
    os.utime(path, (1_600_000_000 + seed, 1_600_000_000 + seed))


def manifest(root: Path, count: int, start: int = 0) -> Manifest:
    """Products of two pictures each."""
    rows = []
    for n in range(start, start + count):
        write_picture(root / f"{n}.jpg", n)
        rows.append(
            Record(
                image_id=f"{n}.jpg",
                path=f"{n}.jpg",
                item_id=f"item{n // 2}",
                domain="shop",
                category="dress" if n % 3 else "shirt",
                tags=("colour=red",) if n % 2 else (),
                extra={"price": float(n), "title": f"No. {n}"},
            )
        )
    return Manifest.from_records(rows, root)


def state(catalog: Catalog) -> dict[str, Any]:
    """All that is stored of each picture, but its number."""
    return store_state(catalog.live().store)


def store_state(store: Store) -> dict[str, Any]:
    return {
        row.image_id: (
            row.item_id, row.category, row.tags, dict(row.columns), row.source, row.image_digest,
            row.norm, row.embedding.tobytes(),
        )
        for row in store.rows()
    }  # fmt: skip
