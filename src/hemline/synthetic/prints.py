"""Chest prints: images, words, numbers and small logos on the front of a top."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hemline.synthetic.cloth import TILE
from hemline.synthetic.curves import Array, ellipse, smooth
from hemline.synthetic.motifs import shape
from hemline.synthetic.textures import Palette
from hemline.synthetic.values import RGB

_AA = cv2.LINE_AA
_WORDS = (
    *("HELLO", "OCEAN", "NORTH", "PARIS", "TOKYO", "LUCKY", "SUNNY", "WILD", "RIDER", "STUDIO"),
    *("CLUB", "1984", "VOLT", "ECHO", "AMOUR", "BLOOM", "COAST", "ROVER", "MILANO", "PEAK"),
)
_FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)
#: The middle of the chest, in tile pixels.
_CX, _CY = TILE / 2, 84.0


def _poly(tile: Array, points: Array, color: RGB) -> None:
    cv2.fillPoly(tile, [np.round(points * 16).astype(np.int32)], color, _AA, 4)


def _text(
    tile: Array, words: str, cy: float, width: float, color: RGB, font: int, bold: int
) -> None:
    (w, h), _ = cv2.getTextSize(words, font, 1.0, bold)
    scale = min(width / max(w, 1), 44.0 / h)
    at = (round(_CX - w * scale / 2), round(cy + h * scale / 2))
    cv2.putText(tile, words, at, font, scale, color, max(1, round(bold * scale)), _AA)


def _lettering(tile: Array, p: Palette, rng: np.random.Generator) -> None:
    font = int(_FONTS[int(rng.integers(len(_FONTS)))])
    words = rng.choice(_WORDS, size=int(rng.integers(1, 4)), replace=False)
    gap = 27.0
    for k, word in enumerate(words):
        y = _CY + (k - (len(words) - 1) / 2) * gap
        color = p.second if k % 2 == 0 else p.third
        _text(tile, str(word), y, p.span(66, 104), color, font, int(rng.integers(3, 6)))
    if rng.random() < 0.4:
        y = round(_CY + len(words) / 2 * gap)
        cv2.line(tile, (round(_CX - 40), y), (round(_CX + 40), y), p.third, 3, _AA)


def _number(tile: Array, p: Palette, rng: np.random.Generator) -> None:
    number = f"{int(rng.integers(1, 100)):02d}"
    _text(tile, number, _CY + 10, p.span(46, 74), p.second, int(cv2.FONT_HERSHEY_DUPLEX), 9)
    if rng.random() < 0.7:
        word = str(rng.choice(_WORDS))
        _text(tile, word, _CY - 24, 60, p.third, int(cv2.FONT_HERSHEY_DUPLEX), 3)


def _logo(tile: Array, p: Palette, rng: np.random.Generator) -> None:
    names = ["star", "heart", "diamond", "triangle", "circle", "drop", "leaf"]
    name = names[int(rng.integers(len(names)))]
    at = np.array((_CX + 23.0, _CY - 26.0))
    _poly(tile, shape(name, p.span(7, 12)) + at, p.second)
    if rng.random() < 0.5:
        _poly(tile, shape(name, 4.0) + at, p.third)


def _graphic(tile: Array, p: Palette, rng: np.random.Generator) -> None:
    size = p.span(34, 50)
    kind = int(rng.integers(6))
    mid = np.array((_CX, _CY + 4))
    if kind == 0:
        _sunset(tile, p, mid, size)
    elif kind == 1:
        _cat(tile, p, mid, size)
    elif kind == 2:
        for k in range(5, 0, -1):
            color = p.second if k % 2 else p.third
            name = ("star", "heart", "circle", "diamond")[int(p.angle * 4)]
            _poly(tile, shape(name, size * k / 5) + mid, color)
    elif kind == 3:
        _abstract(tile, p, mid, size, rng)
    elif kind == 4:
        _framed(tile, p, mid, size, rng)
    else:
        petals = int(rng.integers(5, 12))
        for k in range(petals):
            a = 2 * np.pi * k / petals
            c = mid + 0.55 * size * np.array((np.cos(a), np.sin(a)))
            width = 1.9 * size / petals
            _poly(tile, ellipse(c[0], c[1], 0.42 * size, width, 14, a), p.second)
        _poly(tile, ellipse(mid[0], mid[1], 0.3 * size, 0.3 * size), p.third)
    if rng.random() < 0.35:
        word = str(rng.choice(_WORDS))
        _text(tile, word, _CY + 10 + size, 62, p.second, int(cv2.FONT_HERSHEY_DUPLEX), 3)


def _sunset(tile: Array, p: Palette, mid: Array, size: float) -> None:
    _poly(tile, ellipse(mid[0], mid[1], size, size, 28), p.second)
    for k in range(5):
        y = round(mid[1] + size * (0.1 + 0.2 * k))
        tile[y : y + 1 + k, round(mid[0] - size) : round(mid[0] + size)] = p.main
    hill = np.array([(-1, 0.75), (-0.45, 0.05), (-0.1, 0.5), (0.3, -0.1), (1, 0.75)])
    _poly(tile, hill * size + mid, p.third)


def _cat(tile: Array, p: Palette, mid: Array, size: float) -> None:
    for side in (-1, 1):
        ear = np.array([(0.25, -0.6), (0.85, -1.05), (0.92, -0.15)]) * (side, 1)
        _poly(tile, ear * size + mid, p.second)
    _poly(tile, ellipse(mid[0], mid[1], 0.95 * size, 0.8 * size, 24), p.second)
    for side in (-1, 1):
        eye = ellipse(mid[0] + side * 0.38 * size, mid[1] - 0.1 * size, 0.16 * size, 0.2 * size)
        _poly(tile, eye, p.third)
    _poly(tile, shape("heart", 0.14 * size) + mid + (0, 0.28 * size), p.main)


def _abstract(tile: Array, p: Palette, mid: Array, size: float, rng: np.random.Generator) -> None:
    for color in (p.second, p.third, p.second, p.third):
        spots = rng.uniform(-0.9, 0.9, (6, 2))
        spots = spots[np.argsort(np.arctan2(spots[:, 1], spots[:, 0]))]
        _poly(tile, smooth(spots * size * rng.uniform(0.6, 1.0) + mid), color)


def _framed(tile: Array, p: Palette, mid: Array, size: float, rng: np.random.Generator) -> None:
    x0, y0 = int(mid[0] - 0.8 * size), int(mid[1] - 0.9 * size)
    x1, y1 = int(mid[0] + 0.8 * size), int(mid[1] + 0.9 * size)
    tile[y0:y1, x0:x1] = p.second
    inner = tile[y0 + 5 : y1 - 5, x0 + 5 : x1 - 5]
    small = rng.uniform(0, 1, (5, 4, 1)).astype(np.float32)
    mixed = small * np.array(p.third, np.float32) + (1 - small) * np.array(p.main, np.float32)
    image = cv2.resize(mixed, (inner.shape[1], inner.shape[0]), interpolation=cv2.INTER_NEAREST)
    inner[:] = image.astype(np.uint8)


PRINTS: dict[str, Callable[[Array, Palette, np.random.Generator], None]] = {
    "graphic-print": _graphic,
    "lettering": _lettering,
    "number-print": _number,
    "chest-logo": _logo,
}
