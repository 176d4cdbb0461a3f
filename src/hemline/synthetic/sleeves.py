"""Sleeves: tubes of cloth along the arms, by length and shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from hemline.synthetic.cloth import Cloth
from hemline.synthetic.curves import Array, affine, shift, tube
from hemline.synthetic.fabric import darker
from hemline.synthetic.pen import Pen
from hemline.synthetic.values import MEASURES

#: How far down the arm a sleeve reaches: 1 is the wrist.
_REACH: Mapping[str, float] = MEASURES["sleeve"]["reach"]
#: Half-widths over an arm of 25 at the shoulder, at five places from shoulder to end.
_WIDTHS: Mapping[str, Sequence[float]] = MEASURES["sleeve"]["widths"]
#: Shapes that keep their form however short the sleeve is.
_WHOLE = ("puff", "bell", "flutter", "bishop")


def limb_frame(start: Array, end: Array, u: float, v: float) -> Array:
    """The frame of cloth along a limb: its (u, v) lies at `start`, its y runs to `end`."""
    way = (end - start) / max(math.hypot(*(end - start)), 1e-6)
    right = np.array((way[1], -way[0]))
    if right[0] < 0:
        right = -right
    return affine(start - right * u - way * v, right, way)


def add_sleeve(pen: Pen, side: int, cloth: Cloth, ease: float, z: float) -> Array:
    """Adds one sleeve under layer `z` (its forearm over the body where the arm crosses it).

    Returns the middle of its end, in figure units.
    """
    figure, a = pen.figure, pen.product.attributes
    length, shape = a["sleeve_length"], a["sleeve_shape"]
    reach = _REACH[length] - (0.06 if shape == "rolled" and length == "long" else 0.0)
    path: Array = _along(reach) @ figure.arms[side]
    path[0] += (side * 0.1 * ease, 2 + 0.45 * ease)
    widths: Array = _cut(shape, reach, len(path)) + 0.32 * ease
    drop = 0.85 * max(float(widths[0]) - 31.0 - 0.32 * ease, 0.0)
    for k, part in enumerate((1.0, 0.7, 0.35)[: len(path) - 1]):
        path[k] += (-0.5 * side * part * drop, part * drop)
    crossing = figure.crosses(side)
    bend = _bend(figure.arms[side])
    elbow = round((len(path) - 1) * min(0.5 / reach, 1.0)) if reach > 0.56 else len(path) - 1
    if elbow < len(path) - 2 and (crossing or abs(bend) > 0.35):
        upper, lower = slice(elbow + 2), slice(elbow, None)
        over = 61.0 + z / 100 if crossing else z - 0.7
        pen.layer(z - 0.8, lambda: _draw(pen, path[upper], widths[upper], cloth, side, 0))
        pen.layer(over, lambda: _draw(pen, path[lower], widths[lower], cloth, side, 1, True))
    else:
        pen.layer(z - 0.8, lambda: _draw(pen, path, widths, cloth, side, 0, True))
    end: Array = path[-1]
    return end


@lru_cache(maxsize=32)
def _along(reach: float) -> Array:
    """(n,3): what each joint of an arm gives to each place of a sleeve's middle line."""
    joints = np.eye(3)
    dense = np.concatenate(
        [np.linspace(joints[0], joints[1], 9)[:-1], np.linspace(joints[1], joints[2], 9)]
    )
    if reach < 1.0:
        n = max(3, round(16 * reach) + 1)
        dense = np.stack([_at(dense, reach * t) for t in np.linspace(0, 1, n)])
    rounded: Array = dense.copy()
    rounded[1:-1] = 0.25 * dense[:-2] + 0.5 * dense[1:-1] + 0.25 * dense[2:]
    return rounded


def _at(dense: Array, t: float) -> Array:
    place = t * (len(dense) - 1)
    k = min(int(place), len(dense) - 2)
    point: Array = dense[k] + (dense[k + 1] - dense[k]) * (place - k)
    return point


@lru_cache(maxsize=128)
def _cut(shape: str, reach: float, n: int) -> Array:
    stops = _WIDTHS.get(shape, _WIDTHS["regular"])
    end = 1.0 if shape in _WHOLE else max(reach, 0.3)
    cut: Array = np.interp(np.linspace(0, end, n), np.linspace(0, 1, 5), stops)
    return cut


def _bend(joints: Array) -> float:
    a, b = joints[1] - joints[0], joints[2] - joints[1]
    return float(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b))


def _draw(
    pen: Pen, path: Array, widths: Array, cloth: Cloth, side: int, part: int, last: bool = False
) -> None:
    """Draws one part of a sleeve; the `last` has the hem or the cuff."""
    shape = pen.product.attributes["sleeve_shape"]
    frame = limb_frame(path[0], path[-1], side * 130.0, 40.0 + 150.0 * part)
    outline = tube(path, widths)
    if part:
        pen.canvas.tint([shift(outline, 0, 7)], 0.8, 7)
    folds = 8 + (part + (side + 1)) % 4
    pen.canvas.drape([outline], cloth, frame, folds=folds, gain=0.97, target=pen.target)
    if not last:
        return
    way, n = path[-1] - path[-2], len(path)
    step = math.hypot(*way)
    if shape in ("rolled", "cuffed", "puff", "bishop"):
        deep = 26.0 if shape == "rolled" else 18.0
        k = max(0, n - 1 - max(1, round(deep / max(step, 1e-6))))
        band = tube(path[k:], np.full(n - k, widths[-1] + (4 if shape == "rolled" else 1)), False)
        trim = pen.fabric.trim
        pen.canvas.drape([band], trim, frame, folds=12, gain=1.07, round_=0.8, target=pen.target)
        pen.edge(band, 2.0)
    else:
        across = np.array((-way[1], way[0])) / max(step, 1e-6) * widths[-1]
        back = way / max(step, 1e-6) * 9
        hem = np.array([path[-1] - across - back, path[-1] + across - back])
        pen.stroke(hem, darker(pen.fabric.seam, 1.05), 2.0)
