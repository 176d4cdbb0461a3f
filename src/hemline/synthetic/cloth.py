"""Cloth: a tile of fabric with its own units, and the folds that light makes visible.

A cloth's units are the figure's: a tile covers `UNITS` x `UNITS` of them, with the middle of the
neckline at (0, 0), x to the wearer's left and y down. Beyond the tile the fabric is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from hemline.synthetic.curves import Array
from hemline.synthetic.seeds import generator

#: The side of a tile, in figure units and in pixels.
UNITS = 512.0
TILE = 256
#: How many fold maps there are: 0-3 a torso's, 4-7 long drapes, 8-11 sleeves and legs, 12 flat.
FOLDS = 13

_FOLD_TILE = 128


@dataclass
class Cloth:
    """A tile (TILE, TILE, 3) uint8 RGB; `top` is its y in units; `softness` scales its folds.

    `flat` is set for a cloth of one even colour, which needs no texture.
    """

    tile: Array
    top: float = 0.0
    softness: float = 1.0
    flat: tuple[int, int, int] | None = None
    mean: tuple[int, int, int] = (128, 128, 128)
    _levels: list[Array] = field(default_factory=list)

    @classmethod
    def plain(cls, color: tuple[int, int, int], softness: float = 1.0) -> Cloth:
        return cls(np.empty((0, 0, 3), np.uint8), 0.0, softness, color, color)

    def level(self, scale: float) -> tuple[Array, Array]:
        """The tile for `scale` pixels per unit, and the 3x3 matrix from its pixels to units."""
        if self.flat is not None:
            return self.tile, np.eye(3)
        if not self._levels:
            self._levels.append(self.tile)
        wanted = 0
        while (self._levels[0].shape[0] >> wanted) / UNITS > 1.5 * scale and wanted < 3:
            wanted += 1
            if len(self._levels) <= wanted:
                self._levels.append(cv2.pyrDown(self._levels[-1]))
        tile = self._levels[wanted]
        return tile, _to_units(tile.shape[0], self.top)


@lru_cache(maxsize=64)
def _to_units(side: int, top: float) -> Array:
    step = UNITS / side
    return np.array([[step, 0, -UNITS / 2 + step / 2], [0, step, top + step / 2], [0, 0, 1.0]])


@lru_cache(maxsize=256)
def _strong(index: int, tenths: int) -> Array:
    base = _bank()[index].astype(np.float32)
    deep: Array = np.clip(128 + (base - 128) * (tenths / 10), 0, 255).astype(np.uint8)
    return deep


def fold_map(index: int, strength: float) -> tuple[Array, Array]:
    """A map (128,128) uint8 of folds, 128 where the light is even, and its pixels-to-units."""
    tile = _strong(index % FOLDS, int(min(max(strength, 0.0), 2.5) * 10))
    return tile, _to_units(_FOLD_TILE, 0.0)


@lru_cache(maxsize=1)
def _bank() -> Array:
    """(FOLDS, 128, 128) uint8, made once from a fixed seed."""
    rng = generator("folds")
    n = _FOLD_TILE
    y, x = np.mgrid[0:n, 0:n].astype(np.float32) / n
    maps = []
    for k in range(FOLDS):
        if k < 4:
            height = _creases(rng, x, y, 9, 0.9, 0.35)
            height += 0.7 * _creases(rng, x, y, 6, 0.35, 0.5)
        elif k < 8:
            height = _creases(rng, x, y, 14, 0.08, 0.9) * (0.35 + 0.75 * y)
        elif k < 12:
            height = _creases(rng, x, y, 16, 1.25, 0.16)
        else:
            height = np.zeros_like(x)
        height += 0.35 * _clouds(rng, n)
        light = cv2.GaussianBlur(height, (0, 0), 1.2)
        slope = light - np.roll(np.roll(light, 2, 1), 2, 0)
        slope = 0.75 * slope / max(float(slope.std()), 1e-6) + 0.35 * light
        side = 9.0 * (0.5 - np.abs(x - 0.47) * 2.0)
        maps.append(128 + 11.0 * slope * (0.25 if k == 12 else 1.0) + side)
    bank: Array = np.clip(np.stack(maps), 40, 215).astype(np.uint8)
    return bank


def _creases(
    rng: np.random.Generator, x: Array, y: Array, count: int, slant: float, length: float
) -> Array:
    """Ridges that run down (slant 0) or across (slant ~1.2) and fade out at their ends."""
    total = np.zeros_like(x)
    for _ in range(count):
        cx, cy = rng.uniform(0, 1, 2)
        angle = rng.uniform(-slant, slant) if slant < 1.2 else rng.uniform(0.9, 1.9)
        c, s = np.cos(angle), np.sin(angle)
        along = (y - cy) * c + (x - cx) * s
        across = (x - cx) * c - (y - cy) * s + 0.05 * np.sin(7 * along + cx * 9)
        wide = rng.uniform(0.018, 0.05)
        size = length * rng.uniform(0.5, 1.1)
        total += rng.uniform(0.5, 1.2) * np.exp(-((across / wide) ** 2) - (along / size) ** 2)
    return total


def _clouds(rng: np.random.Generator, n: int) -> Array:
    small = rng.normal(0, 1, (6, 6)).astype(np.float32)
    return cv2.resize(small, (n, n), interpolation=cv2.INTER_CUBIC)
