"""Tops, jackets, coats and the upper part of dresses: outline, sleeves, front, trims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hemline.synthetic.cloth import Cloth
from hemline.synthetic.curves import Array, shift, spline
from hemline.synthetic.fabric import darker, fabric_of
from hemline.synthetic.figure import SIDE_NAMES, SIDES, Figure, both
from hemline.synthetic.necklines import Neck, add_collar, neck_curve, neck_of, shoulder_y
from hemline.synthetic.pen import Pen
from hemline.synthetic.product import Product
from hemline.synthetic.sleeves import add_sleeve
from hemline.synthetic.trims import belt, fasten, kangaroo, patch, rib_hem, slant_pockets
from hemline.synthetic.values import MEASURES

_EASE: Mapping[str, Mapping[str, float]] = MEASURES["ease"]
_HEMS: Mapping[str, Mapping[str, float]] = MEASURES["hem"]
_NINE = np.linspace(-0.9, 0.9, 9).tolist()
_RIBBED = ("sweater", "sweatshirt", "hoodie", "cardigan")


def ease_of(product: Product) -> float:
    """How far the cloth stands off the body at the chest, in units."""
    ease = _EASE["shape"][product.attributes["shape"]]
    ease += _EASE["category"].get(product.category, 0.0)
    return ease + 6.0 * product.latents["ease"] - 1.0


def _widths(product: Product, ease: float, pose_waist: float) -> tuple[float, float, float]:
    """Half-widths at chest, waist and hip."""
    shape = product.attributes["shape"]
    chest = 88 + 0.75 * ease
    if shape in ("slim", "sheath", "skater", "peplum", "a-line", "pleated"):
        waist = 71 * pose_waist + 0.6 * ease + 4 * product.latents["waist"]
    elif shape in ("straight", "tiered", "tapered", "wide-leg"):
        waist = 79 + 0.8 * ease
    else:
        waist = 88 + 0.85 * ease
    hip = 93 + 0.75 * ease
    if shape == "peplum":
        hip += 22
    if shape == "a-line":
        hip += 8
    return chest, waist, hip


def torso_outline(product: Product, neck: Neck, hem: float, skirt: bool, figure: Figure) -> Array:
    """The wearer's-left half of the outline, from the neckline's middle to the hem's."""
    pose = figure.pose
    ease = ease_of(product)
    chest, waist, hip = _widths(product, ease, pose.waist)
    chest, hip = chest * pose.chest, hip * pose.hips
    curve = neck_curve(neck)
    sleeved = product.attributes["sleeve_length"] != "sleeveless"
    sides: list[tuple[float, float]] = []
    if neck.form in ("flat", "straps"):
        sides += [(chest - 6, 262), (chest, 285)]
    elif sleeved:
        tip = 99 * pose.chest + 0.42 * ease
        sides += [(tip, shoulder_y(tip) + 2), (tip + 2, 236), (chest + 2, 282)]
    else:
        tip = 48.0 if neck.kind == "halter" else 80.0 - 10.0 * (product.category == "tank-top")
        sides += [(tip, shoulder_y(tip)), (tip - 5, 238), (chest, 286)]
    if hem < 385:
        sides += [(waist + 0.5 * (chest - waist), hem)]
    else:
        sides += [(waist, 385)] if hem > 420 else []
        if skirt:
            sides += _skirt_side(product, hip, hem)
        elif hem > 500:
            flare = 34 if product.attributes["shape"] == "a-line" else 3
            sides += [(hip, 480), (hip + flare * (hem - 480) / 240, hem)]
        else:
            t = (hem - 385) / 95
            sides += [(waist + (hip - waist) * t, hem)]
    edge = spline(sides, 5)
    end = edge[-1, 0]
    low = 9.0 if not skirt and product.category == "shirt" else 3.0
    if product.category == "shirt" and not skirt:
        bottom = spline(
            [(end, hem - 22), (0.8 * end, hem - 2), (0.4 * end, hem + low), (0, hem + low)], 3
        )
        edge = np.concatenate([edge[:-1], bottom])
    elif skirt and hip + 20 < end:
        x = np.linspace(end, 0, 12)
        wave = 5.0 * np.cos(x / 11.0 + 6.0 * product.latents["flare"]) * (end - hip) / 60
        edge = np.concatenate([edge[:-1], np.stack([x, hem + 4 + wave * 0.6], 1)])
    else:
        edge = np.concatenate([edge, [(0.5 * end, hem + low), (0, hem + low)]])
    return np.concatenate([curve, edge])


def _skirt_side(product: Product, hip: float, hem: float) -> list[tuple[float, float]]:
    flare = {"sheath": -0.02, "a-line": 0.24, "skater": 0.48, "pleated": 0.3, "tiered": 0.28}
    k = flare.get(product.attributes["shape"], 0.15) * (0.85 + 0.3 * product.latents["flare"])
    long = hem - 420
    if k < 0.2:
        return [(hip, 480), (hip + k * long, hem)]
    return [
        (hip + 0.3 * k * 70, 470),
        (hip + 0.62 * k * long, 420 + 0.6 * long),
        (hip + k * long, hem),
    ]


def _half_width(half: Array, y: float) -> float:
    """How far from the middle the side of an outline runs, near the height `y`."""
    return float(half[np.argmin(np.abs(half[:, 1] - y) + 1e3 * (half[:, 0] < 40)), 0])


def add_top(
    figure: Figure, product: Product, z: float, target: bool, unfastened: bool = False
) -> dict[str, Array]:
    """Adds a top, a coat or a dress whose front is layer `z`; `unfastened` wears it open.

    Returns its landmarks by name, in figure units.
    """
    a, pen = product.attributes, Pen(figure, product, fabric_of(product), target)
    skirt = product.category == "dress"
    neck = neck_of(a["collar"], product.category, product.latents["depth"])
    if product.category == "jumpsuit":
        hem = 430.0
    else:
        hems = _HEMS["dress" if skirt else "top"]
        hem = hems[a["length"]] + (12 * product.latents["hem"] - 6)
    half = torso_outline(product, neck, hem, skirt, figure)
    unfastened = unfastened or a["button"] == "open-front"
    if unfastened:
        panels = _panels(figure, product, neck, half, hem)
    else:
        panels = [figure.body(np.concatenate([half, half[-2:0:-1] * (-1, 1)]))]
    marks: dict[str, Array] = {}
    if a["sleeve_length"] != "sleeveless":
        contrast = a.get("sleeve_shape") == "raglan" and product.latents["trim"] > 0.5
        sleeves = _raglan(pen) if contrast else pen
        cloth = sleeves.fabric.trim if contrast else sleeves.fabric.main
        for s in SIDES:
            marks[f"{SIDE_NAMES[s]}_sleeve"] = add_sleeve(sleeves, s, cloth, ease_of(product), z)
    pen.layer(z, lambda: _front(pen, neck, half, panels, hem))
    if not unfastened or neck.kind in ("hood", "lapel", "peak-lapel", "shawl"):
        add_collar(pen, neck, z)
    return _landmarks(figure, product, neck, half, hem) | marks


def _landmarks(
    figure: Figure, product: Product, neck: Neck, half: Array, hem: float
) -> dict[str, Array]:
    """The landmarks of a top without sleeves: those of the sleeves lie at the armholes."""
    marks: dict[str, Array] = {}
    n = len(neck_curve(neck))
    arm = half[n]
    edge = half[half[:, 1] > hem - 30]
    outer = edge[np.argmax(edge[:, 0])]
    collar = (neck.half, shoulder_y(neck.half))
    if neck.form in ("flat", "straps"):
        collar = (half[n - 1, 0], 232.0)
    for s, name in SIDE_NAMES.items():
        marks[f"{name}_collar"] = figure.at(s * collar[0], collar[1])
        marks[f"{name}_sleeve"] = figure.at(s * arm[0], arm[1])
        if product.group == "full":
            marks[f"{name}_waistline"] = figure.at(s * _half_width(half, 385), 385)
        marks[f"{name}_hem"] = figure.at(s * outer[0], outer[1])
    return marks


def _panels(figure: Figure, product: Product, neck: Neck, half: Array, hem: float) -> list[Array]:
    """Both fronts of a garment worn open."""
    gap = 20.0 + 34.0 * product.latents["place"]
    curve = neck_curve(neck)
    front = spline(
        [(gap, hem), (gap - 4, 420), (0.8 * gap, 300), (max(gap, 30), 215), curve[-1]], 4
    )
    side = half[len(curve) :]
    return [figure.body(one) for one in both(np.concatenate([side[side[:, 0] > gap], front]))]


def _raglan(pen: Pen) -> Pen:
    """The pen of sleeves in the second colour."""
    second = pen.product.palette[1]
    trim, seam = Cloth.plain(second, 1.0), darker(second, 0.66)
    return replace(pen, fabric=replace(pen.fabric, trim=trim, seam=seam, accent=second))


def _front(pen: Pen, neck: Neck, half: Array, panels: list[Array], hem: float) -> None:
    """The torso's front: cloth, seams, trims."""
    product, fabric, figure = pen.product, pen.fabric, pen.figure
    category, shape = product.category, product.attributes["shape"]
    pen.canvas.tint([shift(panel, 0, 9) for panel in panels], 0.72, 9)
    outlines = list(panels)
    if neck.form == "straps":
        straps = both([(44, 176), (56, 180), (62, 236), (48, 236)])
        outlines += [figure.body(strap) for strap in straps]
    folds = (4 if category == "dress" or hem > 640 else 0) + product.print_seed % 4
    pen.canvas.drape(outlines, fabric.front, figure.frame(), folds=folds, target=pen.target)
    wide = float(half[:, 0].max())
    if len(panels) > 1:
        for panel in panels:
            pen.edge(panel, 2.4)
        if category in ("blazer", "coat", "jacket") and hem > 490:
            slant_pockets(pen, 440, 0.55 * min(wide, 110), True)
        return
    if product.attributes.get("sleeve_shape") == "raglan":
        for line in both([(neck.half, shoulder_y(neck.half)), (66, 230), (88, 284)]):
            pen.line(line, fabric.seam, 2.4)
    if category == "dress":
        _skirt_lines(pen, half, hem)
    if shape == "peplum":
        pen.line(spline([(-80, 392), (0, 398), (80, 392)], 4), fabric.seam, 3)
    if category in _RIBBED or (category == "jacket" and product.latents["trim"] > 0.6):
        rib_hem(pen, hem, float(half[half[:, 1] > hem - 25, 0].max()))
    elif category != "jumpsuit":
        edge = half[half[:, 1] > hem - 26]
        line = np.concatenate([edge, edge[::-1] * (-1, 1)]) - (0, 11)
        line[:, 0] *= 0.985
        pen.line(line, fabric.stitch, 1.3)
    top = neck.low if neck.form not in ("flat", "straps") else 238.0
    if neck.kind in ("turtleneck", "mock-neck"):
        top = 160.0
    fasten(pen, top, min(hem, 425.0) if category == "jumpsuit" else hem)
    if product.attributes["button"] == "belted":
        belt(pen, 388, _half_width(half, 388) + 2)
    _pockets(pen, hem, wide)


def _pockets(pen: Pen, hem: float, wide: float) -> None:
    category, pocket = pen.product.category, pen.product.latents["pocket"]
    if category == "hoodie":
        kangaroo(pen, hem)
    elif category in ("shirt", "t-shirt", "polo-shirt", "vest") and pocket > 0.55:
        patch(pen, (24, 262), (40, 46), category == "shirt" and pocket > 0.8)
    elif category == "jacket":
        for s in SIDES:
            patch(pen, (s * 46 - 22, 268), (44, 50), True)
    if category in ("blazer", "coat", "jacket", "cardigan") and hem > 490:
        slant_pockets(pen, 440, 0.55 * min(wide, 110), pocket > 0.4)


def _skirt_lines(pen: Pen, half: Array, hem: float) -> None:
    """The waist seam, pleats or tiers of a dress."""
    shape, seam = pen.product.attributes["shape"], pen.fabric.seam
    at = _half_width(half, 392)
    end = float(half[half[:, 1] > hem - 30, 0].max())
    if shape in ("a-line", "skater", "pleated", "tiered"):
        pen.line(spline([(-at, 388), (0, 395), (at, 388)], 4), seam, 3)
    if shape in ("pleated", "skater", "a-line"):
        count = {"pleated": 11, "skater": 7, "a-line": 4}[shape]
        folds = []
        for t in np.linspace(-0.88, 0.88, count).tolist():
            top, low = (at * t * 0.95, 398.0), (end * t, hem - 2)
            mid = ((0.45 * at + 0.5 * end) * t * 0.98, 0.45 * 398 + 0.55 * hem)
            folds.append([top, mid, low])
        pen.lines(spline(np.array(folds), 4), seam, 2.6 if shape == "pleated" else 1.8)
    if shape == "tiered":
        for k in (0.36, 0.68):
            y = 400 + k * (hem - 400)
            x = at + (end - at) * k
            pen.line(spline([(-x, y - 4), (0, y + 4), (x, y - 4)], 4), seam, 3.4)
            tucks = [[(u * x * f, y + d) for f, d in ((1.0, 4), (1.03, 26))] for u in _NINE]
            pen.lines(np.array(tucks), seam, 1.6)
