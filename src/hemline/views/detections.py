"""Draws what a detector found: each garment's box with its kind and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hemline.data.garments import GROUPS, group_of
from hemline.errors import ImageError
from hemline.files import write_durable
from hemline.types import Detection, Image

__all__ = ["draw_garments", "write_drawing"]

#: One colour for each group.
_COLOURS = ((220, 60, 30), (30, 110, 220), (150, 50, 190), (20, 150, 90), (200, 140, 0))
#: Sides of a drawing: larger pictures are made smaller, small ones larger, so words can be read.
_LARGEST, _SMALLEST = 1600, 480


def draw_garments(image: Image, garments: Sequence[Detection]) -> Image:
    """The picture (H, W, 3) uint8 RGB, at a size that can be read, with a box for each garment."""
    height, width = image.shape[:2]
    scale = min(_LARGEST / max(height, width), max(1.0, _SMALLEST / max(height, width)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    flag = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    drawn = np.asarray(cv2.resize(image, size, interpolation=flag), np.uint8).copy()
    thick = max(1, round(max(size) / 320))
    for found in reversed(garments):
        group = group_of(found.category)
        colour = _COLOURS[GROUPS.index(group)] if group in GROUPS else (90, 90, 90)
        x1, y1, x2, y2 = (round(v * scale) for v in found.box)
        cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, thick)
        _label(drawn, f"{found.category} {found.score:.2f}", (x1, y1), colour)
    return drawn


def _label(drawn: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    # OpenCV's letters are ASCII.
    plain = text.encode("ascii", "replace").decode()
    height = max(drawn.shape[:2]) / 1400 + 0.12
    (wide, high), low = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, height, 1)
    x = max(0, min(at[0], drawn.shape[1] - wide - 4))
    y = max(high + low + 2, min(at[1] + high + low + 2, drawn.shape[0] - 1))
    cv2.rectangle(drawn, (x, y - high - low - 2), (x + wide + 4, y), colour, -1)
    where = (x + 2, y - low)
    cv2.putText(
        *(drawn, plain, where, cv2.FONT_HERSHEY_SIMPLEX, height, (255, 255, 255), 1, cv2.LINE_AA)
    )


def write_drawing(path: Path, drawings: Sequence[Image]) -> Path:
    """Writes drawings below each other as one .png or .jpg file.

    Raises:
        ImageError: the suffix is no picture's.
    """
    width = max(drawing.shape[1] for drawing in drawings)
    rows = [
        cv2.copyMakeBorder(
            *(drawing, 0, 8, 0, width - drawing.shape[1], cv2.BORDER_CONSTANT),
            value=(255, 255, 255),
        )
        for drawing in drawings
    ]
    sheet = np.concatenate(rows)[:-8]
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    except cv2.error:
        done, data = False, None
    if not done or data is None:
        raise ImageError(f"{path} can't be drawn; name a .png or .jpg file")
    write_durable(path, data.tobytes())
    return path
