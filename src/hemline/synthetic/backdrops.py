"""Backdrops: what lies behind the figure in shop and in street images.

They are painted at a quarter to a half of the size and enlarged, as an unfocused background is.
All functions give (size, size, 3) uint8 RGB.
"""

from __future__ import annotations

import cv2
import numpy as np

from hemline.synthetic.curves import Array
from hemline.synthetic.fabric import darker
from hemline.synthetic.values import RGB

_N = 96


def shop_backdrop(rng: np.random.Generator, size: int) -> Array:
    """White, pale grey, a soft gradient, a tinted studio, or a quiet room."""
    kind = rng.random()
    if kind < 0.3:
        return np.full((size, size, 3), int(rng.integers(246, 256)), np.uint8)
    base = np.array((238.0, 238.0, 238.0)) + rng.normal(0, 5)
    if kind > 0.6:
        base = base * (1 - rng.uniform(0.02, 0.26, 3))
    y, x = np.mgrid[0:24, 0:24] / 23.0
    glow = 1.05 - 0.22 * ((x - 0.5) ** 2 + (y - 0.4) ** 2) * rng.uniform(0.4, 1.6)
    tile = np.clip(base * glow[..., None], 0, 255)
    if kind > 0.45:
        floor = int(rng.integers(18, 22))
        tile[floor:] = np.clip(tile[floor:] * rng.uniform(0.88, 0.98), 0, 255)
    big: Array = cv2.resize(tile.astype(np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    if kind > 0.85:
        light = rng.uniform(0.3, 0.8)
        x0, w = int(rng.uniform(0, 0.5) * size), int(rng.uniform(0.15, 0.35) * size)
        pane: Array = np.zeros((size, size), np.uint8)
        corners = [(x0, 0), (x0 + w, 0), (x0 + w + size // 4, size), (x0 + size // 4, size)]
        cv2.fillConvexPoly(pane, np.array(corners, np.int32), (255,))
        pane = cv2.blur(pane, (15, 15))
        gain = cv2.convertScaleAbs(pane, alpha=light * 12 / 255, beta=122)
        big = cv2.multiply(big, cv2.merge([gain, gain, gain]), scale=1 / 128)
    return big


def _rect(t: Array, x0: float, y0: float, x1: float, y1: float, color: RGB) -> None:
    n = t.shape[0]
    cv2.rectangle(t, (int(x0 * n), int(y0 * n)), (int(x1 * n), int(y1 * n)), color, -1)


def _tone(rng: np.random.Generator, low: float = 60, high: float = 225, vivid: float = 26) -> RGB:
    base = rng.uniform(low, high)
    r, g, b = (int(min(max(base + v, 8), 250)) for v in rng.normal(0, vivid, 3).tolist())
    return (r, g, b)


def _fade(n: int, top: RGB, low: RGB) -> Array:
    t = np.linspace(0, 1, n)[:, None, None]
    column = np.array(top) * (1 - t) + np.array(low) * t
    return np.ascontiguousarray(np.broadcast_to(column, (n, n, 3)).astype(np.uint8))


def _wall(rng: np.random.Generator, busy: float) -> Array:
    n = 2 * _N
    color = _tone(rng, 90, 225, 16)
    t: Array = np.empty((n, n, 3), np.uint8)
    t[:] = color
    kind = rng.random()
    joint = darker(color, 0.78)
    if kind < 0.45 and busy > 0.1:
        h = int(rng.integers(8, 15))
        for k, y in enumerate(range(0, n, h)):
            cv2.line(t, (0, y), (n, y), joint, 1)
            for x in range((k % 2) * h, n, 2 * h):
                cv2.line(t, (x, y), (x, y + h), joint, 1)
        blotch = rng.integers(112, 144, (n // h + 1, n // (2 * h) + 1)).astype(np.uint8)
        big = cv2.resize(blotch, (n, n), interpolation=cv2.INTER_NEAREST)
        t = cv2.multiply(t, cv2.merge([big, big, big]), scale=1 / 128)
    elif kind < 0.65 and busy > 0.1:
        step = int(rng.integers(14, 34))
        for x in range(0, n, step):
            cv2.line(t, (x, 0), (x, n), joint, 2)
            if kind < 0.55:
                cv2.line(t, (0, x), (n, x), joint, 2)
    cloud = cv2.resize(
        rng.integers(112, 142, (5, 5)).astype(np.uint8), (n, n), interpolation=cv2.INTER_CUBIC
    )
    t = cv2.multiply(t, cv2.merge([cloud, cloud, cloud]), scale=1 / 128)
    floor = rng.uniform(0.78, 0.98)
    _rect(t, 0, floor, 1, 1, _tone(rng, 60, 170, 8))
    return t


def _street(rng: np.random.Generator, busy: float) -> Array:
    t = _fade(_N, (190, 208, 226), (226, 222, 214))
    x = -0.05
    while x < 1.0:
        w = rng.uniform(0.14, 0.34)
        color = _tone(rng, 70, 200, 22)
        top = rng.uniform(-0.1, 0.4)
        _rect(t, x, top, x + w, 0.86, color)
        glass: RGB = (int(color[0] * 0.6), int(color[1] * 0.65), int(color[2] * 0.75))
        for wy in np.arange(top + 0.04, 0.66, 0.11):
            for wx in np.arange(x + 0.025, x + w - 0.04, 0.075):
                _rect(t, wx, wy, wx + 0.04, wy + 0.065, glass)
        if rng.random() < 0.7:
            _rect(t, x, 0.6, x + w, 0.65, _tone(rng, 60, 220, 50))
        x += w + (0.02 if rng.random() < 0.4 else 0)
    _rect(t, 0, 0.8, 1, 1, _tone(rng, 95, 160, 6))
    _rect(t, 0, 0.8, 1, 0.82, _tone(rng, 150, 200, 4))
    for _ in range(int(5 * busy * rng.random())):
        cx = rng.uniform(0, 1)
        body = _tone(rng, 40, 220, 40)
        _rect(t, cx - 0.16, 0.7, cx + 0.16, 0.82, body)
        _rect(t, cx - 0.09, 0.64, cx + 0.09, 0.71, (70, 80, 92))
    return t


def _bokeh(rng: np.random.Generator, busy: float) -> Array:
    t = _fade(_N, _tone(rng, 25, 90, 18), _tone(rng, 40, 110, 18))
    over = t.copy()
    for _ in range(10 + int(28 * busy)):
        color = _tone(rng, 120, 250, 50)
        at = (int(rng.integers(_N)), int(rng.integers(int(0.8 * _N))))
        cv2.circle(over, at, int(rng.integers(2, 9)), color, -1, cv2.LINE_AA)
    return cv2.addWeighted(over, 0.7, t, 0.3, 0)


def _foliage(rng: np.random.Generator, busy: float) -> Array:
    t = _fade(_N, (168, 190, 150), (86, 112, 66))
    for _ in range(70 + int(90 * busy)):
        g = rng.uniform(50, 190)
        color = (int(g * rng.uniform(0.5, 0.85)), int(g), int(g * rng.uniform(0.3, 0.6)))
        at = (int(rng.integers(_N)), int(rng.integers(int(0.85 * _N))))
        axes = (int(rng.integers(2, 8)), int(rng.integers(1, 5)))
        cv2.ellipse(t, at, axes, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    _rect(t, 0, rng.uniform(0.8, 0.95), 1, 1, _tone(rng, 90, 150, 12))
    return t


def _room(rng: np.random.Generator, busy: float) -> Array:
    n = 2 * _N
    t: Array = np.empty((n, n, 3), np.uint8)
    t[:] = _tone(rng, 130, 232, 14)
    floor = rng.uniform(0.72, 0.9)
    wood = _tone(rng, 80, 170, 6)
    _rect(t, 0, floor, 1, 1, (wood[0], int(wood[1] * 0.85), int(wood[2] * 0.7)))
    _rect(t, 0, floor - 0.015, 1, floor, (236, 234, 230))
    makers = (_door, _window, _frames, _shelf, _sofa, _wardrobe, _plant)
    for _ in range(1 + round(4 * busy)):
        makers[int(rng.integers(len(makers)))](t, rng, floor)
    return t


def _door(t: Array, rng: np.random.Generator, floor: float) -> None:
    x, color = rng.uniform(-0.1, 0.8), _tone(rng, 120, 240, 10)
    _rect(t, x - 0.015, 0.08, x + 0.285, floor, (240, 238, 234))
    _rect(t, x, 0.1, x + 0.27, floor, color)
    for y in (0.15, 0.46):
        _rect(t, x + 0.05, y, x + 0.22, y + 0.24, (color[0] - 14, color[1] - 14, color[2] - 14))


def _window(t: Array, rng: np.random.Generator, floor: float) -> None:
    x, w = rng.uniform(0, 0.7), rng.uniform(0.2, 0.36)
    _rect(t, x, 0.05, x + w, 0.52, (246, 246, 244))
    _rect(t, x + 0.015, 0.065, x + w - 0.015, 0.505, (206, 224, 238))
    _rect(t, x + w / 2 - 0.008, 0.05, x + w / 2 + 0.008, 0.52, (246, 246, 244))
    if rng.random() < 0.6:
        color = _tone(rng, 100, 230, 24)
        _rect(t, x - 0.1, 0.02, x + 0.02, 0.75, color)
        _rect(t, x + w - 0.02, 0.02, x + w + 0.1, 0.75, color)


def _frames(t: Array, rng: np.random.Generator, floor: float) -> None:
    for _ in range(int(rng.integers(1, 4))):
        x, y, w, h = rng.uniform(0, 0.85), rng.uniform(0.04, 0.4), *rng.uniform(0.08, 0.2, 2)
        _rect(t, x, y, x + w, y + h, _tone(rng, 20, 200, 10))
        _rect(t, x + 0.012, y + 0.012, x + w - 0.012, y + h - 0.012, _tone(rng, 120, 240, 40))


def _shelf(t: Array, rng: np.random.Generator, floor: float) -> None:
    x, wood = rng.uniform(-0.1, 0.7), _tone(rng, 70, 200, 12)
    _rect(t, x, 0.1, x + 0.34, floor, wood)
    for y in np.arange(0.13, floor - 0.1, 0.15):
        _rect(t, x + 0.012, y, x + 0.328, y + 0.13, darker(wood, 0.6))
        u = x + 0.02
        while u < x + 0.3:
            w = rng.uniform(0.01, 0.035)
            _rect(t, u, y + rng.uniform(0.01, 0.06), u + w, y + 0.13, _tone(rng, 50, 230, 50))
            u += w + rng.uniform(0.002, 0.03)


def _sofa(t: Array, rng: np.random.Generator, floor: float) -> None:
    x, color = rng.uniform(-0.2, 0.5), _tone(rng, 60, 200, 28)
    _rect(t, x, floor - 0.26, x + 0.6, floor + 0.05, color)
    seat: RGB = (min(255, color[0] + 16), min(255, color[1] + 16), min(255, color[2] + 16))
    _rect(t, x + 0.05, floor - 0.1, x + 0.55, floor + 0.02, seat)
    _rect(t, x + 0.1, floor - 0.2, x + 0.24, floor - 0.08, _tone(rng, 80, 235, 45))


def _wardrobe(t: Array, rng: np.random.Generator, floor: float) -> None:
    """A rail with clothes hanging on it."""
    x, y = rng.uniform(-0.1, 0.55), rng.uniform(0.12, 0.3)
    _rect(t, x, y - 0.015, x + 0.5, y, (90, 88, 86))
    u = x + 0.01
    while u < x + 0.46:
        w = rng.uniform(0.025, 0.06)
        _rect(t, u, y + 0.01, u + w, y + rng.uniform(0.25, 0.45), _tone(rng, 30, 235, 45))
        u += w


def _plant(t: Array, rng: np.random.Generator, floor: float) -> None:
    n, x = t.shape[0], rng.uniform(0.05, 0.95)
    _rect(t, x - 0.05, floor - 0.1, x + 0.05, floor + 0.04, _tone(rng, 100, 220, 20))
    for _ in range(14):
        g = int(rng.integers(70, 150))
        a = rng.uniform(-1.2, 1.2)
        at = (int((x + 0.1 * np.sin(a)) * n), int((floor - 0.12 - 0.16 * np.cos(a)) * n))
        axes, turn = (int(0.1 * n), int(0.025 * n)), float(np.degrees(a) - 90)
        color = (int(g * 0.5), g, int(g * 0.55))
        cv2.ellipse(t, at, axes, turn, 0, 360, color, -1, cv2.LINE_AA)


def _store(rng: np.random.Generator, busy: float) -> Array:
    n = 2 * _N
    t = _fade(n, (228, 226, 220), (196, 190, 182))
    for _ in range(2 + int(3 * busy)):
        _wardrobe(t, rng, 0.8)
    for _ in range(5):
        x = rng.uniform(0, 1)
        _rect(t, x, 0.02, x + 0.08, 0.035, (255, 255, 250))
    _rect(t, 0, 0.86, 1, 1, _tone(rng, 120, 190, 6))
    return t


def _curtain(rng: np.random.Generator, busy: float) -> Array:
    n = _N
    color = np.array(_tone(rng, 60, 220, 30), np.float64)
    x = np.arange(n)
    wave = 1 + 0.14 * np.sin(x / rng.uniform(1.6, 4) + 1.5 * np.sin(x / 9.0))
    row = np.clip(color * wave[:, None], 0, 255).astype(np.uint8)
    t = np.ascontiguousarray(np.broadcast_to(row, (n, n, 3)))
    _rect(t, 0, 0.88, 1, 1, _tone(rng, 70, 170, 8))
    return t


_INDOORS = (_room, _room, _store, _curtain)
_STREETS = (_street, _street, _wall, _wall, _foliage, _bokeh, _room, *_INDOORS)


def street_backdrop(
    rng: np.random.Generator, size: int, clutter: float, indoors: bool = False
) -> Array:
    """A wall, a street, foliage, evening lights, a room, a store; an even wall at clutter 0."""
    if clutter <= 0:
        color = np.array(_tone(rng, 120, 225, 12), np.uint8)
        flat = np.empty((size, size, 3), np.uint8)
        flat[:] = color
        return flat
    makers = _INDOORS if indoors else _STREETS
    t = makers[int(rng.integers(len(makers)))](rng, clutter)
    if rng.random() < 0.5:
        t = cv2.flip(t, 1)
    n = t.shape[0]
    cut = rng.uniform(0.6, 1.0)
    x0 = int(rng.uniform(0, 1 - cut) * n)
    y0 = int((1 - cut) * n * rng.uniform(0.2, 1.0))
    side = int(cut * n)
    big = cv2.resize(
        t[y0 : y0 + side, x0 : x0 + side], (size, size), interpolation=cv2.INTER_LINEAR
    )
    soft = float(rng.choice([0.0, 0.8, 1.6, 3.2])) * size / 224
    if soft > 0.3:
        k = max(3, int(2 * soft) | 1)
        big = cv2.blur(cv2.blur(big, (k, k)), (k, k))
    return big
