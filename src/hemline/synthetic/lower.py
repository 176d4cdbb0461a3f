"""Trousers, shorts, leggings, the legs of jumpsuits, and skirts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, shift, spline
from hemline.synthetic.fabric import Fabric, darker, fabric_of
from hemline.synthetic.figure import CALF, HIP_X, SIDES, THIGH, Figure
from hemline.synthetic.product import Product
from hemline.synthetic.sleeves import limb_frame

#: Half-widths of a leg at crotch, knee and ankle.
_LEGS: Mapping[str, tuple[float, float, float]] = {
    "skinny": (47, 30, 20),
    "slim": (49, 35, 26),
    "straight": (51, 41, 37),
    "tapered": (56, 43, 25),
    "wide-leg": (56, 56, 62),
    "flared": (48, 33, 56),
    "cargo": (55, 47, 38),
    "pleated": (57, 47, 32),
}
#: Where a leg ends, as a share of the way from hip to ankle; shorts in their own words.
_ENDS: Mapping[str, float] = {"midi": 0.70, "ankle": 0.915, "regular": 0.995}
_SHORTS: Mapping[str, float] = {"mini": 0.22, "short": 0.32, "knee": 0.47}
_SKIRTS: Mapping[str, float] = {"mini": 604, "knee": 704, "midi": 800, "maxi": 925}
_FLARE: Mapping[str, float] = {
    "a-line": 0.24,
    "pencil": -0.04,
    "pleated": 0.26,
    "tiered": 0.28,
    "skater": 0.5,
}


_SEVEN, _EIGHT = np.linspace(0, 1, 7), np.linspace(0, 1, 9)
_NINE = np.linspace(-0.9, 0.9, 9).tolist()
_FIFTEEN = np.linspace(-0.92, 0.92, 15).tolist()


def add_lower(figure: Figure, product: Product, z: float, target: bool) -> dict[str, Array]:
    """Adds a lower garment (or a jumpsuit's legs) at layer `z`; returns its landmarks."""
    if product.category == "skirt":
        return _add_skirt(figure, product, z, target)
    return _add_legs(figure, product, z, target)


def _waist(product: Product) -> float:
    if product.group == "full":
        return 400.0
    return 394.0 + 22.0 * round(product.latents["waist"])


def _name(side: int) -> str:
    return "left" if side > 0 else "right"


def _leg(figure: Figure, product: Product, side: int) -> tuple[Array, Array, float]:
    """One leg's outline (with its half of the hips), the middle of its hem, its half-width."""
    a = product.attributes
    kind = a["shape"] if a["shape"] in _LEGS else "straight"
    short = product.category == "shorts" or a["length"] == "short"
    end = (_SHORTS if short else _ENDS)[a["length"]] + 0.03 * (product.latents["hem"] - 0.5)
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
    y = _waist(product)
    at_waist = (68 + (y - 385) * 0.2) * figure.pose.waist + loose
    top = figure.body(np.array([(side * at_waist, y), (side * ((91 * hips) + loose), 472)], float))
    middle = figure.body(np.array([(0, 524.0 + loose), (0.0, y + 3)]))
    side_line = spline(np.concatenate([top, outer[1:]]), 3)
    inside = inner[::-1]
    inside = inside[inside[:, 1] > middle[0, 1] + 6] if len(inside) else inside
    middle_x = middle[0, 0]
    inside = np.stack(
        [np.maximum((inside[:, 0] - middle_x) * side, -6) * side + middle_x, inside[:, 1]], 1
    )
    return np.concatenate([side_line, inside, middle]), path[-1], float(widths[-1])


def _add_legs(figure: Figure, product: Product, z: float, target: bool) -> dict[str, Array]:
    fabric = fabric_of(product)
    marks: dict[str, Array] = {}
    order = SIDES if figure.pose.yaw >= 0 else SIDES[::-1]
    for k, s in enumerate(order):
        outline, hem, half = _leg(figure, product, s)
        draw = partial(
            _draw_leg,
            figure=figure,
            product=product,
            fabric=fabric,
            side=s,
            outline=outline,
            hem=hem,
            half=half,
            target=target,
        )
        figure.add(z + 0.01 * k, draw)
        marks[f"{_name(s)}_hem"] = hem + np.array((s * half, 0.0))
        waist = _waist(product)
        if product.group == "lower":
            x = (68 + (waist - 385) * 0.2) * figure.pose.waist + 3
            marks[f"{_name(s)}_waistline"] = figure.body(np.array([(s * x, waist)]))[0]
    figure.add(z + 0.1, lambda c: _draw_fly(c, figure, product, fabric, target))
    return marks


def _draw_leg(
    c: Canvas,
    figure: Figure,
    product: Product,
    fabric: Fabric,
    side: int,
    outline: Array,
    hem: Array,
    half: float,
    target: bool,
) -> None:
    if not target and not c.sees(outline, 60):
        return
    shape = product.attributes["shape"]
    start = figure.legs[side][0]
    frame = limb_frame(start, hem, side * HIP_X, 110.0)
    deep = 0.7 if shape == "skinny" else 1.1
    folds = 8 + (product.print_seed + side + 1) % 4 if shape == "skinny" else 4 + (side + 1)
    c.drape([outline], fabric.main, frame, folds=folds, strength=deep, round_=0.85, target=target)
    way = (hem - start) / math.hypot(*(hem - start))
    across = np.array((way[1], -way[0])) * half
    back = hem - way * (14 if product.attributes["pattern"] == "denim" else 10)
    c.line(np.array([back - across, back + across]), fabric.stitch, 1.5, target=target)
    if shape == "pleated" or (product.category == "trousers" and product.latents["trim"] > 0.6):
        crease = np.array([shift(start, side * 2, -70), start + way * 120, hem])
        c.line(spline(crease, 4), darker(fabric.main.mean, 1.16), 2.2, target=target)
    if shape == "cargo" and product.attributes["length"] != "mini":
        deep = min(190.0, 0.5 * math.hypot(*(hem - start)))
        at = start + way * deep + np.array((side * 26.0, 0))
        box = np.array([(-20, -30), (20, -30), (20, 34), (-20, 34)]) + at
        c.tint([box], 0.92)
        c.line(box, fabric.seam, 2.4, closed=True, target=target)
        c.line(np.array([shift(at, -20, -14), shift(at, 20, -14)]), fabric.seam, 2.4, target=target)
    if product.attributes["pattern"] == "denim" and product.latents["wear"] > 0.7:
        deep = min(200.0, 0.6 * math.hypot(*(hem - start)))
        knee = start + way * (deep + 30 * product.latents["place"])
        for k in range(4):
            tear = np.array([(-18, k * 9 - 12), (0, k * 9 - 9), (18, k * 9 - 13)]) + knee
            c.line(tear, darker(fabric.main.mean, 1.7), 3.0, target=target)


def _draw_fly(c: Canvas, figure: Figure, product: Product, fabric: Fabric, target: bool) -> None:
    """Waistband, fly, drawstring and pockets."""
    if product.group == "full":
        return
    y = _waist(product)
    how = product.attributes["button"]
    x = (68 + (y - 385) * 0.2) * figure.pose.waist + 4
    band = figure.body(np.array([(-x, y - 3), (x, y - 3), (x + 3, y + 20), (-x - 3, y + 20)]))
    elastic = how in ("elastic", "drawstring")
    c.drape([band], fabric.main, figure.frame(), folds=12, gain=0.92, round_=0.6, target=target)
    c.line(band[2:], fabric.seam, 2.2, target=target)
    if elastic:
        tucks = figure.body(np.array([(t * x, y + d) for t in _FIFTEEN for d in (0, 26)]))
        c.lines(tucks.reshape(-1, 2, 2), fabric.seam, 1.3, target=target)
    if how == "drawstring":
        for s in SIDES:
            cord = spline([(s * 3, y + 10), (s * 16, y + 40), (s * 11, y + 74)], 4)
            c.line(figure.body(cord), darker(fabric.accent, 1.6), 4, target=target)
    if how in ("fly", "button-front"):
        c.fill(
            figure.body(np.array([(-4, y + 5), (4, y + 5), (4, y + 13), (-4, y + 13)])),
            product.palette[3],
            target=target,
        )
        fly = spline([(15, y + 20), (15, y + 74), (2, y + 98)], 4)
        c.line(figure.body(fly), fabric.stitch, 1.7, target=target)
        if how == "button-front":
            for k in range(3):
                dot = np.array([(-3, y + 34 + 22 * k), (3, y + 34 + 22 * k), (0, y + 39 + 22 * k)])
                c.fill(figure.body(dot), product.palette[3], target=target)
        for s in SIDES if how == "fly" else ():
            loop = np.array([(s * 40, y - 4), (s * 40, y + 22)])
            c.line(figure.body(loop), fabric.seam, 4, target=target)
    if how == "side-zip":
        zipper = figure.body(np.array([(0.74 * x, y + 2), (0.8 * x, y + 78)]))
        c.line(zipper, darker(fabric.main.mean, 0.6), 7, target=target)
        c.line(zipper, (182, 178, 170), 3, target=target)
    if product.category != "leggings":
        for s in SIDES:
            pocket = spline([(s * 36, y + 21), (s * 44, y + 48), (s * (x + 10), y + 62)], 4)
            c.line(figure.body(pocket), fabric.seam, 2.2, target=target)


def _add_skirt(figure: Figure, product: Product, z: float, target: bool) -> dict[str, Array]:
    fabric = fabric_of(product)
    shape = product.attributes["shape"]
    y, hem = (
        _waist(product),
        _SKIRTS[product.attributes["length"]] + 14 * product.latents["hem"] - 7,
    )
    x = (68 + (y - 385) * 0.2) * figure.pose.waist + 3
    hip = 95 * figure.pose.hips
    k = _FLARE[shape] * (0.85 + 0.3 * product.latents["flare"])
    end = hip + k * (hem - 440)
    side = [
        (x, y),
        (hip + max(k, 0) * 40, 482),
        (0.45 * hip + 0.55 * end, (482 + hem) / 2),
        (end, hem),
    ]
    edge = spline(side, 5)
    across = np.linspace(end, 0, 12)
    wave = 9.0 * max(k, 0.0) * np.cos(across / 12.0 + 6 * product.latents["flare"])
    half = np.concatenate([edge[:-1], np.stack([across, hem + 4 + wave], 1)])
    sway = (
        0.5 * (figure.legs[1][1, 0] + figure.legs[-1][1, 0])
        - figure.body(np.array([(0, 492)]))[0, 0]
    )
    closed = figure.body(np.concatenate([half, half[-2:0:-1] * (-1, 1), [(-x, y)]]))
    swing = sway * 0.8 / 228.0
    closed[:, 0] += swing * np.maximum(closed[:, 1] - 500, 0)
    figure.add(
        z,
        lambda c: _draw_skirt(c, figure, product, fabric, closed, (y, hem, x, end, swing), target),
    )
    marks: dict[str, Array] = {}
    for s in SIDES:
        marks[f"{_name(s)}_waistline"] = figure.body(np.array([(s * x, y)]))[0]
        low = figure.body(np.array([(s * end, hem)]))[0]
        low[0] += swing * max(low[1] - 500, 0)
        marks[f"{_name(s)}_hem"] = low
    return marks


def _draw_skirt(
    c: Canvas,
    figure: Figure,
    product: Product,
    fabric: Fabric,
    closed: Array,
    size: tuple[float, float, float, float, float],
    target: bool,
) -> None:
    y, hem, x, end, swing = size
    shape = product.attributes["shape"]
    c.tint([shift(closed, 0, 8)], 0.74, 8)
    frame = figure.frame(0, 500)
    frame[0, 2] -= 0.5 * swing * 100
    deep = 0.6 if shape == "pencil" else 1.2
    c.drape(
        [closed],
        fabric.main,
        frame @ _lift(220),
        folds=4 + product.print_seed % 4,
        strength=deep,
        target=target,
    )

    def place_all(paths: list[list[tuple[float, float]]]) -> Array:
        curves = spline(np.array(paths), 4)
        at = figure.body(curves.reshape(-1, 2))
        at[:, 0] += swing * np.maximum(at[:, 1] - 500, 0)
        return at.reshape(curves.shape)

    def place(points: list[tuple[float, float]]) -> Array:
        at: Array = place_all([points])[0]
        return at

    if shape in ("pleated", "skater", "a-line"):
        folds = []
        count = {"pleated": 13, "skater": 7, "a-line": 3}[shape]
        for t in np.linspace(-0.9, 0.9, count).tolist():
            mid = ((0.35 * x + 0.62 * end) * t, 0.45 * y + 0.55 * hem)
            folds.append([(x * t, y + 22), mid, (end * t, hem)])
        c.lines(place_all(folds), fabric.seam, 2.8 if shape == "pleated" else 1.9, target=target)
    if shape == "tiered":
        for k in (0.36, 0.68):
            w, h = x + (end - x) * (0.25 + 0.75 * k), y + k * (hem - y)
            c.line(place([(-w, h - 4), (0, h + 4), (w, h - 4)]), fabric.seam, 3.4, target=target)
            tucks = [[(u * w, h + 4), (u * w * 1.03, h + 26)] for u in _NINE]
            c.lines(place_all(tucks), fabric.seam, 1.6, target=target)
    band = figure.body(np.array([(-x, y - 2), (x, y - 2), (x + 3, y + 19), (-x - 3, y + 19)]))
    c.drape([band], fabric.main, figure.frame(), folds=12, gain=0.9, round_=0.6, target=target)
    c.line(band[2:], fabric.seam, 2.2, target=target)
    _fasten_skirt(c, product, fabric, place_all, size, target)
    stitches = place([(-end * 0.98, hem - 9), (0, hem - 6), (end * 0.98, hem - 9)])
    c.line(stitches, fabric.stitch, 1.3, target=target)


def _fasten_skirt(
    c: Canvas,
    product: Product,
    fabric: Fabric,
    place_all: Callable[[list[list[tuple[float, float]]]], Array],
    size: tuple[float, float, float, float, float],
    target: bool,
) -> None:
    """Draws the buttons, the zip or the elastic waist of a skirt."""
    y, hem, x, _, _ = size
    how = product.attributes["button"]
    if how == "button-front":
        c.line(place_all([[(-9, y + 18), (-9, hem)]])[0], fabric.seam, 2.2, target=target)
        for h in np.arange(y + 34, hem - 10, 44):
            at = place_all([[(0, h - 4), (0, h), (0, h + 4)]])[0][1]
            dot = at + np.array([(-5, 0), (0, -5), (5, 0), (0, 5)], float)
            c.fill(dot, product.palette[3], target=target)
    elif how == "side-zip":
        zipper = place_all([[(0.74 * x, y + 2), (0.76 * x, y + 40), (0.8 * x, y + 80)]])[0]
        c.line(zipper, darker(fabric.main.mean, 0.6), 7, target=target)
        c.line(zipper, (182, 178, 170), 3, target=target)
    elif how == "elastic":
        tucks = [[(t * x, y), (t * x, y + 24)] for t in _FIFTEEN]
        c.lines(place_all(tucks), fabric.seam, 1.3, target=target)


def _lift(down: float) -> Array:
    """Moves the cloth's origin down to the waist."""
    m = np.eye(3)
    m[1, 2] = down
    return m
