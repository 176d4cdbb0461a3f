"""What a search found, as a page for people: photos, products, and where the model looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.catalog.store import Row as CatalogRow
from hemline.data.images import crop, open_image
from hemline.errors import ImageError
from hemline.types import Hit, Image, SearchResult
from hemline.views.sheet import Row, Tile, write_page

SHOWN = 8


def write_answers(
    path: Path, catalog: Catalog, answers: Sequence[tuple[Path, SearchResult]], shown: int = SHOWN
) -> None:
    """One HTML file: each photo, cut to its box, beside its first ``shown`` products.

    Raises:
        ImageError: a photo can't be opened.
        OSError: the file can't be written.
    """
    rows = []
    for file, answer in answers:
        photo = crop(open_image(file), answer.box)
        found = len(answer.hits)
        verdict = f"{found} products found" if found else "no product is found"
        note = f"{file.name}, in {answer.timings_ms['total']:.0f} ms"
        tiles = _tiles(catalog, answer.hits[:shown])
        rows.append(Row(Tile(photo, note), tiles, verdict, judged=False))
    counts = catalog.store.counts()
    info = catalog.bundle.info
    note = f"Searched among {counts.items:,} products by the model {info.name}."
    write_page(path, rows, "Photos, and the products found for them", note)


def _tiles(catalog: Catalog, hits: Sequence[Hit]) -> list[Tile]:
    stored = catalog.store.get([hit.image_id for hit in hits])
    return [
        Tile(
            picture_of(catalog, stored.get(hit.image_id)),
            str(hit.columns.get("title") or hit.item_id),
            note_of(hit),
            heat=hit.attention,
            rank=hit.rank,
        )
        for hit in hits
    ]


def picture_of(catalog: Catalog, row: CatalogRow | None) -> Image:
    """The stored copy of a row's picture, or grey where there is none: the other hits stay."""
    path = None if row is None else catalog.picture(row)
    try:
        if path is not None:
            return open_image(path)
    except ImageError:
        pass
    return np.full((8, 8, 3), 235, np.uint8)


def price_of(columns: Mapping[str, Any]) -> str:
    """The price as people write it, or nothing."""
    price = columns.get("price")
    return f"{price:,.2f}" if isinstance(price, int | float) else ""


def note_of(hit: Hit) -> str:
    """The line below a hit: its price, where it has one, and its score."""
    return ", ".join(word for word in (price_of(hit.columns), f"score {hit.score:.3f}") if word)
