"""Necklines and collars: the edge of the front at the neck, and what is sewn onto it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, ellipse, mirrored, shift, smooth, spline
from hemline.synthetic.fabric import Fabric, darker
from hemline.synthetic.figure import SIDES, Figure


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


_NECKS: Mapping[str, tuple[float, float, str]] = {
    "round": (38, 36, "round"),
    "v-neck": (38, 84, "v"),
    "scoop": (54, 70, "round"),
    "square": (52, 58, "square"),
    "boat": (68, 8, "round"),
    "turtleneck": (30, 10, "round"),
    "mock-neck": (31, 12, "round"),
    "shirt": (31, 32, "v"),
    "button-down": (31, 32, "v"),
    "polo": (32, 44, "v"),
    "stand": (31, 26, "v"),
    "lapel": (36, 158, "v"),
    "peak-lapel": (36, 150, "v"),
    "shawl": (36, 165, "v"),
    "hood": (40, 40, "round"),
    "peter-pan": (36, 30, "round"),
    "bow": (34, 40, "v"),
    "cowl": (56, 52, "round"),
    "halter": (24, 26, "round"),
    "off-shoulder": (112, 20, "flat"),
    "straps": (70, 34, "straps"),
}


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


def add_collar(figure: Figure, neck: Neck, fabric: Fabric, z: float, target: bool) -> None:
    """Adds the collar's pieces just above layer `z`."""
    draw = _COLLARS.get(neck.kind)
    if neck.kind == "hood":
        figure.add(12, lambda c: _hood_back(c, figure, fabric, target))
    if neck.kind in ("turtleneck", "mock-neck", "stand", "shirt", "button-down", "polo", "bow"):
        figure.add(z - 0.5, lambda c: _back_band(c, figure, neck, fabric, target))
    if draw is not None:
        figure.add(z + 0.4, lambda c: draw(c, figure, neck, fabric, target))
    elif neck.kind not in ("off-shoulder", "straps"):
        figure.add(z + 0.4, lambda c: _binding(c, figure, neck, fabric, target))


def _piece(
    c: Canvas, figure: Figure, points: Array, fabric: Fabric, target: bool, gain: float = 1.06
) -> None:
    shape = figure.body(points)
    c.tint([shift(shape, 0, 6)], 0.82, 6)
    c.drape([shape], fabric.trim, figure.frame(), folds=12, gain=gain, round_=0.6, target=target)
    c.line(shape, fabric.seam, 2.2, closed=True, target=target)


def _binding(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    half = neck_curve(neck)
    edge = figure.body(np.concatenate([half[::-1], half[1:] * (-1, 1)]))
    c.line(edge, darker(fabric.accent, 0.86), 9, target=target)
    c.line(shift(edge, 0, 5), fabric.seam, 1.6, target=target)


def _back_band(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    high = 146 if neck.kind == "turtleneck" else 158
    band = ellipse(0, high + 4, 29, 9, 16)
    c.fill(figure.body(band), darker(fabric.accent, 0.55), target=target)


def _tube_neck(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    high = 140 if neck.kind == "turtleneck" else 158
    low = neck.low + 6
    half = np.array(
        [(0, high + 7), (20, high + 5), (29, high), (32, (high + low) / 2), (40, low - 12)]
    )
    shape = mirrored(np.concatenate([half, spline([(36, low - 8), (18, low), (0, low + 2)], 3)]))
    _piece(c, figure, shape, fabric, target, 0.98)
    if neck.kind == "turtleneck":
        fold = spline([(-33, 160), (0, 170), (33, 160)], 4)
        c.line(figure.body(fold), fabric.seam, 3, target=target)


def _stand(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    for s in SIDES:
        band = np.array(
            [(3, neck.low), (14, neck.low - 12), (30, 158), (37, 172), (24, neck.low - 4)]
        )
        _piece(c, figure, band * (s, 1), fabric, target)


def _shirt(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    spread = 46 if neck.kind == "polo" else 40
    tip = neck.low + (18 if neck.kind == "polo" else 26)
    for s in SIDES:
        flap = np.array(
            [(2, neck.low - 1), (26, 158), (36, 163), (spread + 8, 186), (spread - 10, tip)]
        )
        _piece(c, figure, flap * (s, 1), fabric, target)
        if neck.kind == "button-down":
            dot = ellipse(s * (spread - 9), tip - 7, 3.2, 3.2, 8)
            c.fill(figure.body(dot), darker(fabric.accent, 0.6), target=target)


def _lapel(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    y, low = shoulder_y(neck.half), neck.low
    for s in SIDES:
        collar = np.array([(24, 164), (36, 160), (50, 186), (66, 222), (46, 232), (30, 196)])
        peak = neck.kind == "peak-lapel"
        outer = [(84, 214), (70, 252)] if peak else [(72, 238), (66, 262)]
        lapel = np.array(
            [(32, y + 12), (50, 230), *outer, (34, low - 24), (4, low + 4), (20, y + 60)]
        )
        _piece(c, figure, lapel * (s, 1), fabric, target)
        _piece(c, figure, collar * (s, 1), fabric, target, 1.0)


def _shawl(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    low = neck.low
    for s in SIDES:
        outer = spline([(28, 160), (52, 178), (72, 232), (52, 285), (2, low + 6)], 4)
        inner = np.array([(14, low - 46), (28, 200)])
        _piece(c, figure, np.concatenate([outer, inner]) * (s, 1), fabric, target)


def _hood_back(c: Canvas, figure: Figure, fabric: Fabric, target: bool) -> None:
    shape = smooth([(-70, 190), (-66, 140), (-34, 112), (0, 106), (34, 112), (66, 140), (70, 190)])
    c.drape([figure.body(shape)], fabric.main, figure.frame(), folds=2, gain=0.7, target=target)


def _hood(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    for s in SIDES:
        roll = spline([(64, 142), (74, 176), (58, 206), (24, 226), (0, 230)], 4)
        inner = spline([(2, neck.low), (26, 202), (40, 176), (46, 146)], 4)
        _piece(c, figure, np.concatenate([roll, inner]) * (s, 1), fabric, target)
        cord = spline([(s * 15, 222), (s * 17, 262), (s * 13, 296)], 4)
        c.line(figure.body(cord), darker(fabric.accent, 1.5), 4, target=target)


def _peter_pan(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    for s in SIDES:
        flap = spline([(1, neck.low), (30, neck.low + 22), (60, 208), (58, 184), (38, 166)], 4)
        inner = np.array([(30, 186), (16, neck.low - 8)])
        _piece(c, figure, np.concatenate([flap, inner]) * (s, 1), fabric, target, 1.12)


def _bow(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    _stand(c, figure, neck, fabric, target)
    y = neck.low
    for s in SIDES:
        tail = np.array([(0, y), (12, y + 4), (30, y + 78), (12, y + 86), (2, y + 30)])
        _piece(c, figure, tail * (s, 1), fabric, target)
        loop = spline(
            [(0, y + 2), (28, y - 18), (48, y - 8), (46, y + 14), (24, y + 14), (0, y + 4)], 3
        )
        _piece(c, figure, loop * (s, 1), fabric, target)
    c.fill(figure.body(ellipse(0, y + 3, 7, 9)), darker(fabric.accent, 0.85), target=target)


def _cowl(c: Canvas, figure: Figure, neck: Neck, fabric: Fabric, target: bool) -> None:
    _binding(c, figure, neck, fabric, target)
    for k in range(3):
        y, x = neck.low + 14 + 17 * k, 50 - 5 * k
        drape = figure.body(spline([(-x, y - 42), (0, y), (x, y - 42)], 5))
        c.line(drape, fabric.seam, 5, target=target)
        c.line(drape - (0, 6), darker(fabric.accent, 1.18), 3, target=target)


_COLLARS = {
    "turtleneck": _tube_neck,
    "mock-neck": _tube_neck,
    "stand": _stand,
    "shirt": _shirt,
    "button-down": _shirt,
    "polo": _shirt,
    "lapel": _lapel,
    "peak-lapel": _lapel,
    "shawl": _shawl,
    "hood": _hood,
    "peter-pan": _peter_pan,
    "bow": _bow,
    "cowl": _cowl,
}
