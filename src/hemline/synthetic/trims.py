"""Trims: plackets, buttons, zips, belts, pockets, ribbed hems."""

from __future__ import annotations

import numpy as np

from hemline.synthetic.curves import Array, ellipse
from hemline.synthetic.fabric import darker
from hemline.synthetic.figure import both
from hemline.synthetic.pen import Pen

_METAL = (176, 172, 164)
_CENTER = (0.0,)


def _buttons(pen: Pen, xs: tuple[float, ...], ys: Array, r: float) -> None:
    color = pen.product.palette[3]
    at = np.array([(x, y) for y in ys.tolist() for x in xs]).reshape(-1, 1, 2)
    button = ellipse(0, 0, r, r, 10)
    rings = np.stack([button + (at + np.array((1, 2))), button + at], axis=1)
    if rings.size:
        placed = pen.figure.body(rings.reshape(-1, 2)).reshape(-1, 2, 10, 2)
        for low, high in placed:
            pen.canvas.fill(low, darker(color, 0.45), target=pen.target)
            pen.canvas.fill(high, color, target=pen.target)


def fasten(pen: Pen, top: float, hem: float) -> None:
    """Draws how the front closes, from the neckline's low point `top` to the `hem`."""
    product, fabric = pen.product, pen.fabric
    how, seam = product.attributes["button"], fabric.seam
    gap = 40.0 + 18.0 * product.latents["spacing"]
    if how in ("single-breasted", "belted", "toggle", "hidden-placket", "open-front"):
        pen.line([(-9, top + 3), (-9, hem - 1)], seam, 2.2)
        if how == "hidden-placket":
            pen.line([(9, top + 6), (9, hem - 1)], fabric.stitch, 1.4)
        elif how == "toggle":
            for y in np.arange(top + 30, min(hem, 560), 62):
                pen.line([(-26, y), (26, y)], darker(fabric.accent, 0.5), 3.5)
                pen.line([(-10, y), (10, y)], (196, 160, 110), 8)
        else:
            low = min(hem, 640.0) - 12
            r = 5.0 if product.category in ("coat", "blazer", "cardigan") else 3.4
            _buttons(pen, _CENTER, np.arange(top + 14, low, gap), r)
    elif how == "two-button":
        pen.line([(-9, top), (-14, hem)], seam, 2.4)
        _buttons(pen, _CENTER, np.array([top + 10, top + 62]), 5.5)
    elif how == "double-breasted":
        pen.line([(-2, top), (-38, top + 40), (-40, hem)], seam, 2.6)
        low = min(hem - 20, top + 230)
        _buttons(pen, (-27.0, 27.0), np.arange(top + 22, low, gap + 12), 5.8)
    elif how in ("half-placket", "henley"):
        end = min(top + (150 if how == "half-placket" else 70), hem - 20)
        for x in (-9.0, 9.0):
            pen.line([(x, top + 2), (x, end)], seam, 2.0)
        pen.line([(-9, end), (9, end)], seam, 2.0)
        _buttons(pen, _CENTER, np.arange(top + 14, end - 4, 32), 3.6)
    elif how in ("zip", "half-zip"):
        end = hem - 2 if how == "zip" else min(top + 110, hem - 20)
        pen.line([(0, top), (0, end)], darker(fabric.accent, 0.62), 9)
        pen.line([(0, top), (0, end)], _METAL, 3.4)
        pull = ellipse(0, top + 18 + 30 * product.latents["place"], 4, 9, 10)
        pen.fill(pull, (214, 210, 200))


def belt(pen: Pen, y: float, half: float) -> None:
    """A tied belt of the same cloth."""
    fabric = pen.fabric
    band = [(-half, y - 12), (half, y - 12), (half, y + 13), (-half, y + 13)]
    shape = pen.figure.body(band)
    pen.flat(shape, fabric.trim, 0.88, 0.5)
    pen.edge(shape, 2.2)
    for x, long in ((14.0, 96.0), (34.0, 78.0)):
        tail = [(0, y), (14, y), (x + 10, y + long), (x - 8, y + long)]
        pen.fill(tail, darker(fabric.accent, 0.84))
    pen.fill(ellipse(4, y, 13, 15, 12), darker(fabric.accent, 0.78))


def patch(
    pen: Pen, corner: tuple[float, float], size: tuple[float, float], flap: bool = False
) -> None:
    """A patch pocket with its top left corner at `corner`."""
    (x, y), (w, h) = corner, size
    side, middle = y + 0.8 * h, x + w / 2
    pen.pocket([(x, y), (x + w, y), (x + w, side), (middle, y + h), (x, side)], 1.05, 2.0)
    if flap:
        x1, x2, low = x - 2, x + w + 2, y + 0.3 * h
        pen.pocket([(x1, y), (x2, y), (x2, low), (middle, y + 0.42 * h), (x1, low)], 0.9, 2.2)


def kangaroo(pen: Pen, hem: float) -> None:
    """The front pocket of a hoodie."""
    low, high = hem - 30, hem - 112
    half = [(0, high), (38, high), (66, high + 52), (66, low), (0, low)]
    pen.pocket(half + [(-x, y) for x, y in half[::-1]], 0.93, 2.4)


def slant_pockets(pen: Pen, y: float, x: float, flap: bool) -> None:
    """Welt or flap pockets on both sides, at height `y` and `x` from the middle."""
    if flap:
        for lid in both([(x - 30, y), (x + 16, y), (x + 16, y + 22), (x - 30, y + 22)]):
            pen.pocket(lid, 0.9, 2.0)
    else:
        for welt in both([(x - 16, y + 48), (x + 6, y)]):
            pen.line(welt, pen.fabric.seam, 3.0)


def rib_hem(pen: Pen, hem: float, half: float) -> None:
    """The ribbed band of knits, sweatshirts and bomber jackets."""
    top, fabric = hem - 30, pen.fabric
    side = [(-half - 2, top), (half + 2, top), (half - 3, hem), (-half + 3, hem)]
    pen.flat(pen.figure.body(side), fabric.trim, 0.9, 0.8)
    pen.line([(-half, top), (half, top)], fabric.seam, 2.2)
    ribs = [[(x, top + 3), (x, hem - 3)] for x in np.arange(-half + 8, half - 4, 13.0).tolist()]
    if ribs:
        pen.lines(np.array(ribs), fabric.seam, 1.2)
