"""How one picture is drawn on a sheet: its boxes, landmarks and words, legible at 224 to 320."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from hemline.data.garments import Garment, garments_of
from hemline.types import ABSENT, LANDMARKS, VISIBLE, Image, Record

Colour = tuple[int, int, int]
PAPER: Colour = (250, 249, 247)
INK: Colour = (20, 20, 20)
GREY: Colour = (100, 100, 100)
#: One for each garment of a photo, in turn.
GARMENTS: tuple[Colour, ...] = (
    (214, 40, 57),
    (20, 110, 200),
    (150, 60, 170),
    (190, 110, 0),
    (0, 130, 120),
)
SEEN: Colour = (34, 160, 84)
HIDDEN: Colour = (240, 170, 30)
LINE, SCALE = 15, 0.42
#: Short names of the landmarks: wearer's left or right, and the part.
SHORT = tuple(f"{name[0].upper()}{name.partition('_')[2][0]}" for name in LANDMARKS)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(picture: Image, garments: Sequence[Record], side: int) -> Image:
    """The picture fitted into (side, side, 3) with every garment's box and landmarks.

    What else is worn in it, as the column ``garments`` tells, has thin boxes and its category.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.full((side, side, 3), PAPER, np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    inside = square[top : top + size[1], left : left + size[0]]
    inside[:] = cv2.resize(picture, size, interpolation=way)
    for other in garments_of(garments[0]) or () if garments else ():
        if other.role != "product":
            _beside(inside, other, scale)
    for number, garment in enumerate(garments):
        colour = GARMENTS[number % len(GARMENTS)]
        if garment.box is not None:
            x1, y1, x2, y2 = (round(float(v) * scale) for v in garment.box)
            cv2.rectangle(inside, (x1, y1), (x2 - 1, y2 - 1), colour, 2)
            if len(garments) > 1:
                before = sum(one.box == garment.box for one in garments[:number])
                _badge(inside, str(number + 1), max(0, x1) + 15 * before, max(0, y1), colour)
        if garment.landmarks is not None:
            _landmarks(inside, garment.landmarks * np.array([scale, scale, 1.0]))
    return square


def _beside(picture: Image, garment: Garment, scale: float) -> None:
    x1, y1, x2, y2 = (round(float(v) * scale) for v in garment.box)
    cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), GREY, 1)
    at = (max(0, x1) + 2, min(max(0, y1) + 11, picture.shape[0] - 2))
    cv2.putText(picture, garment.category, at, FONT, 0.36, (255, 255, 255), 3, cv2.LINE_AA)
    cv2.putText(picture, garment.category, at, FONT, 0.36, INK, 1, cv2.LINE_AA)


def _badge(picture: Image, text: str, x: int, y: int, colour: Colour) -> None:
    cv2.rectangle(picture, (x, y), (x + 13, y + 14), colour, -1)
    cv2.putText(picture, text, (x + 3, y + 11), FONT, SCALE, (255, 255, 255), 1, cv2.LINE_AA)


def _landmarks(picture: Image, points: np.ndarray) -> None:
    """Visible ones full and green, occluded ones hollow and orange, each with its short name."""
    for name, (x, y, seen) in zip(SHORT, points.tolist(), strict=True):
        if seen == ABSENT:
            continue
        at = (round(x), round(y))
        if seen == VISIBLE:
            cv2.circle(picture, at, 4, SEEN, -1, cv2.LINE_AA)
            cv2.circle(picture, at, 4, (255, 255, 255), 1, cv2.LINE_AA)
        else:
            cv2.circle(picture, at, 5, (60, 40, 0), 3, cv2.LINE_AA)
            cv2.circle(picture, at, 5, HIDDEN, 2, cv2.LINE_AA)
        beside = (at[0] + 7 if at[0] < picture.shape[1] - 26 else at[0] - 24, at[1] + 4)
        cv2.putText(picture, name, beside, FONT, 0.36, (255, 255, 255), 3, cv2.LINE_AA)
        cv2.putText(picture, name, beside, FONT, 0.36, INK, 1, cv2.LINE_AA)


def words(garments: Sequence[Record], side: int) -> Image:
    """The lines below a picture: item, where it belongs and tags of each garment."""
    lines: list[tuple[str, Colour]] = []
    for number, one in enumerate(garments):
        several = len(garments) > 1
        head = GARMENTS[number % len(GARMENTS)] if several else INK
        title = f"{number + 1}  {one.item_id}" if several else one.item_id
        place = " ".join(w for w in (one.domain, one.role, one.split, one.category) if w)
        lines += [(line, head) for line in wrap(title, side)[:1]]
        lines += [(line, GREY) for line in wrap(place, side)[:1]]
        lines += [(line, GREY) for line in wrap(", ".join(one.tags), side)]
    return text_block(lines, side)


def legend(width: int) -> Image:
    """What the landmarks' marks and short names mean, (h, width, 3)."""
    names = ", ".join(f"{s} {name}" for s, name in zip(SHORT, LANDMARKS, strict=True))
    text = f"landmarks: full green visible, hollow orange occluded; {names.replace('_', ' ')}"
    return text_block([(line, GREY) for line in wrap(text, width)], width)


def text_block(lines: Sequence[tuple[str, Colour]], width: int) -> Image:
    """Lines of text on paper."""
    block = np.full((len(lines) * LINE + 5, width, 3), PAPER, np.uint8)
    for k, (line, ink) in enumerate(lines):
        cv2.putText(block, line, (1, (k + 1) * LINE - 3), FONT, SCALE, ink, 1, cv2.LINE_AA)
    return block


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels; OpenCV's letters are ASCII only."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode()
    lines, line = [], ""
    for word in plain.split():
        longer = f"{line} {word}".strip()
        if line and _wide(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
        while _wide(line) > width and len(line) > 1:
            cut = len(line)
            while cut > 1 and _wide(line[:cut]) > width:
                cut -= 1
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line] if line else lines


def _wide(text: str) -> int:
    return int(cv2.getTextSize(text, FONT, SCALE, 1)[0][0])
