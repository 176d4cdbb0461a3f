"""Plane geometry for garments: smooth outlines, tubes along limbs, affine frames.

Points are float arrays (N,2), x to the right and y down, in the figure's own units (a standing
person is 1000 high; see `figure`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Points (N,2), as an array or written out.
Points = Sequence[Sequence[float]] | Array


def _basis(steps: int) -> Array:
    t = np.linspace(0, 1, steps, endpoint=False)
    t2, t3 = t * t, t * t * t
    return 0.5 * np.stack(
        [-t3 + 2 * t2 - t, 3 * t3 - 5 * t2 + 2, -3 * t3 + 4 * t2 + t, t3 - t2], axis=1
    )


@lru_cache(maxsize=128)
def _spline_matrix(n: int, steps: int) -> Array:
    """((n-1)*steps+1, n): what each of `n` points gives to each place of an open curve."""
    padded = np.zeros((n + 2, n))
    padded[1:-1] = np.eye(n)
    padded[0, :2], padded[-1, -2:] = (2, -1), (-1, 2)
    windows = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)
    curve = np.einsum("sk,nkd->nsd", _basis(steps), windows).reshape(-1, n)
    return np.concatenate([curve, padded[-2:-1]])


@lru_cache(maxsize=128)
def _smooth_matrix(n: int, steps: int) -> Array:
    """(n*steps, n): the same for a closed curve."""
    one = np.eye(n)
    windows = np.stack([np.roll(one, 1, 0), one, np.roll(one, -1, 0), np.roll(one, -2, 0)], axis=1)
    curve: Array = np.einsum("sk,nkd->nsd", _basis(steps), windows).reshape(-1, n)
    return curve


def spline(points: Points, steps: int = 6) -> Array:
    """An open Catmull-Rom curve through `points` (N,2) -> ((N-1)*steps+1, 2).

    Many curves at once: (K,N,2) -> (K, (N-1)*steps+1, 2).
    """
    p = np.asarray(points, dtype=np.float64)
    n = p.shape[-2]
    if n < 3:
        return p
    curve: Array = _spline_matrix(n, steps) @ p
    return curve


def smooth(points: Points, steps: int = 6) -> Array:
    """A closed Catmull-Rom curve through `points`."""
    p = np.asarray(points, dtype=np.float64)
    curve: Array = _smooth_matrix(len(p), steps) @ p
    return curve


_QUARTER = np.array((-1.0, 1.0))
_ARC = np.stack([f(np.linspace(0, np.pi, 7)[1:-1]) for f in (np.cos, np.sin)], axis=1)


def mirrored(right: Array) -> Array:
    """A closed outline from its half with x >= 0, given from top to bottom."""
    left = right[::-1] * (-1.0, 1.0)
    return np.concatenate([right, left])


def ellipse(cx: float, cy: float, rx: float, ry: float, n: int = 20, turn: float = 0.0) -> Array:
    """A closed ellipse, turned by `turn` radians."""
    c, s = math.cos(turn), math.sin(turn)
    spin = np.array([[rx * c, rx * s], [-ry * s, ry * c]])
    out: Array = _circle(n) @ spin
    out += (cx, cy)
    return out


@lru_cache(maxsize=32)
def _circle(n: int) -> Array:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def shift(points: Array, dx: float, dy: float) -> Array:
    """`points` (N,2), or one point (2,), moved."""
    move = (dx, dy)
    moved: Array = points + move
    return moved


def about(at: Array, *offsets: tuple[float, float]) -> Array:
    """Points (N,2), given by how far each is from the point `at`."""
    points: Array = np.array(offsets) + at
    return points


def tube(path: Points, widths: Sequence[float] | Array, cap: bool = True) -> Array:
    """The closed outline of a limb along `path` (N,2) with half-widths `widths` (N,).

    With `cap` its start is rounded (a shoulder, a knee); its end is cut straight, as a hem is.
    """
    p = np.asarray(path, dtype=np.float64)
    w = np.asarray(widths, dtype=np.float64)[:, None]
    step = np.empty_like(p)
    step[1:-1] = p[2:] - p[:-2]
    step[0], step[-1] = p[1] - p[0], p[-1] - p[-2]
    step *= w / np.maximum(np.hypot(step[:, :1], step[:, 1:]), 1e-6)
    normal = step[:, ::-1] * _QUARTER
    n = len(p)
    out = np.empty((2 * n + (len(_ARC) if cap else 0), 2))
    np.add(p, normal, out=out[:n])
    np.subtract(p[::-1], normal[::-1], out=out[n : 2 * n])
    if cap:
        np.subtract(p[0], _ARC @ np.array((normal[0], step[0])), out=out[2 * n :])
    return out


def affine(
    origin: Sequence[float] | Array, right: Sequence[float] | Array, down: Sequence[float] | Array
) -> Array:
    """The 3x3 matrix that takes (0,0), (1,0), (0,1) to origin, origin+right, origin+down."""
    return np.array(
        [[right[0], down[0], origin[0]], [right[1], down[1], origin[1]], [0.0, 0.0, 1.0]]
    )


def apply(matrix: Array, points: Array) -> Array:
    """`points` (N,2) through a 3x3 homography."""
    p = np.asarray(points, dtype=np.float64)
    x = p @ matrix[:2, :2].T + matrix[:2, 2]
    if matrix[2, 0] == 0.0 and matrix[2, 1] == 0.0:
        return x
    w: Array = p @ matrix[2, :2] + matrix[2, 2]
    return x / w[:, None]
