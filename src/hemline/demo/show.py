"""The demo for a person: photos and what was found for them, as a page and as an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hemline.data.images import crop, open_image
from hemline.demo.shop import Shop
from hemline.progress import Advance, no_advance
from hemline.search.engine import Engine
from hemline.types import Hit
from hemline.views.hits import hit_tiles, image_of, price_of
from hemline.views.sheet import Row, Tile, write_page, write_sheet

#: Hits searched for the right product, and hits shown.
DEPTH, SHOWN = 20, 6


def show(
    shop: Shop, folder: Path, *, photos: int = 12, advance: Advance = no_advance
) -> dict[str, Any]:
    """Searches with a few photos, spread evenly over the shop; writes ``demo.html``, ``demo.png``.

    Returns:
        ``page``, ``sheet``, ``photos`` (each with its rank and hits), and how many were found.
    """
    engine = Engine(shop.catalog)
    engine.warm()  # the times shown are those of searches, not of loading the graphs
    chosen = shop.some_photos(photos)
    rows: list[Row] = []
    searched: list[dict[str, Any]] = []
    for number, row in enumerate(chosen):
        drawn, result = _search(shop, engine, int(row))
        rows.append(drawn)
        searched.append(result)
        advance(number + 1, len(chosen))
    first = sum(result["rank"] == 1 for result in searched)
    within = sum(result["rank"] is not None for result in searched)
    info = shop.info
    title = "Street photos, and the product in the shop"
    note = (
        f"{len(searched)} photos, spread evenly over {len(shop.photos):,} drawn products and not "
        f"chosen. The model {info.name} had seen none of these products: it put the right one "
        f"first for {first} of {len(searched)} photos, and among the first {DEPTH} for {within}."
    )
    page, sheet = folder / "demo.html", folder / "demo.png"
    write_page(page, rows, title, note)
    write_sheet(sheet, rows, title, note)
    return {
        "page": str(page),
        "sheet": str(sheet),
        "found_first": first,
        f"found_in_{DEPTH}": within,
        "photos": searched,
        "gallery_products": len(shop.photos),
        "model": info.name,
        "fingerprint": info.fingerprint,
        "catalog": str(shop.catalog.folder),
        "seconds": {name: round(s, 2) for name, s in shop.seconds.items()},
    }


def _search(shop: Shop, engine: Engine, row: int) -> tuple[Row, dict[str, Any]]:
    """One photo's hits: drawn, and as JSON."""
    record, file, box = shop.manifest[row], shop.manifest.file(row), shop.box(row)
    photo = open_image(file)
    answer = engine.search(photo, DEPTH, box, every=shop.every)
    rank = next((hit.rank for hit in answer.hits if hit.item_id == record.item_id), None)
    query = crop(photo, box)
    title = str(record.extra.get("title") or record.category)
    drawn = Row(
        Tile(query, f"{title}, in {answer.timings_ms['total']:.0f} ms"),
        _tiles(shop, answer.hits, record.item_id),
        f"found as number {rank}" if rank else f"not among the first {DEPTH}",
    )
    hits = [
        {"item_id": hit.item_id, "score": hit.score, "rank": hit.rank}
        for hit in answer.hits[:SHOWN]
    ]
    return drawn, {
        "photo": str(file),
        "item_id": record.item_id,
        "rank": rank,
        "hits": hits,
        "timings_ms": dict(answer.timings_ms),
    }


def _tiles(shop: Shop, hits: Sequence[Hit], right: str) -> list[Tile]:
    """The first hits; the right product comes last if it ranks lower or was not found."""
    shown = list(hits[:SHOWN])
    if not any(hit.item_id == right for hit in shown):
        shown = shown[:-1] + [hit for hit in hits if hit.item_id == right]
    tiles = hit_tiles(shop.catalog, shown, right)
    if not any(tile.right for tile in tiles):
        for row in shop.catalog.store.items([right])[:1]:
            image = image_of(shop.catalog, row)
            title = str(row.columns.get("title") or right)
            note = f"{price_of(row.columns)}, not found".removeprefix(", ")
            tiles.append(Tile(image, title, note, right=True, lost=True))
    return tiles
