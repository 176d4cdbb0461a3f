"""Photos and what was found for them, shown: a PNG, or one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template

import cv2
import numpy as np

from hemline.data.images import encode_jpeg
from hemline.files import write_durable
from hemline.types import FloatArray, Image

_PAPER, _INK, _FAINT = (250, 250, 248), (32, 33, 36), (120, 120, 124)
_RIGHT, _WRONG = (22, 128, 92), (214, 214, 210)
_SIDE, _GAP, _TEXT, _TOP = 168, 14, 40, 56


@dataclass(slots=True)
class Tile:
    """One picture with its words.

    Attributes:
        image: upright RGB.
        title, note: two lines below it.
        right: whether it is the right answer.
        heat: (rows, columns) weights of the query photo's places when it looked for this one.
        rank: shown on it where it isn't simply its place in the row.
        lost: it was not found at all, and is shown for comparison.
    """

    image: Image
    title: str = ""
    note: str = ""
    right: bool = False
    heat: FloatArray | None = None
    rank: int | None = None
    lost: bool = False


@dataclass(slots=True)
class Row:
    """A query's photo, its hits (best first) and what came of it in a few words.

    ``judged``: whether it is known which product is right.
    """

    photo: Tile
    hits: list[Tile] = field(default_factory=list)
    verdict: str = ""
    judged: bool = True


def write_sheet(path: Path, rows: Sequence[Row], title: str, note: str = "") -> None:
    """One PNG: photo left, hits right, the right answer framed in green."""
    columns = 1 + max((len(row.hits) for row in rows), default=0)
    width = _GAP + columns * (_SIDE + _GAP) + _GAP
    height = _TOP + max(1, len(rows)) * (_SIDE + _TEXT + _GAP)
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    _write(sheet, title, _GAP, 26, 0.6, _INK, width - 2 * _GAP)
    _write(sheet, note, _GAP, 46, 0.4, _FAINT, width - 2 * _GAP)
    for number, row in enumerate(rows):
        top = _TOP + number * (_SIDE + _TEXT + _GAP)
        for place, tile in enumerate([row.photo, *row.hits]):
            left = _GAP + place * (_SIDE + _GAP) + (_GAP if place else 0)
            if place:
                edge, thick = (_RIGHT, 4) if tile.right else (_WRONG, 1)
                cv2.rectangle(
                    sheet,
                    (left - thick, top - thick),
                    (left + _SIDE + thick - 1, top + _SIDE + thick - 1),
                    edge,
                    -1,
                )
            sheet[top : top + _SIDE, left : left + _SIDE] = _fit(tile.image, _SIDE)
            text = top + _SIDE + 18
            ink = _RIGHT if tile.right else _INK
            _write(sheet, tile.title, left, text, 0.4, ink, _SIDE)
            _write(
                sheet,
                row.verdict if place == 0 else tile.note,
                left,
                text + 16,
                0.37,
                _FAINT,
                _SIDE,
            )
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"the sheet {path} can't be encoded")
    write_durable(path, data.tobytes())


def write_page(path: Path, rows: Sequence[Row], title: str, note: str = "") -> None:
    """One HTML file with every picture in it; light and dark; opens without a server."""
    template = resources.files("hemline.views").joinpath("sheet.html").read_text("utf-8")
    page = Template(template).substitute(
        title=html.escape(title), note=html.escape(note), rows="\n".join(map(_row_html, rows))
    )
    write_durable(path, page)


def _row_html(row: Row) -> str:
    hits = "".join(_hit_html(place, tile) for place, tile in enumerate(row.hits, 1))
    looks = any(tile.heat is not None for tile in row.hits)
    hint = '<span class="hint">point at a hit to see where it looked</span>' if looks else ""
    found = "found" if any(tile.right and not tile.lost for tile in row.hits) else "missed"
    found = found if row.judged else "asked"
    return (
        f'<section class="{found}"><figure class="photo"><div class="frame">'
        f'<img src="{_jpeg(row.photo.image)}" alt="street photo"><div class="heat"></div></div>'
        f"<figcaption><b>{html.escape(row.verdict)}</b>{html.escape(row.photo.title)}{hint}"
        f"</figcaption></figure><ol>{hits}</ol></section>"
    )


def _hit_html(place: int, tile: Tile) -> str:
    heat = "" if tile.heat is None else f' data-heat="{_heat(tile.heat)}"'
    right = f' class="right{" lost" * tile.lost}"' if tile.right else ""
    number = "–" if tile.lost else str(tile.rank or place)
    badge = '<span class="badge">the product</span>' if tile.right else ""
    return (
        f'<li{right}{heat} tabindex="0"><div class="frame"><img loading="lazy" '
        f'src="{_jpeg(tile.image)}" alt="{html.escape(tile.title)}">'
        f"<i>{number}</i>{badge}</div>"
        f"<p>{html.escape(tile.title)}</p><small>{html.escape(tile.note)}</small></li>"
    )


def _jpeg(image: Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(
        encode_jpeg(image, quality=85, max_side=320)
    ).decode("ascii")


def _heat(weights: FloatArray) -> str:
    """(rows, columns) weights ≥ 0 → a tiny transparent PNG that the page stretches."""
    low, high = float(weights.min()), float(weights.max())
    scaled = (weights - low) / (high - low) if high > low else np.zeros_like(weights)
    tiny = np.empty((*weights.shape, 4), np.uint8)
    tiny[..., :3] = (40, 90, 255)  # BGR: a warm orange
    tiny[..., 3] = (scaled * 190).round().astype(np.uint8)
    _, data = cv2.imencode(".png", tiny)
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _fit(image: Image, side: int) -> Image:
    """The whole picture in a square of paper."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square


def _write(
    sheet: Image, text: str, x: int, y: int, scale: float, ink: tuple[int, int, int], room: int
) -> None:
    """One line in OpenCV's own font (ASCII only), cut where the room ends."""
    plain = text.replace("–", "-").replace("…", "...").replace("×", "x")
    plain = plain.encode("ascii", "replace").decode("ascii")
    font = cv2.FONT_HERSHEY_SIMPLEX
    while plain and cv2.getTextSize(plain, font, scale, 1)[0][0] > room:
        plain = plain.rstrip(".")[:-1] + ".." if len(plain) > 4 else ""
    cv2.putText(sheet, plain, (x, y), font, scale, ink, 1, cv2.LINE_AA)
