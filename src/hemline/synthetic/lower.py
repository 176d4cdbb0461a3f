"""Trousers, shorts, leggings, the legs of jumpsuits, and skirts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hemline.synthetic.curves import Array, Points, about, affine, shift, spline
from hemline.synthetic.fabric import darker, fabric_of
from hemline.synthetic.figure import CALF, HIP_X, SIDE_NAMES, SIDES, THIGH, Figure, both
from hemline.synthetic.pen import Pen
from hemline.synthetic.product import Product
from hemline.synthetic.sleeves import limb_frame
from hemline.synthetic.values import MEASURES

#: Half-widths of a leg at crotch, knee and ankle.
_LEGS: Mapping[str, tuple[float, float, float]] = MEASURES["leg"]["widths"]
#: Where a leg ends, as a share of the way from hip to ankle: of shorts, of trousers.
_ENDS: Mapping[str, Mapping[str, float]] = MEASURES["leg"]["end"]
_SKIRTS: Mapping[str, float] = MEASURES["hem"]["skirt"]
_FLARE: Mapping[str, float] = MEASURES["flare"]

_SEVEN, _EIGHT = np.linspace(0, 1, 7), np.linspace(0, 1, 9)
_NINE = np.linspace(-0.9, 0.9, 9).tolist()
_FIFTEEN = np.linspace(-0.92, 0.92, 15).tolist()
#: Moves the cloth's origin down to the waist.
_TO_WAIST = affine((0.0, 220.0), (1.0, 0.0), (0.0, 1.0))
_ZIP = (182, 178, 170)


def add_lower(figure: Figure, product: Product, z: float, target: bool) -> dict[str, Array]:
    """Adds a lower garment (or a jumpsuit's legs) at layer `z`; returns its landmarks."""
    pen = Pen(figure, product, fabric_of(product), target)
    return _add_skirt(pen, z) if product.category == "skirt" else _add_legs(pen, z)


def _waist(figure: Figure, product: Product) -> tuple[float, float]:
    """The height of the waist, and how far from the middle its side is."""
    full = product.group == "full"
    y = 400.0 if full else 394.0 + 22.0 * round(product.latents["waist"])
    return y, (68 + (y - 385) * 0.2) * figure.pose.waist


def _leg(figure: Figure, product: Product, side: int) -> tuple[Array, Array, float]:
    """One leg's outline (with its half of the hips), the middle of its hem, its half-width."""
    a = product.attributes
    kind = a["shape"] if a["shape"] in _LEGS else "straight"
    short = product.category == "shorts" or a["length"] == "short"
    ends = _ENDS["short" if short else "long"]
    end = ends[a["length"]] + 0.03 * (product.latents["hem"] - 0.5)
    crotch, knee, ankle = _LEGS[kind]
    if short:
        knee = max(knee, 44) + (10 if kind == "wide-leg" else 0)
    joints = figure.legs[side]
    t = 0.10 + (_SEVEN if short else _EIGHT) * (end - 0.10)
    split = THIGH / (THIGH + CALF)
    first = np.minimum(t / split, 1)[:, None]
    second = np.minimum(np.maximum((t - split) / (1 - split), 0), 1)[:, None]
    path = joints[0] + (joints[1] - joints[0]) * first + (joints[2] - joints[1]) * second
    widths = np.interp(t, (0.0, split, 1.0), (crotch, knee, ankle)) + 3 * product.latents["ease"]
    way = np.empty_like(path)
    way[1:-1] = (path[2:] - path[:-2]) / 2
    way[0], way[-1] = path[1] - path[0], path[-1] - path[-2]
    way /= np.hypot(way[:, :1], way[:, 1:])
    out = np.stack([way[:, 1], -way[:, 0]], 1) * side
    outer, inner = path + out * widths[:, None], path - out * widths[:, None] * 0.94
    hips, loose = figure.pose.hips, 1.5 if kind in ("skinny", "slim") else 5.0
    y, at_waist = _waist(figure, product)
    top = figure.body([(side * (at_waist + loose), y), (side * ((91 * hips) + loose), 472)])
    middle = figure.body([(0, 524.0 + loose), (0.0, y + 3)])
    side_line = spline(np.concatenate([top, outer[1:]]), 3)
    inside = inner[::-1]
    inside = inside[inside[:, 1] > middle[0, 1] + 6]
    middle_x = middle[0, 0]
    inside = np.stack(
        [np.maximum((inside[:, 0] - middle_x) * side, -6) * side + middle_x, inside[:, 1]], 1
    )
    return np.concatenate([side_line, inside, middle]), path[-1], float(widths[-1])


def _add_legs(pen: Pen, z: float) -> dict[str, Array]:
    figure, product = pen.figure, pen.product
    marks: dict[str, Array] = {}
    waist, x = _waist(figure, product)
    order = SIDES if figure.pose.yaw >= 0 else SIDES[::-1]
    for k, s in enumerate(order):
        outline, hem, half = _leg(figure, product, s)
        pen.layer(z + 0.01 * k, partial(_draw_leg, pen, s, outline, hem, half))
        marks[f"{SIDE_NAMES[s]}_hem"] = hem + np.array((s * half, 0.0))
        if product.group == "lower":
            marks[f"{SIDE_NAMES[s]}_waistline"] = figure.at(s * (x + 3), waist)
    if product.group == "lower":
        pen.layer(z + 0.1, lambda: _draw_fly(pen))
    return marks


def _draw_leg(pen: Pen, side: int, outline: Array, hem: Array, half: float) -> None:
    c, product, fabric = pen.canvas, pen.product, pen.fabric
    if not pen.target and not c.sees(outline, 60):
        return
    shape, denim = product.attributes["shape"], product.attributes["pattern"] == "denim"
    start = pen.figure.legs[side][0]
    frame = limb_frame(start, hem, side * HIP_X, 110.0)
    skinny = shape == "skinny"
    folds = 8 + (product.print_seed + side + 1) % 4 if skinny else 4 + (side + 1)
    c.drape(
        *([outline], fabric.main, frame),
        folds=folds,
        strength=0.7 if skinny else 1.1,
        round_=0.85,
        target=pen.target,
    )
    long = math.hypot(*(hem - start))
    way = (hem - start) / long
    across = np.array((way[1], -way[0])) * half
    back = hem - way * (14 if denim else 10)
    pen.stroke(np.array([back - across, back + across]), fabric.stitch, 1.5)
    if shape == "pleated" or (product.category == "trousers" and product.latents["trim"] > 0.6):
        crease = np.array([shift(start, side * 2, -70), start + way * 120, hem])
        pen.stroke(spline(crease, 4), darker(fabric.main.mean, 1.16), 2.2)
    if shape == "cargo" and product.attributes["length"] != "mini":
        at = start + way * min(190.0, 0.5 * long) + np.array((side * 26.0, 0))
        box = about(at, (-20, -30), (20, -30), (20, 34), (-20, 34))
        c.tint([box], 0.92)
        pen.edge(box, 2.4)
        pen.stroke(about(at, (-20, -14), (20, -14)), fabric.seam, 2.4)
    if denim and product.latents["wear"] > 0.7:
        knee = start + way * (min(200.0, 0.6 * long) + 30 * product.latents["place"])
        for k in range(4):
            tear = about(knee, (-18, k * 9 - 12), (0, k * 9 - 9), (18, k * 9 - 13))
            pen.stroke(tear, darker(fabric.main.mean, 1.7), 3.0)


def _band(pen: Pen, x: float, y: float, depth: float, gain: float) -> None:
    """A waistband with its upper edge at `y`, `x` from the middle to the side."""
    band = pen.figure.body([(-x, y), (x, y), (x + 3, y + depth), (-x - 3, y + depth)])
    pen.flat(band, pen.fabric.main, gain, 0.6)
    pen.stroke(band[2:], pen.fabric.seam, 2.2)


def _zipper(pen: Pen, shape: Array) -> None:
    pen.stroke(shape, darker(pen.fabric.main.mean, 0.6), 7)
    pen.stroke(shape, _ZIP, 3)


def _draw_fly(pen: Pen) -> None:
    """Waistband, fly, drawstring and pockets."""
    product, fabric, button = pen.product, pen.fabric, pen.product.palette[3]
    y, x = _waist(pen.figure, product)
    x += 4
    how = product.attributes["button"]
    _band(pen, x, y - 3, 23, 0.92)
    if how in ("elastic", "drawstring"):
        tucks = [[(t * x, y + d) for d in (0, 26)] for t in _FIFTEEN]
        pen.lines(np.array(tucks), fabric.seam, 1.3)
    if how == "drawstring":
        for cord in both(spline([(3, y + 10), (16, y + 40), (11, y + 74)], 4)):
            pen.line(cord, darker(fabric.accent, 1.6), 4)
    if how in ("fly", "button-front"):
        pen.fill([(-4, y + 5), (4, y + 5), (4, y + 13), (-4, y + 13)], button)
        pen.line(spline([(15, y + 20), (15, y + 74), (2, y + 98)], 4), fabric.stitch, 1.7)
    if how == "button-front":
        for low in (y + 34, y + 56, y + 78):
            pen.fill([(-3, low), (3, low), (0, low + 5)], button)
    if how == "fly":
        for loop in both([(40, y - 4), (40, y + 22)]):
            pen.line(loop, fabric.seam, 4)
    if how == "side-zip":
        _zipper(pen, pen.figure.body([(0.74 * x, y + 2), (0.8 * x, y + 78)]))
    if product.category != "leggings":
        for pocket in both(spline([(36, y + 21), (44, y + 48), (x + 10, y + 62)], 4)):
            pen.line(pocket, fabric.seam, 2.2)


@dataclass(frozen=True)
class _Skirt:
    """A skirt's waist and hem: their heights, half-widths, and how far a step swings the hem."""

    figure: Figure
    y: float
    x: float
    hem: float
    end: float
    swing: float

    def place(self, points: Points) -> Array:
        """Points of an upright body (N,2) -> where the swinging skirt has them."""
        at = self.figure.body(points)
        at[:, 0] += self.swing * np.maximum(at[:, 1] - 500, 0)
        return at

    def curve(self, points: Points) -> Array:
        one: Array = self.curves([points])[0]
        return one

    def curves(self, paths: Sequence[Points]) -> Array:
        """Many curves at once, (K,N,2)."""
        curves: Array = spline(np.array(paths), 4)
        return self.place(curves.reshape(-1, 2)).reshape(curves.shape)


def _add_skirt(pen: Pen, z: float) -> dict[str, Array]:
    figure, product = pen.figure, pen.product
    shape, flare = product.attributes["shape"], product.latents["flare"]
    y, x = _waist(figure, product)
    x += 3
    hem = _SKIRTS[product.attributes["length"]] + 14 * product.latents["hem"] - 7
    hip = 95 * figure.pose.hips
    k = _FLARE[shape] * (0.85 + 0.3 * flare)
    end = hip + k * (hem - 440)
    middle = (0.45 * hip + 0.55 * end, (482 + hem) / 2)
    edge = spline([(x, y), (hip + max(k, 0) * 40, 482), middle, (end, hem)], 5)
    across = np.linspace(end, 0, 12)
    wave = 9.0 * max(k, 0.0) * np.cos(across / 12.0 + 6 * flare)
    half = np.concatenate([edge[:-1], np.stack([across, hem + 4 + wave], 1)])
    sway = 0.5 * (figure.legs[1][1, 0] + figure.legs[-1][1, 0]) - figure.at(0, 492)[0]
    skirt = _Skirt(figure, y, x, hem, end, sway * 0.8 / 228.0)
    closed = skirt.place(np.concatenate([half, half[-2:0:-1] * (-1, 1), [(-x, y)]]))
    pen.layer(z, lambda: _draw_skirt(pen, skirt, closed))
    marks: dict[str, Array] = {}
    for s, name in SIDE_NAMES.items():
        marks[f"{name}_waistline"] = figure.at(s * x, y)
        marks[f"{name}_hem"] = skirt.place([(s * end, hem)])[0]
    return marks


def _draw_skirt(pen: Pen, skirt: _Skirt, closed: Array) -> None:
    y, hem, x, end, seam = skirt.y, skirt.hem, skirt.x, skirt.end, pen.fabric.seam
    shape, c = pen.product.attributes["shape"], pen.canvas
    c.tint([shift(closed, 0, 8)], 0.74, 8)
    frame = pen.figure.frame(0, 500)
    frame[0, 2] -= 0.5 * skirt.swing * 100
    c.drape(
        *([closed], pen.fabric.main, frame @ _TO_WAIST),
        folds=4 + pen.product.print_seed % 4,
        strength=0.6 if shape == "pencil" else 1.2,
        target=pen.target,
    )

    def lines(paths: Sequence[Points], width: float) -> None:
        c.lines(skirt.curves(paths), seam, width, target=pen.target)

    if shape in ("pleated", "skater", "a-line"):
        folds = []
        count = {"pleated": 13, "skater": 7, "a-line": 3}[shape]
        for t in np.linspace(-0.9, 0.9, count).tolist():
            mid = ((0.35 * x + 0.62 * end) * t, 0.45 * y + 0.55 * hem)
            folds.append([(x * t, y + 22), mid, (end * t, hem)])
        lines(folds, 2.8 if shape == "pleated" else 1.9)
    if shape == "tiered":
        for k in (0.36, 0.68):
            w, h = x + (end - x) * (0.25 + 0.75 * k), y + k * (hem - y)
            lines([[(-w, h - 4), (0, h + 4), (w, h - 4)]], 3.4)
            lines([[(u * w, h + 4), (u * w * 1.03, h + 26)] for u in _NINE], 1.6)
    _band(pen, x, y - 2, 21, 0.9)
    how = pen.product.attributes["button"]
    if how == "button-front":
        lines([[(-9, y + 18), (-9, hem)]], 2.2)
        for h in np.arange(y + 34, hem - 10, 44):
            dot = skirt.curve([(0, h - 4), (0, h), (0, h + 4)])[1] + np.array(
                [(-5, 0), (0, -5), (5, 0), (0, 5)], float
            )
            c.fill(dot, pen.product.palette[3], target=pen.target)
    elif how == "side-zip":
        _zipper(pen, skirt.curve([(0.74 * x, y + 2), (0.76 * x, y + 40), (0.8 * x, y + 80)]))
    elif how == "elastic":
        lines([[(t * x, y), (t * x, y + 24)] for t in _FIFTEEN], 1.3)
    stitches = skirt.curve([(-end * 0.98, hem - 9), (0, hem - 6), (end * 0.98, hem - 9)])
    pen.stroke(stitches, pen.fabric.stitch, 1.3)
