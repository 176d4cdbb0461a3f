"""Woven, knitted and dyed patterns: each a function from a `Palette` and a generator to a tile.

A pattern knows its scale (0 fine to 1 coarse) and angle (0 to 1) from the product's latents. Tiles
are (TILE, TILE, 3) uint8. Motifs that are drawn one by one live in `motifs`, chest prints in
`prints`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from hemline.synthetic.cloth import TILE
from hemline.synthetic.curves import Array
from hemline.synthetic.values import RGB

GRID_Y, GRID_X = np.mgrid[0:TILE, 0:TILE].astype(np.float32)


@dataclass(frozen=True)
class Palette:
    """Three colours (RGB), and the pattern's scale and angle in [0, 1)."""

    main: RGB
    second: RGB
    third: RGB
    scale: float
    angle: float

    def span(self, fine: float, coarse: float) -> float:
        """A length in tile pixels between `fine` and `coarse`, by the pattern's scale."""
        return float(fine * (coarse / fine) ** self.scale)

    def mix(self, alpha: Array) -> Array:
        """A tile of the main colour, towards the second by `alpha`."""
        return lerp(blank(self.main), self.second, alpha)


def blank(color: RGB) -> Array:
    tile = np.empty((TILE, TILE, 3), np.uint8)
    cv2.rectangle(tile, (0, 0), (TILE, TILE), color, -1)
    return tile


def lerp(base: Array, color: RGB | Array, alpha: Array) -> Array:
    """`base` (h,w,3) towards `color` by `alpha` (h,w) in 0..1.

    A side along which `alpha` is broadcast is reckoned once.
    """
    flat = [step == 0 for step in alpha.strides]
    alpha = alpha[: 1 if flat[0] else None, : 1 if flat[1] else None]
    a = cv2.convertScaleAbs(np.maximum(alpha, 0.0), alpha=255.0)
    if any(flat):
        a = cv2.repeat(a, TILE // a.shape[0], TILE // a.shape[1])
    over = color if isinstance(color, np.ndarray) else blank(color)
    wide = cv2.merge([a, a, a])
    # What gets brighter and what gets darker apart: bytes are faster than signed numbers.
    more, less = cv2.subtract(over, base), cv2.subtract(base, over)
    cv2.multiply(more, wide, more, 1 / 255)
    cv2.multiply(less, wide, less, 1 / 255)
    cv2.add(base, more, more)
    return cv2.subtract(more, less, more)


def band(phase: Array, period: float, duty: float, edge: float = 1.3) -> Array:
    """Stripes (h,w) or (w,) in 0..1 along `phase` in pixels; `duty` is the stripe's share."""
    turns = phase / period
    part = np.abs(turns - np.floor(turns) - 0.5) * period
    return np.clip((duty * period / 2 - part) / edge + 0.5, 0, 1)


def _rows(profile: Array) -> Array:
    return np.broadcast_to(profile[:, None], (TILE, TILE))


def _columns(profile: Array) -> Array:
    return np.broadcast_to(profile[None, :], (TILE, TILE))


_LINE = np.arange(TILE, dtype=np.float32)


@lru_cache(maxsize=1)
def grain() -> Array:
    """(TILE, TILE) float32 noise of threads, about -1..1."""
    rng = np.random.Generator(np.random.PCG64(7))
    noise = rng.normal(0, 1, (TILE, TILE)).astype(np.float32)
    threads = cv2.blur(noise, (1, 7)) + cv2.blur(noise[::-1], (7, 1))
    clipped: Array = np.clip(threads * 1.6, -2.5, 2.5)
    return clipped


@lru_cache(maxsize=1)
def clouds() -> Array:
    """(TILE, TILE) float32 of soft spots, about -1..1."""
    rng = np.random.Generator(np.random.PCG64(11))
    small = rng.normal(0, 1, (9, 9)).astype(np.float32)
    return cv2.resize(small, (TILE, TILE), interpolation=cv2.INTER_CUBIC)


def _diagonal(p: Palette, rng: np.random.Generator) -> Array:
    angle = np.pi * (0.2 + 0.6 * p.angle)
    phase = GRID_X * np.float32(np.cos(angle)) + GRID_Y * np.float32(np.sin(angle))
    return p.mix(band(phase, p.span(12, 40), 0.45))


def _multi(p: Palette, rng: np.random.Generator) -> Array:
    period = p.span(34, 80)
    tile = p.mix(_rows(band(_LINE, period, rng.uniform(0.2, 0.5))))
    for color, duty in ((p.third, 0.12), (p.main, 0.06)):
        move = rng.uniform(0.1, 0.9) * period
        tile = lerp(tile, color, _rows(band(_LINE + move, period, duty + rng.uniform(0, 0.1))))
    return tile


def _gingham(p: Palette, rng: np.random.Generator) -> Array:
    b = band(_LINE, p.span(10, 30), 0.5)
    return p.mix((_rows(b) + _columns(b)) / 2)


def _tartan(p: Palette, rng: np.random.Generator) -> Array:
    period = p.span(36, 90)
    wide = 0.75 * band(_LINE, period, rng.uniform(0.3, 0.5), 2)
    tile = p.mix((_rows(wide) + _columns(wide)) / 2)
    for color, duty in ((p.third, 0.07), (p.second, 0.05)):
        line = band(_LINE + rng.uniform(0, 1) * period, period, duty)
        tile = lerp(tile, color, 0.45 * (_rows(line) + _columns(line)))
    return tile


def _windowpane(p: Palette, rng: np.random.Generator) -> Array:
    line = band(_LINE, p.span(20, 52), 0.09)
    return p.mix(0.85 * np.maximum(_rows(line), _columns(line)))


def _houndstooth(p: Palette, rng: np.random.Generator) -> Array:
    s = p.span(10, 30) / 4
    cell = np.floor(_LINE / s).astype(np.uint8) & 7
    gx, gy = cell[None, :], cell[:, None]
    warp, weft = gx < 4, gy < 4
    twill = (gx + gy) & 3 < 2
    on = (warp & weft) | ((warp ^ weft) & twill)
    return p.mix(cv2.blur(on.astype(np.float32), (2, 2)))


def _herringbone(p: Palette, rng: np.random.Generator) -> Array:
    s = p.span(14, 30)
    fold = np.abs(np.mod(_LINE, 2 * s) - s)
    return p.mix(0.65 * band(GRID_Y + fold[None, :], 7.0, 0.45))


def _chevron(p: Palette, rng: np.random.Generator) -> Array:
    s = p.span(14, 40)
    fold = np.abs(np.mod(_LINE, 2 * s) - s)
    tile = p.mix(band(GRID_Y + fold[None, :], 1.3 * s, 0.48))
    if p.angle > 0.5:
        tile = lerp(tile, p.third, band(GRID_Y + fold[None, :] + 0.65 * s, 2.6 * s, 0.16))
    return tile


def _argyle(p: Palette, rng: np.random.Generator) -> Array:
    s = p.span(26, 54)
    u = np.abs(np.mod(_LINE, 2 * s) - s) / s
    v = np.abs(np.mod(_LINE, 3 * s) - 1.5 * s) / s / 1.5
    inside = (1 - u[None, :] - v[:, None]) * s / 2 + 0.5
    tile = p.mix(np.minimum(np.maximum(inside, 0), 1))
    one = band(GRID_X * 1.5 + GRID_Y + 1.5 * s, 3 * s, 0.035, 1.0)
    two = band(GRID_X * 1.5 - GRID_Y + 1.5 * s, 3 * s, 0.035, 1.0)
    return lerp(tile, p.third, 0.9 * np.maximum(one, two))


def _tie_dye(p: Palette, rng: np.random.Generator) -> Array:
    cx, cy = rng.uniform(70, 186), rng.uniform(40, 150)
    dx, dy = GRID_X - cx, GRID_Y - cy
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    swirl = rng.uniform(0.02, 0.06) * (1 if rng.random() < 0.5 else -1)
    wave = np.sin((2 + int(3 * p.scale)) * (angle + swirl * radius) + 1.4 * clouds())
    tile = p.mix(0.5 + 0.7 * wave)
    return lerp(tile, p.third, 0.8 * np.sin(radius / p.span(10, 22) + 2 * clouds()) - 0.25)


def _ombre(p: Palette, rng: np.random.Generator) -> Array:
    t = _LINE / TILE
    if p.angle < 0.4:
        t = t[::-1]
    return p.mix(_rows(np.clip(1.5 * (t - 0.16 - 0.2 * p.scale), 0, 1)))


def _color_block(p: Palette, rng: np.random.Generator) -> Array:
    tile = blank(p.main)
    cut = int(TILE * (0.22 + 0.3 * p.scale))
    kind = int(rng.integers(4))
    if kind == 0:
        tile[cut:] = p.second
    elif kind == 1:
        tile[cut : cut + int(0.16 * TILE)] = p.second
    elif kind == 2:
        tile = lerp(tile, p.second, (GRID_X * 0.6 + GRID_Y - cut - 0.35 * TILE) / 1.5)
    else:
        tile[:cut] = p.second
        tile[cut : cut + 18] = p.third
    return tile


def _denim(p: Palette, rng: np.random.Generator) -> Array:
    twill = 0.5 + 0.5 * np.sin((GRID_X + 2 * GRID_Y) * 1.05)
    light = tuple(min(255, int(c * 0.55 + 110)) for c in p.main)
    fade = np.clip(0.9 - np.abs(GRID_X - TILE * 0.5) / 70.0, 0, 1) * p.angle * 0.4
    alpha = 0.10 + 0.14 * twill + 0.07 * grain() + 0.05 * clouds() + fade
    return lerp(blank(p.main), (light[0], light[1], light[2]), alpha)


def _shaded(p: Palette, depth: Array) -> Array:
    gain = np.clip(128 * depth, 0, 255).astype(np.uint8)
    return cv2.multiply(blank(p.main), cv2.merge([gain, gain, gain]), scale=1 / 128)


def _rib(p: Palette, rng: np.random.Generator) -> Array:
    wave = np.sin(_LINE * (2 * np.pi / p.span(7, 15)))
    return _shaded(p, _columns(1.0 + 0.2 * wave) + 0.03 * grain())


def _cable(p: Palette, rng: np.random.Generator) -> Array:
    period = p.span(34, 58)
    u = np.mod(_LINE, period) / period
    on = np.clip(4 * (0.32 - np.abs(u - 0.5)), 0, 1)
    strand = np.sin(np.abs(u - 0.5)[None, :] * 26 + GRID_Y * 2 * np.pi / (0.62 * period))
    twist = np.sin((u - 0.5)[None, :] * 10 * np.sign(np.sin(GRID_Y * np.pi / (0.62 * period))))
    rib = np.sin(_LINE * 1.1)
    depth = 1 + on[None, :] * (0.20 * strand + 0.08 * twist) + ((1 - on) * 0.10 * rib)[None, :]
    return _shaded(p, depth - 0.16 * _columns(np.exp(-(((np.abs(u - 0.5) - 0.3) / 0.03) ** 2))))


def _fair_isle(p: Palette, rng: np.random.Generator) -> Array:
    cell = max(2, round(p.span(2.4, 4.6)))
    n = TILE // cell + 1
    grid = np.zeros((n, n), np.uint8)
    row = 1
    while row < n - 9:
        height = int(rng.integers(3, 9))
        motif = rng.random((height, int(rng.integers(3, 7)))) < 0.5
        motif = np.concatenate([motif, motif[:, ::-1]], axis=1)
        if rng.random() < 0.7:
            motif[-(height // 2) :] = motif[: height // 2][::-1]
        repeat = np.tile(motif, (1, n // motif.shape[1] + 1))[:, :n]
        grid[row : row + height] = repeat * int(rng.integers(1, 3))
        row += height + int(rng.integers(1, 4))
    colors = np.array([p.main, p.second, p.third], np.uint8)
    image = np.repeat(np.repeat(colors[grid], cell, 0), cell, 1)[:TILE, :TILE]
    return cv2.blur(np.ascontiguousarray(image), (2, 2))


def _quilted(p: Palette, rng: np.random.Generator) -> Array:
    s = p.span(24, 46)
    if p.angle < 0.5:
        part = np.mod(_LINE, s) / s
        return _shaded(p, _rows(0.78 + 0.36 * np.sin(np.pi * part) ** 0.6))
    u, v = np.mod(GRID_X + GRID_Y, s) / s, np.mod(GRID_X - GRID_Y, s) / s
    return _shaded(p, 0.76 + 0.36 * (np.sin(np.pi * u) * np.sin(np.pi * v)) ** 0.4)


WEAVES: dict[str, Callable[[Palette, np.random.Generator], Array]] = {
    "plain": lambda p, rng: blank(p.main),
    "melange": lambda p, rng: p.mix(0.28 + 0.24 * grain()),
    "breton-stripe": lambda p, rng: p.mix(_rows(band(_LINE, p.span(11, 20), 0.36))),
    "stripe": lambda p, rng: p.mix(_rows(band(_LINE, p.span(12, 46), 0.5))),
    "pinstripe": lambda p, rng: p.mix(_columns(0.75 * band(_LINE, p.span(9, 18), 0.14))),
    "vertical-stripe": lambda p, rng: p.mix(_columns(band(_LINE, p.span(10, 36), 0.45))),
    "diagonal-stripe": _diagonal,
    "multi-stripe": _multi,
    "gingham": _gingham,
    "tartan": _tartan,
    "windowpane": _windowpane,
    "houndstooth": _houndstooth,
    "herringbone": _herringbone,
    "chevron": _chevron,
    "argyle": _argyle,
    "tie-dye": _tie_dye,
    "ombre": _ombre,
    "color-block": _color_block,
    "denim": _denim,
    "rib-knit": _rib,
    "cable-knit": _cable,
    "fair-isle": _fair_isle,
    "corduroy": lambda p, rng: _shaded(
        p, _columns(1.0 + 0.16 * np.sin(_LINE * (2 * np.pi / p.span(5, 9))))
    ),
    "quilted": _quilted,
}
