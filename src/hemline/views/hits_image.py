"""Photos and their hits as one picture: a row for each photo, the best hits beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.data.images import open_image
from hemline.errors import ImageError
from hemline.files import write_durable
from hemline.types import Box, Image, Photo, SearchResult

CELL = 200  # side of a thumbnail, pixels
CAPTION = 34
GAP = 8
HITS = 8
_INK, _PAPER, _MARK = (40, 40, 40), 255, (220, 60, 30)


def draw_results(
    path: Path, catalog: Catalog, answers: Sequence[tuple[Photo, SearchResult]], hits: int = HITS
) -> Path:
    """Draws each photo with its box and the first ``hits`` products, and writes it to ``path``.

    Raises:
        ImageError: a photo can't be opened, or ``path`` has a suffix that isn't a picture's.
    """
    sheet = results_sheet(catalog, answers, hits)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise ImageError(f"{path} can't be drawn; name a .png or .jpg file")
    write_durable(path, data.tobytes())
    return path


def results_sheet(
    catalog: Catalog, answers: Sequence[tuple[Photo, SearchResult]], hits: int = HITS
) -> Image:
    """(H, W, 3) uint8 RGB: a row of `CELL` squares with captions for each photo."""
    rows = [_row(catalog, photo, answer, hits) for photo, answer in answers]
    columns = max((len(cells) for cells in rows), default=1)
    height = GAP + len(rows) * (CELL + CAPTION + GAP)
    width = GAP + columns * (CELL + GAP) + GAP
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    for y, cells in enumerate(rows):
        top = GAP + y * (CELL + CAPTION + GAP)
        for x, cell in enumerate(cells):
            # A wider gap sets the photo apart from its hits.
            left = GAP + x * (CELL + GAP) + (GAP if x else 0)
            sheet[top : top + CELL + CAPTION, left : left + CELL] = cell
    return sheet


def _row(catalog: Catalog, photo: Photo, answer: SearchResult, hits: int) -> list[Image]:
    image = photo if isinstance(photo, np.ndarray) else open_image(photo)
    cells = [_cell(_boxed(image, answer.box), "photo", "")]
    shown = answer.hits[:hits]
    known = catalog.store.get([hit.image_id for hit in shown])
    for hit in shown:
        row = known.get(hit.image_id)
        copy = None if row is None else catalog.picture(row)
        try:
            picture = np.full((8, 8, 3), 235, np.uint8) if copy is None else open_image(copy)
        except ImageError:  # a lost copy must not hide the other hits
            picture = np.full((8, 8, 3), 235, np.uint8)
        title = str(hit.columns.get("title") or "")
        below = f"{hit.item_id}  {hit.score:.3f}" if title else f"{hit.score:.3f}"
        cells.append(_cell(picture, f"{hit.rank}. {title or hit.item_id}", below))
    return cells


def _boxed(image: Image, box: Box | None) -> Image:
    if box is None:
        return image
    drawn = image.copy()
    thick = max(1, round(max(image.shape[:2]) / 100))
    x1, y1, x2, y2 = (round(v) for v in box)
    cv2.rectangle(drawn, (x1, y1), (x2, y2), _MARK, thick)
    return drawn


def _cell(image: Image, first: str, second: str) -> Image:
    """(CELL + CAPTION, CELL, 3): the whole picture, centred, over two lines of text."""
    cell = np.full((CELL + CAPTION, CELL, 3), _PAPER, np.uint8)
    scale = CELL / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (CELL - size[1]) // 2, (CELL - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    for line, text in enumerate((first, second)):
        # OpenCV's letters are ASCII.
        plain = text.encode("ascii", "replace").decode()
        plain = plain if len(plain) <= 30 else f"{plain[:27]}..."
        where = (2, CELL + 14 + 15 * line)
        cv2.putText(cell, plain, where, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return cell
