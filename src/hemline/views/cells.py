"""One cell of a manifest's sheet: an image with its boxes, landmarks and words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemline.data.garments import Garment, garments_of
from hemline.types import ABSENT, LANDMARKS, VISIBLE, Image, Record
from hemline.views.drawing import (
    GREY,
    INK,
    WHITE,
    Colour,
    canvas,
    disc,
    frame,
    label,
    scaled,
    wrapped,
    write,
)

#: One for each garment of an image, in turn.
GARMENTS: tuple[Colour, ...] = (
    (214, 40, 57),
    (20, 110, 200),
    (150, 60, 170),
    (190, 110, 0),
    (0, 130, 120),
)
SEEN: Colour = (34, 160, 84)
HIDDEN: Colour = (240, 170, 30)
#: Pixels from one line of text to the next, and the text's size below an image and on it.
LINE, SIZE, SMALL = 15, 12, 11
#: Short names of the landmarks: the wearer's left or right, and the part.
SHORT = tuple(f"{name[0].upper()}{name.partition('_')[2][0]}" for name in LANDMARKS)


def draw(image: Image, garments: Sequence[Record], side: int) -> Image:
    """The image fitted into (side, side, 3) with every garment's box and landmarks.

    The other garments of the column ``garments`` have thin boxes and their category.
    """
    scale = side / max(image.shape[:2])
    small = scaled(image, scale)
    square = canvas(side, side)
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    inside = square[top : top + small.shape[0], left : left + small.shape[1]]
    inside[:] = small
    for other in garments_of(garments[0]) or () if garments else ():
        if other.role != "product":
            _other(inside, other, scale)
    for number, garment in enumerate(garments):
        colour = GARMENTS[number % len(GARMENTS)]
        if garment.box is not None:
            x1, y1, x2, y2 = (round(float(v) * scale) for v in garment.box)
            frame(inside, (x1, y1), (x2 - 1, y2 - 1), colour, 2)
            if len(garments) > 1:
                before = sum(one.box == garment.box for one in garments[:number])
                label(inside, str(number + 1), (x1 + 15 * before, y1), colour, SIZE)
        if garment.landmarks is not None:
            _landmarks(inside, garment.landmarks * np.array([scale, scale, 1.0]))
    return square


def _other(image: Image, garment: Garment, scale: float) -> None:
    x1, y1, x2, y2 = (round(float(v) * scale) for v in garment.box)
    frame(image, (x1, y1), (x2 - 1, y2 - 1), GREY, 1)
    at = (max(0, x1) + 2, min(max(0, y1) + 11, image.shape[0] - 2))
    write(image, garment.category, at, SMALL, INK, halo=True)


def _landmarks(image: Image, points: np.ndarray) -> None:
    """Visible ones full and green, occluded ones hollow and orange, each with its short name."""
    for name, (x, y, seen) in zip(SHORT, points.tolist(), strict=True):
        if seen == ABSENT:
            continue
        at = (round(x), round(y))
        if seen == VISIBLE:
            disc(image, at, 4, SEEN)
            disc(image, at, 4, WHITE, 1)
        else:
            disc(image, at, 5, (60, 40, 0), 4)
            disc(image, at, 5, HIDDEN, 3)
        beside = (at[0] + 7 if at[0] < image.shape[1] - 26 else at[0] - 24, at[1] + 4)
        write(image, name, beside, SMALL, INK, halo=True)


def words(garments: Sequence[Record], side: int) -> Image:
    """The lines below an image: item, domain, role, split, category and tags of each garment."""
    lines: list[tuple[str, Colour]] = []
    for number, one in enumerate(garments):
        several = len(garments) > 1
        head = GARMENTS[number % len(GARMENTS)] if several else INK
        title = f"{number + 1}  {one.item_id}" if several else one.item_id
        place = " ".join(w for w in (one.domain, one.role, one.split, one.category) if w)
        lines += [(line, head) for line in wrapped(title, side, SIZE)[:1]]
        lines += [(line, GREY) for line in wrapped(place, side, SIZE)[:1]]
        lines += [(line, GREY) for line in wrapped(", ".join(one.tags), side, SIZE)]
    return text_block(lines, side)


def legend(width: int) -> Image:
    """The meaning of the landmarks' marks and short names, (h, width, 3)."""
    names = ", ".join(f"{s} {name}" for s, name in zip(SHORT, LANDMARKS, strict=True))
    text = f"landmarks: full green visible, hollow orange occluded; {names.replace('_', ' ')}"
    return text_block([(line, GREY) for line in wrapped(text, width, SIZE)], width)


def text_block(lines: Sequence[tuple[str, Colour]], width: int) -> Image:
    """Lines of text, each with its colour, on paper."""
    block = canvas(len(lines) * LINE + 5, width)
    for k, (line, ink) in enumerate(lines):
        write(block, line, (1, (k + 1) * LINE - 3), SIZE, ink)
    return block
