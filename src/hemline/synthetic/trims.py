"""Trims: plackets, buttons, zips, belts, pockets, ribbed hems."""

from __future__ import annotations

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, ellipse
from hemline.synthetic.fabric import Fabric, darker
from hemline.synthetic.figure import SIDES, Figure
from hemline.synthetic.product import Product

_METAL = (176, 172, 164)


def _line(
    c: Canvas,
    figure: Figure,
    points: list[tuple[float, float]],
    color: tuple[int, int, int],
    width: float,
    target: bool,
) -> None:
    c.line(figure.body(np.array(points, float)), color, width, target=target)


def _buttons(
    c: Canvas,
    figure: Figure,
    xs: tuple[float, ...],
    ys: Array,
    product: Product,
    r: float,
    target: bool,
) -> None:
    color = product.palette[3]
    at = np.array([(x, y) for y in ys.tolist() for x in xs]).reshape(-1, 1, 2)
    button = ellipse(0, 0, r, r, 10)
    rings = np.stack([button + (at + np.array((1, 2))), button + at], axis=1)
    if rings.size:
        placed = figure.body(rings.reshape(-1, 2)).reshape(-1, 2, 10, 2)
        for low, high in placed:
            c.fill(low, darker(color, 0.45), target=target)
            c.fill(high, color, target=target)


def fasten(
    c: Canvas,
    figure: Figure,
    product: Product,
    fabric: Fabric,
    top: float,
    hem: float,
    target: bool,
) -> None:
    """Draws how the front closes, from the neckline's low point `top` to the `hem`."""
    how = product.attributes["button"]
    gap = 40.0 + 18.0 * product.latents["spacing"]
    seam = fabric.seam
    if how in ("single-breasted", "belted", "toggle", "hidden-placket", "open-front"):
        _line(c, figure, [(-9, top + 3), (-9, hem - 1)], seam, 2.2, target)
        if how == "hidden-placket":
            _line(c, figure, [(9, top + 6), (9, hem - 1)], fabric.stitch, 1.4, target)
        elif how == "toggle":
            for y in np.arange(top + 30, min(hem, 560), 62):
                _line(c, figure, [(-26, y), (26, y)], darker(fabric.accent, 0.5), 3.5, target)
                _line(c, figure, [(-10, y), (10, y)], (196, 160, 110), 8, target)
        else:
            low = min(hem, 640.0) - 12
            r = 5.0 if product.category in ("coat", "blazer", "cardigan") else 3.4
            _buttons(c, figure, (0.0,), np.arange(top + 14, low, gap), product, r, target)
    elif how == "two-button":
        _line(c, figure, [(-9, top), (-14, hem)], seam, 2.4, target)
        _buttons(c, figure, (0.0,), np.array([top + 10, top + 62]), product, 5.5, target)
    elif how == "double-breasted":
        _line(c, figure, [(-2, top), (-38, top + 40), (-40, hem)], seam, 2.6, target)
        low = min(hem - 20, top + 230)
        _buttons(c, figure, (-27.0, 27.0), np.arange(top + 22, low, gap + 12), product, 5.8, target)
    elif how in ("half-placket", "henley"):
        end = min(top + (150 if how == "half-placket" else 70), hem - 20)
        for x in (-9.0, 9.0):
            _line(c, figure, [(x, top + 2), (x, end)], seam, 2.0, target)
        _line(c, figure, [(-9, end), (9, end)], seam, 2.0, target)
        _buttons(c, figure, (0.0,), np.arange(top + 14, end - 4, 32), product, 3.6, target)
    elif how in ("zip", "half-zip"):
        end = hem - 2 if how == "zip" else min(top + 110, hem - 20)
        _line(c, figure, [(0, top), (0, end)], darker(fabric.accent, 0.62), 9, target)
        _line(c, figure, [(0, top), (0, end)], _METAL, 3.4, target)
        pull = ellipse(0, top + 18 + 30 * product.latents["place"], 4, 9, 10)
        c.fill(figure.body(pull), (214, 210, 200), target=target)


def belt(c: Canvas, figure: Figure, fabric: Fabric, y: float, half: float, target: bool) -> None:
    """A tied belt of the same cloth."""
    band = np.array([(-half, y - 12), (half, y - 12), (half, y + 13), (-half, y + 13)], float)
    shape = figure.body(band)
    c.drape([shape], fabric.trim, figure.frame(), folds=12, gain=0.88, round_=0.5, target=target)
    c.line(shape, fabric.seam, 2.2, closed=True, target=target)
    for end in ((14.0, 96.0), (34.0, 78.0)):
        tail = np.array(
            [(0, y), (14, y), (end[0] + 10, y + end[1]), (end[0] - 8, y + end[1])], float
        )
        c.fill(figure.body(tail), darker(fabric.accent, 0.84), target=target)
    c.fill(figure.body(ellipse(4, y, 13, 15, 12)), darker(fabric.accent, 0.78), target=target)


def patch(
    c: Canvas,
    figure: Figure,
    fabric: Fabric,
    x: float,
    y: float,
    w: float,
    h: float,
    target: bool,
    flap: bool = False,
) -> None:
    """A patch pocket with its top left corner at (x, y)."""
    shape = np.array(
        [(x, y), (x + w, y), (x + w, y + 0.8 * h), (x + w / 2, y + h), (x, y + 0.8 * h)]
    )
    at = figure.body(shape)
    c.tint([at], 1.05)
    c.line(at, fabric.seam, 2.0, closed=True, target=target)
    if flap:
        low = [(x - 2, y), (x + w + 2, y), (x + w + 2, y + 0.3 * h), (x + w / 2, y + 0.42 * h)]
        lid = figure.body(np.array([*low, (x - 2, y + 0.3 * h)], float))
        c.tint([lid], 0.9)
        c.line(lid, fabric.seam, 2.2, closed=True, target=target)


def kangaroo(c: Canvas, figure: Figure, fabric: Fabric, hem: float, target: bool) -> None:
    """The front pocket of a hoodie."""
    low, high = hem - 30, hem - 112
    half = [(0, high), (38, high), (66, high + 52), (66, low), (0, low)]
    shape = figure.body(np.array(half + [(-x, y) for x, y in half[::-1]], float))
    c.tint([shape], 0.93)
    c.line(shape, fabric.seam, 2.4, closed=True, target=target)


def slant_pockets(
    c: Canvas, figure: Figure, fabric: Fabric, y: float, x: float, target: bool, flap: bool
) -> None:
    """Welt or flap pockets on both sides, at height `y` and `x` from the middle."""
    for s in SIDES:
        if flap:
            lid = np.array([(x - 30, y), (x + 16, y), (x + 16, y + 22), (x - 30, y + 22)]) * (s, 1)
            c.tint([figure.body(lid)], 0.9)
            c.line(figure.body(lid), fabric.seam, 2.0, closed=True, target=target)
        else:
            welt = np.array([(x - 16, y + 48), (x + 6, y)]) * (s, 1)
            c.line(figure.body(welt), fabric.seam, 3.0, target=target)


def rib_hem(
    c: Canvas, figure: Figure, fabric: Fabric, hem: float, half: float, target: bool
) -> None:
    """The ribbed band of knits, sweatshirts and bomber jackets."""
    top = hem - 30
    side = [(-half - 2, top), (half + 2, top), (half - 3, hem), (-half + 3, hem)]
    shape = figure.body(np.array(side, float))
    c.drape([shape], fabric.trim, figure.frame(), folds=12, gain=0.9, round_=0.8, target=target)
    c.line(
        figure.body(np.array([(-half, top), (half, top)], float)), fabric.seam, 2.2, target=target
    )
    ribs = [[(x, top + 3), (x, hem - 3)] for x in np.arange(-half + 8, half - 4, 13.0).tolist()]
    if ribs:
        placed = figure.body(np.array(ribs).reshape(-1, 2))
        c.lines(placed.reshape(-1, 2, 2), fabric.seam, 1.2, target=target)
