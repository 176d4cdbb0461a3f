"""Photos and their hits, as one image or as one HTML page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hemline.types import FloatArray, Image
from hemline.views.drawing import INK, canvas, clipped, encode, fill, fit, write, write_image
from hemline.views.page import data_uri, jpeg_uri, write_html

_FAINT, _RIGHT, _WRONG = (120, 120, 124), (22, 128, 92), (214, 214, 210)
#: Pixels of a sheet: a cell's side, gaps, the caption below a cell, the title above all.
SIDE, GAP, CAPTION, TITLE = 168, 14, 40, 56


@dataclass(slots=True)
class Tile:
    """One image with its caption.

    Attributes:
        image: upright RGB.
        title, note: two lines below it.
        right: whether it is the right answer.
        attention: (rows, columns) over the query photo, or None.
        rank: shown on it where it isn't its place in the row.
        lost: it was not found and is shown for comparison.
    """

    image: Image
    title: str = ""
    note: str = ""
    right: bool = False
    attention: FloatArray | None = None
    rank: int | None = None
    lost: bool = False


@dataclass(slots=True)
class Row:
    """A query's photo, its hits (best first) and the outcome in a few words.

    ``judged``: whether it is known which item is right.
    """

    photo: Tile
    hits: list[Tile] = field(default_factory=list)
    verdict: str = ""
    judged: bool = True


def write_sheet(
    path: Path, rows: Sequence[Row], title: str, note: str = "", abreast: int = 1
) -> None:
    """Writes a .png or .jpg: photo left, hits right, the right answer framed in green.

    Args:
        abreast: blocks of rows that stand side by side.

    Raises:
        ImageError: another suffix.
        OSError: it can't be written.
    """
    columns = 1 + max((len(row.hits) for row in rows), default=0)
    block, high = GAP + columns * (SIDE + GAP) + GAP, max(1, -(-len(rows) // abreast))
    width = abreast * block
    sheet = canvas(TITLE + high * (SIDE + CAPTION + GAP), width)
    write(sheet, clipped(title, width - 2 * GAP, 18), (GAP, 26), 18, INK)
    write(sheet, clipped(note, width - 2 * GAP, 12), (GAP, 46), 12, _FAINT)
    for number, row in enumerate(rows):
        top, aside = TITLE + number % high * (SIDE + CAPTION + GAP), number // high * block
        _draw(sheet, row.photo, row.verdict, aside + GAP, top)
        for place, tile in enumerate(row.hits, 1):
            left = aside + 2 * GAP + place * (SIDE + GAP)  # a wider gap sets the photo apart
            edge, thick = (_RIGHT, 4) if tile.right else (_WRONG, 1)
            corner = left - thick, top - thick
            opposite = left + SIDE + thick - 1, top + SIDE + thick - 1
            fill(sheet, corner, opposite, edge)
            _draw(sheet, tile, tile.note, left, top)
    write_image(path, sheet)


def _draw(sheet: Image, tile: Tile, note: str, left: int, top: int) -> None:
    sheet[top : top + SIDE, left : left + SIDE] = fit(tile.image, SIDE)
    ink = _RIGHT if tile.right else INK
    write(sheet, clipped(tile.title, SIDE, 12), (left, top + SIDE + 18), 12, ink)
    write(sheet, clipped(note, SIDE, 11), (left, top + SIDE + 34), 11, _FAINT)


def write_page(path: Path, rows: Sequence[Row], title: str, note: str = "") -> None:
    """Writes one HTML file with every image in it (`hemline.views.page`)."""
    write_html(path, "hits", title, note, "\n".join(map(row_html, rows)))


def row_html(row: Row) -> str:
    """One query of a page: its photo, the outcome and its hits."""
    hits = "".join(_hit_html(place, tile) for place, tile in enumerate(row.hits, 1))
    attends = any(tile.attention is not None for tile in row.hits)
    hint = '<span class="hint">point at a hit to see where it looked</span>' if attends else ""
    found = "found" if any(tile.right and not tile.lost for tile in row.hits) else "missed"
    found = found if row.judged else "asked"
    return (
        f'<section class="{found}"><figure class="photo"><div class="frame">'
        f'<img src="{_jpeg(row.photo.image)}" alt="street photo"><div class="heat"></div></div>'
        f"<figcaption><b>{html.escape(row.verdict)}</b>{html.escape(row.photo.title)}{hint}"
        f"</figcaption></figure><ol>{hits}</ol></section>"
    )


def _hit_html(place: int, tile: Tile) -> str:
    heat = "" if tile.attention is None else f' data-heat="{_overlay(tile.attention)}"'
    right = f' class="right{" lost" * tile.lost}"' if tile.right else ""
    number = "–" if tile.lost else str(tile.rank or place)
    badge = '<span class="badge">the product</span>' if tile.right else ""
    return (
        f'<li{right}{heat} tabindex="0"><div class="frame"><img decoding="async" '
        f'src="{_jpeg(tile.image)}" alt="{html.escape(tile.title)}">'
        f"<i>{number}</i>{badge}</div>"
        f"<p>{html.escape(tile.title)}</p><small>{html.escape(tile.note)}</small></li>"
    )


def _jpeg(image: Image) -> str:
    return jpeg_uri(image, quality=85, max_side=320)


def _overlay(attention: FloatArray) -> str:
    """(rows, columns) weights ≥ 0 → a tiny transparent PNG that the page stretches."""
    low, high = float(attention.min()), float(attention.max())
    share = (attention - low) / (high - low) if high > low else np.zeros_like(attention)
    tiny = np.empty((*attention.shape, 4), np.uint8)
    tiny[..., :3] = (255, 90, 40)  # a warm orange
    tiny[..., 3] = (share * 190).round().astype(np.uint8)
    return data_uri(encode(tiny, "PNG"), "png")
