"""Printed cloth whose motifs are drawn one by one: flowers, dots, spots, leaves, camouflage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np

from hemline.synthetic.cloth import TILE
from hemline.synthetic.curves import Array, ellipse
from hemline.synthetic.textures import GRID_X, GRID_Y, Palette, blank, clouds, lerp
from hemline.synthetic.values import RGB

_AA = cv2.LINE_AA


def _polys(tile: Array, shapes: Array, color: RGB | list[RGB]) -> None:
    """Fills shapes (K,N,2) one after the other; one colour, or one for each."""
    fixed = np.round(shapes * 16).astype(np.int32)
    colors = color if isinstance(color, list) else [color] * len(fixed)
    for points, one in zip(fixed, colors, strict=True):
        cv2.fillPoly(tile, [points], one, _AA, 4)


def _dot(tile: Array, at: Sequence[float], r: int, color: RGB) -> None:
    """A disk of `r` sixteenths of a pixel."""
    cv2.circle(tile, (round(at[0] * 16), round(at[1] * 16)), r, color, -1, _AA, 4)


def _scatter(rng: np.random.Generator, step: float, jitter: float) -> Array:
    """Places (N,2) on a staggered grid, each moved by up to `jitter` steps."""
    rows = np.arange(-0.5, TILE / step + 1)
    odd = 0.5 * ((rows + 1).astype(int) % 2)
    places = np.stack(np.broadcast_arrays(rows + odd[:, None], rows[:, None]), 2).reshape(-1, 2)
    spots: Array = (places + rng.uniform(-jitter, jitter, places.shape)) * step
    return spots


@lru_cache(maxsize=64)
def shape(name: str, size: float) -> Array:
    """The outline (N,2) of a small figure about the origin; not to be written to."""
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


def _turned(points: Array, angle: Array | float, at: Array) -> Array:
    """`points` (N,2) turned by each of the angles (K,) and moved to each place (K,2) -> (K,N,2)."""
    turned: Array = points @ _spin(angle) + at[:, None]
    return turned


def _spin(angle: Array | float) -> Array:
    """The rotations (...,2,2) by the angles."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)


def _toward(angle: Array) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def _polka(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(20, 52)
    tile = blank(p.main)
    for at in _scatter(rng, step, 0.0).tolist():
        _dot(tile, at, round(step * 4.3), p.second)
    return tile


def _micro(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(9, 14)
    line = GRID_X[0]
    u = np.mod(line, step) - step / 2
    odd = np.mod(np.floor(line / step), 2)
    even, moved = (np.mod(line + k * step / 2, step) - step / 2 for k in (0, 1))
    v = np.where(odd[None, :] > 0, moved[:, None], even[:, None])
    return p.mix(0.24 * step + 0.5 - np.hypot(u[None, :], v))


def _petals(at: Array, size: Array, petals: int, angle: Array) -> Array:
    """The petals (K,P,12,2) of flowers at (K,2)."""
    a = angle[:, None] + 2 * np.pi * np.arange(petals) / petals
    center = at[:, None] + (0.58 * size)[:, None, None] * _toward(a)
    scaled = ellipse(0, 0, 0.52, 0.34, 12) * size[:, None, None]
    out: Array = scaled[:, None] @ _spin(a) + center[:, :, None]
    return out


def _flower(tile: Array, petals: Array, at: Array, size: float, one: RGB, two: RGB) -> None:
    _polys(tile, petals, one)
    _dot(tile, at.tolist(), max(8, round(size * 4.2)), two)


def _floral(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(36, 66)
    tile = blank(p.main)
    green = (70, 110, 70) if sum(p.main) > 240 else (120, 160, 110)
    inner = (246, 214, 90) if rng.random() < 0.5 else p.main
    count = int(rng.integers(4, 8))
    places = _scatter(rng, step, 0.3)
    chance = rng.random((len(places), 3))
    angle, first = 6.28 * chance[:, 0], chance[:, 1] < 0.6
    size = np.where(first, 0.36, 0.26) * step * (0.85 + 0.3 * chance[:, 2])
    petals = _petals(places, size, count, angle)
    blade = shape("leaf", 0.24 * step)
    leaves = [
        _turned(blade, angle + turn + 1.57, places + 0.42 * step * _toward(angle + turn))
        for turn in (0.5, 2.4)
    ]
    for k, at in enumerate(places):
        _polys(tile, np.stack([leaves[0][k], leaves[1][k]]), green)
        color = p.second if first[k] else p.third
        _flower(tile, petals[k], at, float(size[k]), color, inner)
    return tile


def _ditsy(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(15, 24)
    tile = blank(p.main)
    places = _scatter(rng, step, 0.36)
    chance = rng.random((len(places), 2))
    petals = _petals(places, np.full(len(places), 0.27 * step), 4, 1.5 * chance[:, 1])
    for k, at in enumerate(places):
        color = p.second if chance[k, 0] < 0.65 else p.third
        _flower(tile, petals[k], at, 0.27 * step, color, (244, 224, 130))
    return tile


def _leaf(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(34, 62)
    tile = blank(p.main)
    blade = shape("leaf", 0.34 * step)
    places = _scatter(rng, step, 0.3)
    chance = rng.random((len(places), 2))
    blades = []
    for k in range(3):
        turn = 6.28 * chance[:, 0] + (k - 1) * 0.75
        move = places + 0.3 * step * np.stack([np.sin(turn), -np.cos(turn)], 1)
        blades.append(_turned(blade, turn, move))
    for three, kind in zip(np.stack(blades, 1), chance[:, 1], strict=True):
        _polys(tile, three, p.second if kind < 0.6 else p.third)
    return tile


def _paisley(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(38, 66)
    tile = blank(p.main)
    places = _scatter(rng, step, 0.12)
    angle = 6.28 * rng.random(len(places))
    sizes = (0.42, 0.33, 0.25, 0.13)
    drops = np.stack([_turned(shape("drop", f * step), angle, places) for f in sizes], 1)
    dots = places[:, None] + 0.5 * step * _toward(angle[:, None] + 1.2 * np.arange(5))
    for four, five in zip(drops, dots.tolist(), strict=True):
        _polys(tile, four, [p.second, p.main, p.third, p.second])
        for dot in five:
            _dot(tile, dot, 30, p.second)
    return tile


def _soft_noise(rng: np.random.Generator, cells: float) -> Array:
    n = max(4, int(cells))
    small = rng.normal(0, 1, (n, n)).astype(np.float32)
    return cv2.resize(small, (TILE, TILE), interpolation=cv2.INTER_CUBIC)


def _camouflage(p: Palette, rng: np.random.Generator) -> Array:
    cells = TILE / p.span(18, 40)
    r, g, b = (int(c * 0.4) for c in p.main)
    tile = blank(p.main)
    for color, level in ((p.second, 0.25), ((r, g, b), 0.55), (p.third, 0.75)):
        noise = _soft_noise(rng, cells) + 0.4 * _soft_noise(rng, 2 * cells)
        tile = lerp(tile, color, (noise - level) * 6 + 0.5)
    return tile


def _leopard(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(18, 34)
    base = p.mix(0.25 * clouds())
    dark = (34, 26, 24) if sum(p.main) > 200 else (190, 170, 140)
    spots, sizes, rings = [], [], []
    for x, y in _scatter(rng, step, 0.22).tolist():
        size = 0.34 * step * rng.uniform(0.7, 1.15)
        outline = ellipse(x, y, size, 0.78 * size, 11, rng.uniform(0, 3.1))
        outline += rng.standard_normal((11, 2)) * (0.13 * size)
        spots.append(outline)
        sizes.append(size)
        start = 11 - int(rng.integers(11))
        rings.append((start, start + int(rng.integers(6, 10))))
    fixed = np.round(np.array(spots) * 16).astype(np.int32)
    twice = np.concatenate([fixed, fixed], axis=1)
    for k, (start, end) in enumerate(rings):
        cv2.fillPoly(base, [fixed[k]], p.second, _AA, 4)
        thick = max(2, round(0.2 * sizes[k]))
        cv2.polylines(base, [twice[k, start:end]], False, dark, thick, _AA, 4)
    return base


def _zebra(p: Palette, rng: np.random.Generator) -> Array:
    bend = 14 * _soft_noise(rng, 6)
    phase = GRID_Y + bend + 0.4 * GRID_X * (p.angle - 0.5)
    wave = np.sin(phase * (2 * np.pi / p.span(20, 44))) + 0.55 * _soft_noise(rng, 9)
    return p.mix(wave * 4 + 0.4)


def _geometric(p: Palette, rng: np.random.Generator) -> Array:
    step = p.span(26, 52)
    tile = blank(p.main)
    name = str(rng.choice(["triangle", "diamond", "drop", "circle"]))
    ring = bool(rng.random() < 0.5)
    places = _scatter(rng, step, 0.0)
    odd = np.arange(len(places)) % 2
    turn = np.pi * odd if name == "triangle" else np.zeros(len(places))
    colors = [p.second if k % 3 else p.third for k in range(len(places))]
    outer, inner = (_turned(shape(name, f * step), turn, places) for f in (0.42, 0.24))
    if ring:
        both = [c for color in colors for c in (color, p.main)]
        _polys(tile, np.stack([outer, inner], 1).reshape(-1, *outer.shape[1:]), both)
    else:
        _polys(tile, outer, colors)
    return tile


def _sprinkled(name: str) -> Callable[[Palette, np.random.Generator], Array]:
    def draw(p: Palette, rng: np.random.Generator) -> Array:
        step = p.span(22, 50)
        tile = blank(p.main)
        places = _scatter(rng, step, 0.06)
        n = len(places)
        turn = rng.random(n) - 0.5 if name == "star" else np.zeros(n)
        colors = [p.third if k % 5 == 2 else p.second for k in range(n)]
        _polys(tile, _turned(shape(name, 0.3 * step), turn, places), colors)
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
