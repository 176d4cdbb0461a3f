"""Necklines and collars: the edge of the front at the neck, and what is sewn onto it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hemline.synthetic.curves import Array, ellipse, mirrored, shift, smooth, spline
from hemline.synthetic.fabric import darker
from hemline.synthetic.figure import SIDES, both
from hemline.synthetic.pen import Pen
from hemline.synthetic.values import MEASURES


@dataclass(frozen=True)
class Neck:
    """Half the width and the depth of a neckline below the shoulder's start, and its form."""

    kind: str
    half: float
    depth: float
    form: str

    @property
    def low(self) -> float:
        return shoulder_y(self.half) + self.depth


_NECKS: Mapping[str, tuple[float, float, str]] = MEASURES["neck"]


def shoulder_y(x: float) -> float:
    """The height of the shoulder line at `x` from the middle."""
    return 172.0 + max(0.0, x - 30.0) * 0.42


def neck_of(collar: str, category: str, depth: float) -> Neck:
    """The neckline of a collar; `depth` (0..1) is the product's own variation."""
    half, low, form = _NECKS[collar]
    low *= 0.85 + 0.35 * depth
    if category == "jumpsuit" and collar == "lapel":
        low *= 0.6
    if category in ("cardigan", "vest") and collar == "v-neck":
        low *= 1.5
    return Neck(collar, half, low, form)


@lru_cache(maxsize=256)
def neck_curve(neck: Neck) -> Array:
    """The wearer's-left half of the front edge, from the middle to the shoulder (N,2).

    Not to be written to.
    """
    x, y0, low = neck.half, shoulder_y(neck.half), neck.low
    if neck.form == "v":
        return np.array([(0, low), (0.5 * x, (low + y0) / 2 + 4), (x, y0)], float)
    if neck.form == "square":
        return np.array([(0, low), (0.86 * x, low - 2), (x, y0)], float)
    if neck.form == "flat":
        return spline([(0, 246), (50, 242), (100, 232)], 4)
    if neck.form == "straps":
        return spline([(0, 236), (34, 226), (62, 232)], 4)
    t = np.linspace(0, np.pi / 2, 9)
    return np.stack([x * np.sin(t) ** 0.9, y0 + (low - y0) * np.cos(t) ** 1.1], axis=1)


def add_collar(pen: Pen, neck: Neck, z: float) -> None:
    """Adds the collar's pieces just above layer `z`."""
    if neck.kind == "hood":
        pen.layer(12, lambda: _hood_back(pen))
    if neck.kind in ("turtleneck", "mock-neck", "stand", "shirt", "button-down", "polo", "bow"):
        pen.layer(z - 0.5, lambda: _back_band(pen, neck))
    if neck.kind not in ("off-shoulder", "straps"):
        draw = _COLLARS.get(neck.kind, _binding)
        pen.layer(z + 0.4, lambda: draw(pen, neck))


def _binding(pen: Pen, neck: Neck) -> None:
    half = neck_curve(neck)
    edge = pen.figure.body(np.concatenate([half[::-1], half[1:] * (-1, 1)]))
    pen.stroke(edge, darker(pen.fabric.accent, 0.86), 9)
    pen.stroke(shift(edge, 0, 5), pen.fabric.seam, 1.6)


def _back_band(pen: Pen, neck: Neck) -> None:
    high = 146 if neck.kind == "turtleneck" else 158
    pen.fill(ellipse(0, high + 4, 29, 9, 16), darker(pen.fabric.accent, 0.55))


def _tube_neck(pen: Pen, neck: Neck) -> None:
    high = 140 if neck.kind == "turtleneck" else 158
    low = neck.low + 6
    side = [(0, high + 7), (20, high + 5), (29, high), (32, (high + low) / 2), (40, low - 12)]
    edge = spline([(36, low - 8), (18, low), (0, low + 2)], 3)
    pen.collar(mirrored(np.concatenate([side, edge])), 0.98)
    if neck.kind == "turtleneck":
        pen.line(spline([(-33, 160), (0, 170), (33, 160)], 4), pen.fabric.seam, 3)


def _stand(pen: Pen, neck: Neck) -> None:
    low = neck.low
    for band in both([(3, low), (14, low - 12), (30, 158), (37, 172), (24, low - 4)]):
        pen.collar(band)


def _shirt(pen: Pen, neck: Neck) -> None:
    polo, low = neck.kind == "polo", neck.low
    spread, tip = (46, low + 18) if polo else (40, low + 26)
    flap = [(2, low - 1), (26, 158), (36, 163), (spread + 8, 186), (spread - 10, tip)]
    for s, one in zip(SIDES, both(flap), strict=True):
        pen.collar(one)
        if neck.kind == "button-down":
            dot = ellipse(s * (spread - 9), tip - 7, 3.2, 3.2, 8)
            pen.fill(dot, darker(pen.fabric.accent, 0.6))


def _lapel(pen: Pen, neck: Neck) -> None:
    y, low = shoulder_y(neck.half), neck.low
    collars = both([(24, 164), (36, 160), (50, 186), (66, 222), (46, 232), (30, 196)])
    outer = [(84, 214), (70, 252)] if neck.kind == "peak-lapel" else [(72, 238), (66, 262)]
    lapels = both([(32, y + 12), (50, 230), *outer, (34, low - 24), (4, low + 4), (20, y + 60)])
    for lapel, collar in zip(lapels, collars, strict=True):
        pen.collar(lapel)
        pen.collar(collar, 1.0)


def _shawl(pen: Pen, neck: Neck) -> None:
    low = neck.low
    outer = spline([(28, 160), (52, 178), (72, 232), (52, 285), (2, low + 6)], 4)
    for side in both(np.concatenate([outer, [(14, low - 46), (28, 200)]])):
        pen.collar(side)


def _hood_back(pen: Pen) -> None:
    shape = smooth([(-70, 190), (-66, 140), (-34, 112), (0, 106), (34, 112), (66, 140), (70, 190)])
    at, frame = pen.figure.body(shape), pen.figure.frame()
    pen.canvas.drape([at], pen.fabric.main, frame, folds=2, gain=0.7, target=pen.target)


def _hood(pen: Pen, neck: Neck) -> None:
    roll = spline([(64, 142), (74, 176), (58, 206), (24, 226), (0, 230)], 4)
    inner = spline([(2, neck.low), (26, 202), (40, 176), (46, 146)], 4)
    cords = both(spline([(15, 222), (17, 262), (13, 296)], 4))
    for side, cord in zip(both(np.concatenate([roll, inner])), cords, strict=True):
        pen.collar(side)
        pen.line(cord, darker(pen.fabric.accent, 1.5), 4)


def _peter_pan(pen: Pen, neck: Neck) -> None:
    low = neck.low
    flap = spline([(1, low), (30, low + 22), (60, 208), (58, 184), (38, 166)], 4)
    for side in both(np.concatenate([flap, [(30, 186), (16, low - 8)]])):
        pen.collar(side, 1.12)


def _bow(pen: Pen, neck: Neck) -> None:
    _stand(pen, neck)
    y = neck.low
    tails = both([(0, y), (12, y + 4), (30, y + 78), (12, y + 86), (2, y + 30)])
    loop = [(0, y + 2), (28, y - 18), (48, y - 8), (46, y + 14), (24, y + 14), (0, y + 4)]
    for tail, ear in zip(tails, both(spline(loop, 3)), strict=True):
        pen.collar(tail)
        pen.collar(ear)
    pen.fill(ellipse(0, y + 3, 7, 9), darker(pen.fabric.accent, 0.85))


def _cowl(pen: Pen, neck: Neck) -> None:
    _binding(pen, neck)
    for k in range(3):
        y, x = neck.low + 14 + 17 * k, 50 - 5 * k
        drape = pen.figure.body(spline([(-x, y - 42), (0, y), (x, y - 42)], 5))
        pen.stroke(drape, pen.fabric.seam, 5)
        pen.stroke(drape - (0, 6), darker(pen.fabric.accent, 1.18), 3)


_COLLARS = {
    **dict.fromkeys(("turtleneck", "mock-neck"), _tube_neck),
    **dict.fromkeys(("shirt", "button-down", "polo"), _shirt),
    **dict.fromkeys(("lapel", "peak-lapel"), _lapel),
    "stand": _stand,
    "shawl": _shawl,
    "hood": _hood,
    "peter-pan": _peter_pan,
    "bow": _bow,
    "cowl": _cowl,
}
