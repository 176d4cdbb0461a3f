"""Contact sheets: many pictures in one, with their boxes, landmarks and captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hemline.errors import UsageError

__all__ = ["contact_sheet"]

_BOX = (214, 40, 57)
_SEEN, _HIDDEN = (34, 160, 84), (240, 170, 30)
_INK, _PAPER = (40, 40, 44), (250, 249, 247)


def contact_sheet(
    images: Sequence[NDArray[Any]],
    columns: int = 6,
    captions: Sequence[str] | None = None,
    boxes: Sequence[NDArray[Any] | Sequence[float] | None] | None = None,
    landmarks: Sequence[NDArray[Any] | None] | None = None,
    cell: int = 224,
    gap: int = 6,
) -> NDArray[Any]:
    """One picture (H,W,3) uint8 RGB of all `images` (each (h,w,3) uint8 RGB, of any size).

    Each is fitted into a square of `cell` pixels, `columns` in a row, its caption beneath. `boxes`
    are xyxy and `landmarks` (K,3) [x, y, v], in pixels of their own image: visible ones are drawn
    green, occluded ones orange, absent ones not at all. Raises `UsageError` where there is nothing
    to show or where lists differ in length.
    """
    if not images:
        raise UsageError("a contact sheet needs at least one picture")
    if columns < 1 or cell < 16 or gap < 0:
        raise UsageError(f"columns {columns}, cell {cell} or gap {gap} is too small")
    for name, values in (("captions", captions), ("boxes", boxes), ("landmarks", landmarks)):
        if values is not None and len(values) != len(images):
            raise UsageError(f"{len(images)} pictures but {len(values)} {name}")
    columns = min(columns, len(images))
    foot = 18 if captions is not None else 0
    rows = -(-len(images) // columns)
    step_x, step_y = cell + gap, cell + foot + gap
    sheet = np.empty((rows * step_y + gap, columns * step_x + gap, 3), np.uint8)
    sheet[:] = _PAPER
    for k, image in enumerate(images):
        row, column = divmod(k, columns)
        x, y = gap + column * step_x, gap + row * step_y
        fitted = _fitted(
            image,
            cell,
            None if boxes is None else boxes[k],
            None if landmarks is None else landmarks[k],
        )
        h, w = fitted.shape[:2]
        dx, dy = (cell - w) // 2, (cell - h) // 2
        sheet[y + dy : y + dy + h, x + dx : x + dx + w] = fitted
        if captions is not None:
            _caption(sheet, captions[k], x, y + cell, cell)
    return sheet


def _fitted(
    image: NDArray[Any],
    cell: int,
    box: NDArray[Any] | Sequence[float] | None,
    points: NDArray[Any] | None,
) -> NDArray[Any]:
    """The image within a square of `cell` pixels, with its marks."""
    h, w = image.shape[:2]
    scale = cell / max(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.ascontiguousarray(cv2.resize(image, size, interpolation=way))
    if box is not None:
        x1, y1, x2, y2 = (round(float(v) * scale) for v in box)
        cv2.rectangle(out, (x1, y1), (x2, y2), _BOX, 1, cv2.LINE_AA)
    for x, y, v in () if points is None else points:
        if v > 0:
            at = (round(float(x) * scale), round(float(y) * scale))
            cv2.circle(out, at, 3, _SEEN if v > 1 else _HIDDEN, -1, cv2.LINE_AA)
            cv2.circle(out, at, 3, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def _caption(sheet: NDArray[Any], words: str, x: int, y: int, cell: int) -> None:
    """One line of text, cut where it would not fit; letters outside ASCII become '?'."""
    text = words.encode("ascii", "replace").decode()
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.38
    while text and cv2.getTextSize(text, font, size, 1)[0][0] > cell - 2:
        text = text[:-1]
    cv2.putText(sheet, text, (x + 1, y + 13), font, size, _INK, 1, cv2.LINE_AA)
