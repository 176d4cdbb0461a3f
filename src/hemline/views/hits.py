"""What a search found, as a page or an image: photos, hits, and where the model attended."""

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
from hemline.views.drawing import boxed
from hemline.views.sheet import Row, Tile, write_page, write_sheet

#: Hits that are drawn.
SHOWN = 8


def write_hits(
    path: Path, catalog: Catalog, answers: Sequence[tuple[Path, SearchResult]], shown: int = SHOWN
) -> None:
    """Draws each photo beside its first ``shown`` hits.

    A .html file shows the searched part of each photo, with the attention of its hits; a .png or
    .jpg shows the whole photo with its box.

    Raises:
        ImageError: a photo can't be opened, or another suffix.
        OSError: the file can't be written.
    """
    page = path.suffix.lower() == ".html"
    rows = []
    for file, answer in answers:
        photo = open_image(file)
        photo = crop(photo, answer.box) if page else boxed(photo, answer.box)
        count = len(answer.hits)
        verdict = f"{count} products found" if count else "no product is found"
        title, hits = file.name, answer.hits[:shown]
        tiles = hit_tiles(catalog, hits)
        if page:
            title = f"{title}, in {answer.timings_ms['total']:.0f} ms"
        else:
            for tile, hit in zip(tiles, hits, strict=True):
                tile.note = f"{hit.item_id}, {tile.note}" if hit.columns.get("title") else tile.note
                tile.title = f"{hit.rank}. {tile.title}"
        rows.append(Row(Tile(photo, title), tiles, verdict, judged=False))
    products, model = catalog.store.counts().items, catalog.bundle.info.name
    note = f"Searched among {products:,} products by the model {model}."
    write = write_page if page else write_sheet
    write(path, rows, "Photos, and the products found for them", note)


def hit_tiles(catalog: Catalog, hits: Sequence[Hit], right: str = "") -> list[Tile]:
    """A tile for each hit; that of the item ``right`` is marked."""
    stored = catalog.store.get([hit.image_id for hit in hits])
    return [
        Tile(
            image_of(catalog, stored.get(hit.image_id)),
            str(hit.columns.get("title") or hit.item_id),
            note_of(hit),
            hit.item_id == right,
            hit.attention,
            hit.rank,
        )
        for hit in hits
    ]


def image_of(catalog: Catalog, row: CatalogRow | None) -> Image:
    """The stored copy of a row's image; grey where there is none, so that other hits are drawn."""
    path = None if row is None else catalog.image_path(row)
    try:
        if path is not None:
            return open_image(path)
    except ImageError:
        pass
    return np.full((8, 8, 3), 235, np.uint8)


def price_of(columns: Mapping[str, Any]) -> str:
    """The price with two decimals, or nothing."""
    price = columns.get("price")
    return f"{price:,.2f}" if isinstance(price, int | float) else ""


def note_of(hit: Hit) -> str:
    """The line below a hit: its price, where it has one, and its score."""
    return ", ".join(word for word in (price_of(hit.columns), f"score {hit.score:.3f}") if word)
