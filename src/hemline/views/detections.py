"""Draws detected garments: each one's box with its category and score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hemline.data.garments import GROUPS, group_of
from hemline.types import Detection, Image
from hemline.views.drawing import WHITE, frame, label, scaled, write_image

__all__ = ["draw_garments", "write_drawing"]

#: One colour for each group.
_COLOURS = ((220, 60, 30), (30, 110, 220), (150, 50, 190), (20, 150, 90), (200, 140, 0))
#: Sides of a drawing: larger images are shrunk, smaller ones enlarged, so that text can be read.
_LARGEST, _SMALLEST = 1600, 480


def draw_garments(image: Image, garments: Sequence[Detection]) -> Image:
    """The image (H, W, 3) uint8 RGB, at a readable size, with a box for each garment."""
    side = max(image.shape[:2])
    scale = min(_LARGEST / side, max(1.0, _SMALLEST / side))
    drawn = scaled(image, scale).copy()
    side = max(drawn.shape[:2])
    for found in reversed(garments):
        group = group_of(found.category)
        colour = _COLOURS[GROUPS.index(group)] if group in GROUPS else (90, 90, 90)
        x1, y1, x2, y2 = (round(v * scale) for v in found.box)
        frame(drawn, (x1, y1), (x2, y2), colour, max(1, round(side / 320)))
        size = round(side / 50 + 4)
        label(drawn, f"{found.category} {found.score:.2f}", (x1, y1), colour, size)
    return drawn


def write_drawing(path: Path, drawings: Sequence[Image]) -> None:
    """Writes drawings below each other as one .png or .jpg file.

    Raises:
        ImageError: another suffix.
        OSError: it can't be written.
    """
    width = max(drawing.shape[1] for drawing in drawings)
    height = sum(drawing.shape[0] + 8 for drawing in drawings) - 8
    page, top = np.full((height, width, 3), WHITE, np.uint8), 0
    for drawing in drawings:
        page[top : top + drawing.shape[0], : drawing.shape[1]] = drawing
        top += drawing.shape[0] + 8
    write_image(path, page)
