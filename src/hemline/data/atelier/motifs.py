"""Printed cloth whose motifs are drawn one by one: flowers, dots, spots, leaves, camouflage."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hemline.data.atelier.cloth import TILE
from hemline.data.atelier.curves import Array, ellipse
from hemline.data.atelier.textures import GRID_X, GRID_Y, Palette, blank, clouds, lerp

__all__ = ["MOTIFS", "shape"]

RGB = tuple[int, int, int]
_AA = cv2.LINE_AA


def _poly(tile: Array, points: Array, color: RGB) -> None:
    cv2.fillPoly(tile, [np.round(points * 16).astype(np.int32)], color, _AA, 4)


def _scatter(rng: np.random.Generator, step: float, jitter: float) -> Array:
    """Places (N,2) on a staggered grid, each moved by up to `jitter` steps."""
    rows = np.arange(-0.5, TILE / step + 1)
    places = [(c + 0.5 * (int(r + 1) % 2), r) for r in rows for c in rows]
    spots = (np.array(places) + rng.uniform(-jitter, jitter, (len(places), 2))) * step
    return spots


def shape(name: str, size: float) -> Array:
    """The outline (N,2) of a small figure about the origin."""
    t = np.linspace(0, 2 * np.pi, 10 if name == "star" else 22, endpoint=False) - np.pi / 2
    if name == "star":
        r = np.where(np.arange(10) % 2 == 0, 1.0, 0.42) * size
        return np.stack([r * np.cos(t), r * np.sin(t)], 1)
    if name == "heart":
        x = 16 * np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return np.stack([x, y], 1) * (size / 16)
    if name == "leaf":
        return np.stack([0.36 * size * np.cos(t) * np.abs(np.cos(t)), size * np.sin(t)], 1)
    if name == "diamond":
        return np.array([(0, -size), (0.7 * size, 0), (0, size), (-0.7 * size, 0)], float)
    if name == "triangle":
        return np.array([(0, -size), (0.9 * size, 0.7 * size), (-0.9 * size, 0.7 * size)], float)
    if name == "drop":
        s = np.linspace(0, 2 * np.pi, 22, endpoint=False)
        curl = 0.45 * size * np.sin(s / 2) ** 4
        return np.stack([0.62 * size * np.sin(s) * np.sin(s / 2) + curl, -size * np.cos(s)], 1)
    return ellipse(0, 0, size, size, 14)


def _turned(points: Array, angle: float, at: Array) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    turned: Array = points @ np.array([[c, s], [-s, c]]) + at
    return turned


def _polka(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(20, 52)
    tile = blank(p.main)
    for x, y in _scatter(rng, step, 0.0):
        cv2.circle(tile, (round(x * 16), round(y * 16)), round(step * 4.3), p.second, -1, _AA, 4)
    return tile


def _micro(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(9, 14)
    u = np.mod(GRID_X, step) - step / 2
    odd = np.mod(np.floor(GRID_X / step), 2) * step / 2
    v = np.mod(GRID_Y + odd, step) - step / 2
    return lerp(blank(p.main), p.second, 0.24 * step + 0.5 - np.hypot(u, v))


def _flower(
    tile: Array, at: Array, size: float, petals: int, angle: float, one: RGB, two: RGB
) -> None:
    for k in range(petals):
        a = angle + 2 * np.pi * k / petals
        center = at + 0.58 * size * np.array((np.cos(a), np.sin(a)))
        _poly(tile, ellipse(center[0], center[1], 0.52 * size, 0.34 * size, 12, a), one)
    cv2.circle(
        tile, (round(at[0] * 16), round(at[1] * 16)), max(8, round(size * 4.2)), two, -1, _AA, 4
    )


def _floral(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(36, 66)
    tile = blank(p.main)
    green = (70, 110, 70) if sum(p.main) > 240 else (120, 160, 110)
    inner = (246, 214, 90) if rng.random() < 0.5 else p.main
    petals = int(rng.integers(4, 8))
    for at in _scatter(rng, step, 0.3):
        angle = rng.uniform(0, 6.28)
        for turn in (0.5, 2.4):
            move = at + 0.42 * step * np.array((np.cos(angle + turn), np.sin(angle + turn)))
            _poly(tile, _turned(shape("leaf", 0.24 * step), angle + turn + 1.57, move), green)
        first = rng.random() < 0.6
        color = p.second if first else p.third
        size = (0.36 if first else 0.26) * step * rng.uniform(0.85, 1.15)
        _flower(tile, at, size, petals, angle, color, inner)
    return tile


def _ditsy(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(15, 24)
    tile = blank(p.main)
    for at in _scatter(rng, step, 0.36):
        color = p.second if rng.random() < 0.65 else p.third
        _flower(tile, at, 0.27 * step, 4, rng.uniform(0, 1.5), color, (244, 224, 130))
    return tile


def _leaf(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(34, 62)
    tile = blank(p.main)
    blade = shape("leaf", 0.34 * step)
    for at in _scatter(rng, step, 0.3):
        angle = rng.uniform(0, 6.28)
        color = p.second if rng.random() < 0.6 else p.third
        for k in range(3):
            turn = angle + (k - 1) * 0.75
            move = at + 0.3 * step * np.array((np.sin(turn), -np.cos(turn)))
            _poly(tile, _turned(blade, turn, move), color)
    return tile


def _paisley(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(38, 66)
    tile = blank(p.main)
    for at in _scatter(rng, step, 0.12):
        angle = rng.uniform(0, 6.28)
        for size, color in ((0.42, p.second), (0.33, p.main), (0.25, p.third), (0.13, p.second)):
            _poly(tile, _turned(shape("drop", size * step), angle, at), color)
        for k in range(5):
            a = angle + 1.2 * k
            x, y = at + 0.5 * step * np.array((np.cos(a), np.sin(a)))
            cv2.circle(tile, (round(x * 16), round(y * 16)), 30, p.second, -1, _AA, 4)
    return tile


def _soft_noise(rng: np.random.Generator, cells: float) -> Array:
    n = max(4, int(cells))
    small = rng.normal(0, 1, (n, n)).astype(np.float32)
    return cv2.resize(small, (TILE, TILE), interpolation=cv2.INTER_CUBIC)


def _camouflage(p: Palette, rng: np.random.Generator) -> Array:
    cells = TILE / p.span(18, 40)
    dark = (int(p.main[0] * 0.4), int(p.main[1] * 0.4), int(p.main[2] * 0.4))
    tile = blank(p.main)
    for color, level in ((p.second, 0.25), (dark, 0.55), (p.third, 0.75)):
        noise = _soft_noise(rng, cells) + 0.4 * _soft_noise(rng, 2 * cells)
        tile = lerp(tile, color, (noise - level) * 6 + 0.5)
    return tile


def _leopard(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(18, 34)
    base = lerp(blank(p.main), p.second, 0.25 * clouds())
    dark = (34, 26, 24) if sum(p.main) > 200 else (190, 170, 140)
    inner = p.second
    for at in _scatter(rng, step, 0.22):
        size = 0.34 * step * rng.uniform(0.7, 1.15)
        outline = ellipse(at[0], at[1], size, 0.78 * size, 11, rng.uniform(0, 3.1))
        outline = outline + rng.normal(0, 0.13 * size, outline.shape)
        _poly(base, outline, inner)
        start = int(rng.integers(11))
        ring = np.round(np.roll(outline, start, 0)[: int(rng.integers(6, 10))] * 16)
        thick = max(2, round(0.2 * size))
        cv2.polylines(base, [ring.astype(np.int32)], False, dark, thick, _AA, 4)
    return base


def _zebra(p: Palette, rng: np.random.Generator) -> Array:
    bend = 14 * _soft_noise(rng, 6)
    phase = GRID_Y + bend + 0.4 * GRID_X * (p.angle - 0.5)
    wave = np.sin(phase * (2 * np.pi / p.span(20, 44))) + 0.55 * _soft_noise(rng, 9)
    return lerp(blank(p.main), p.second, wave * 4 + 0.4)


def _geometric(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(26, 52)
    tile = blank(p.main)
    name = str(rng.choice(["triangle", "diamond", "drop", "circle"]))
    ring = bool(rng.random() < 0.5)
    for k, at in enumerate(_scatter(rng, step, 0.0)):
        turn = np.pi if name == "triangle" and k % 2 else 0.0
        _poly(tile, _turned(shape(name, 0.42 * step), turn, at), p.second if k % 3 else p.third)
        if ring:
            _poly(tile, _turned(shape(name, 0.24 * step), turn, at), p.main)
    return tile


def _sprinkled(name: str) -> Callable[[Palette, np.random.Generator], Array]:
    def draw(p: Palette, rng: np.random.Generator) -> Array:
        step = p.span(22, 50)
        tile = blank(p.main)
        outline = shape(name, 0.3 * step)
        for k, at in enumerate(_scatter(rng, step, 0.06)):
            turn = rng.uniform(-0.5, 0.5) if name == "star" else 0.0
            _poly(tile, _turned(outline, turn, at), p.third if k % 5 == 2 else p.second)
        return tile

    return draw


MOTIFS: dict[str, Callable[[Palette, np.random.Generator], Array]] = {
    "polka-dot": _polka,
    "micro-dot": _micro,
    "floral": _floral,
    "ditsy-floral": _ditsy,
    "leaf": _leaf,
    "paisley": _paisley,
    "camouflage": _camouflage,
    "leopard": _leopard,
    "zebra": _zebra,
    "geometric": _geometric,
    "star": _sprinkled("star"),
    "heart": _sprinkled("heart"),
}
