"""Tops, jackets, coats and the upper part of dresses: outline, sleeves, front, trims."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, shift, spline
from hemline.synthetic.fabric import Fabric, darker, fabric_of
from hemline.synthetic.figure import SIDES, Figure
from hemline.synthetic.necklines import Neck, add_collar, neck_curve, neck_of, shoulder_y
from hemline.synthetic.product import Product
from hemline.synthetic.sleeves import add_sleeve
from hemline.synthetic.trims import belt, fasten, kangaroo, patch, rib_hem, slant_pockets

_EASE: Mapping[str, float] = {
    "slim": 3,
    "straight": 10,
    "loose": 22,
    "oversized": 36,
    "a-line": 9,
    "peplum": 5,
    "sheath": 3,
    "skater": 4,
    "pleated": 6,
    "tiered": 11,
    "tapered": 7,
    "wide-leg": 6,
    "skinny": 2,
}
_EXTRA: Mapping[str, float] = {
    "coat": 12,
    "jacket": 8,
    "blazer": 6,
    "hoodie": 7,
    "sweatshirt": 6,
    "sweater": 4,
    "vest": 5,
    "tank-top": -2,
}
_HEMS: Mapping[str, float] = {
    "cropped": 424,
    "short": 460,
    "regular": 512,
    "long": 582,
    "knee": 716,
    "midi": 806,
}
_SKIRT_HEMS: Mapping[str, float] = {"mini": 620, "knee": 716, "midi": 808, "maxi": 925}
_NINE = np.linspace(-0.9, 0.9, 9).tolist()
_RIBBED = ("sweater", "sweatshirt", "hoodie", "cardigan")


def ease_of(product: Product) -> float:
    """How far the cloth stands off the body at the chest, in units."""
    ease = _EASE[product.attributes["shape"]] + _EXTRA.get(product.category, 0.0)
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


def add_top(
    figure: Figure, product: Product, z: float, target: bool, unfastened: bool = False
) -> dict[str, Array]:
    """Adds a top, a coat or a dress whose front is layer `z`; `unfastened` wears it open.

    Returns its landmarks by name, in figure units.
    """
    a, fabric = product.attributes, fabric_of(product)
    skirt = product.category == "dress"
    neck = neck_of(a["collar"], product.category, product.latents["depth"])
    bottom = 12 * product.latents["hem"] - 6
    if product.category == "jumpsuit":
        hem = 430.0
    else:
        hem = (_SKIRT_HEMS if skirt else _HEMS)[a["length"]] + bottom
    half = torso_outline(product, neck, hem, skirt, figure)
    unfastened = unfastened or a["button"] == "open-front"
    if unfastened:
        panels = _panels(figure, product, neck, half, hem)
    else:
        panels = [figure.body(np.concatenate([half, half[-2:0:-1] * (-1, 1)]))]
    ease = ease_of(product)
    marks: dict[str, Array] = {}
    contrast = a.get("sleeve_shape") == "raglan" and product.latents["trim"] > 0.5
    sleeve_fabric = _raglan(fabric, product) if contrast else fabric
    if a["sleeve_length"] != "sleeveless":
        for s in SIDES:
            end = add_sleeve(
                *(figure, s, a["sleeve_length"], a["sleeve_shape"], sleeve_fabric, ease, z, target),
                contrast,
            )
            marks[f"{_name(s)}_sleeve"] = end
    folds = (4 if skirt or hem > 640 else 0) + product.print_seed % 4
    figure.add(
        z, lambda c: _front(c, figure, product, fabric, neck, half, panels, hem, folds, target)
    )
    if not unfastened or neck.kind in ("hood", "lapel", "peak-lapel", "shawl"):
        add_collar(figure, neck, fabric, z, target)
    arm = half[len(neck_curve(neck))]
    for s in SIDES:
        at = np.array([(s * neck.half, shoulder_y(neck.half))])
        if neck.form in ("flat", "straps"):
            at = np.array([(s * half[len(neck_curve(neck)) - 1, 0], 232.0)])
        marks[f"{_name(s)}_collar"] = figure.body(at)[0]
        marks.setdefault(f"{_name(s)}_sleeve", figure.body(np.array([(s * arm[0], arm[1])]))[0])
        if product.group == "full":
            waist = half[np.argmin(np.abs(half[:, 1] - 385) + 1e3 * (half[:, 0] < 40)), 0]
            marks[f"{_name(s)}_waistline"] = figure.body(np.array([(s * waist, 385)]))[0]
        edge = half[half[:, 1] > hem - 30]
        outer = edge[np.argmax(edge[:, 0])]
        marks[f"{_name(s)}_hem"] = figure.body(outer[None] * (s, 1))[0]
    return marks


def _panels(figure: Figure, product: Product, neck: Neck, half: Array, hem: float) -> list[Array]:
    """Both fronts of a garment worn open."""
    gap = 20.0 + 34.0 * product.latents["place"]
    n = len(neck_curve(neck))
    start = neck_curve(neck)[-1]
    front = spline([(gap, hem), (gap - 4, 420), (0.8 * gap, 300), (max(gap, 30), 215), start], 4)
    side = half[n:]
    panels = []
    for s in SIDES:
        outline = np.concatenate([side[side[:, 0] > gap], front])
        panels.append(figure.body(outline * (s, 1)))
    return panels


def _name(side: int) -> str:
    return "left" if side > 0 else "right"


def _raglan(fabric: Fabric, product: Product) -> Fabric:
    from hemline.synthetic.cloth import Cloth

    return Fabric(
        fabric.main,
        fabric.front,
        Cloth.plain(product.palette[1], 1.0),
        darker(product.palette[1], 0.66),
        fabric.stitch,
        product.palette[1],
    )


def _front(
    c: Canvas,
    figure: Figure,
    product: Product,
    fabric: Fabric,
    neck: Neck,
    half: Array,
    panels: list[Array],
    hem: float,
    folds: int,
    target: bool,
) -> None:
    """The torso's front: cloth, seams, trims."""
    category, shape = product.category, product.attributes["shape"]
    c.tint([shift(panel, 0, 9) for panel in panels], 0.72, 9)
    outlines = list(panels)
    if neck.form == "straps":
        for s in SIDES:
            strap = np.array([(44, 176), (56, 180), (62, 236), (48, 236)]) * (s, 1)
            outlines.append(figure.body(strap))
    c.drape(outlines, fabric.front, figure.frame(), folds=folds, target=target)
    wide = float(half[:, 0].max())
    if len(panels) > 1:
        for panel in panels:
            c.line(panel, fabric.seam, 2.4, closed=True, target=target)
        if category in ("blazer", "coat", "jacket") and hem > 490:
            slant_pockets(c, figure, fabric, 440, 0.55 * min(wide, 110), target, True)
        return
    if product.attributes.get("sleeve_shape") == "raglan":
        for s in SIDES:
            line = np.array([(neck.half, shoulder_y(neck.half)), (66, 230), (88, 284)]) * (s, 1)
            c.line(figure.body(line), fabric.seam, 2.4, target=target)
    if category == "dress":
        _skirt_lines(c, figure, product, fabric, half, hem, target)
    if shape == "peplum":
        c.line(
            figure.body(spline([(-80, 392), (0, 398), (80, 392)], 4)), fabric.seam, 3, target=target
        )
    if category in _RIBBED or (category == "jacket" and product.latents["trim"] > 0.6):
        rib_hem(c, figure, fabric, hem, float(half[half[:, 1] > hem - 25, 0].max()), target)
    elif category != "jumpsuit":
        edge = half[half[:, 1] > hem - 26]
        line = np.concatenate([edge, edge[::-1] * (-1, 1)]) - (0, 11)
        line[:, 0] *= 0.985
        c.line(figure.body(line), fabric.stitch, 1.3, target=target)
    top = neck.low if neck.form not in ("flat", "straps") else 238.0
    if neck.kind in ("turtleneck", "mock-neck"):
        top = 160.0
    fasten(
        c, figure, product, fabric, top, min(hem, 425.0 if category == "jumpsuit" else hem), target
    )
    if product.attributes["button"] == "belted":
        at = half[np.argmin(np.abs(half[:, 1] - 388) + 1e3 * (half[:, 0] < 40)), 0]
        belt(c, figure, fabric, 388, float(at) + 2, target)
    _pockets(c, figure, product, fabric, hem, wide, target)


def _pockets(
    c: Canvas,
    figure: Figure,
    product: Product,
    fabric: Fabric,
    hem: float,
    wide: float,
    target: bool,
) -> None:
    category, pocket = product.category, product.latents["pocket"]
    if category == "hoodie":
        kangaroo(c, figure, fabric, hem, target)
    elif category in ("shirt", "t-shirt", "polo-shirt", "vest") and pocket > 0.55:
        patch(c, figure, fabric, 24, 262, 40, 46, target, category == "shirt" and pocket > 0.8)
    elif category == "jacket":
        for s in SIDES:
            patch(c, figure, fabric, s * 46 - 22, 268, 44, 50, target, True)
    if category in ("blazer", "coat", "jacket", "cardigan") and hem > 490:
        slant_pockets(c, figure, fabric, 440, 0.55 * min(wide, 110), target, pocket > 0.4)


def _skirt_lines(
    c: Canvas,
    figure: Figure,
    product: Product,
    fabric: Fabric,
    half: Array,
    hem: float,
    target: bool,
) -> None:
    """The waist seam, pleats or tiers of a dress."""
    shape = product.attributes["shape"]
    at = float(half[np.argmin(np.abs(half[:, 1] - 392) + 1e3 * (half[:, 0] < 40)), 0])
    end = float(half[half[:, 1] > hem - 30, 0].max())
    if shape in ("a-line", "skater", "pleated", "tiered"):
        seam = spline([(-at, 388), (0, 395), (at, 388)], 4)
        c.line(figure.body(seam), fabric.seam, 3, target=target)
    if shape in ("pleated", "skater", "a-line"):
        count = {"pleated": 11, "skater": 7, "a-line": 4}[shape]
        folds = []
        for t in np.linspace(-0.88, 0.88, count).tolist():
            top, low = (at * t * 0.95, 398.0), (end * t, hem - 2)
            mid = ((0.45 * at + 0.5 * end) * t * 0.98, 0.45 * 398 + 0.55 * hem)
            folds.append([top, mid, low])
        curves = spline(np.array(folds), 4)
        placed = figure.body(curves.reshape(-1, 2)).reshape(curves.shape)
        c.lines(placed, fabric.seam, 2.6 if shape == "pleated" else 1.8, target=target)
    if shape == "tiered":
        for k in (0.36, 0.68):
            y = 400 + k * (hem - 400)
            x = at + (end - at) * k
            line = figure.body(spline([(-x, y - 4), (0, y + 4), (x, y - 4)], 4))
            c.line(line, fabric.seam, 3.4, target=target)
            tucks = [(u * x * f, y + d) for u in _NINE for f, d in ((1.0, 4), (1.03, 26))]
            pairs = figure.body(np.array(tucks)).reshape(-1, 2, 2)
            c.lines(pairs, fabric.seam, 1.6, target=target)
