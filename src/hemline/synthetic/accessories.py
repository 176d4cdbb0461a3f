"""What is worn beside clothes: shoes, hats, bags, scarves, glasses, jewellery, phones."""

from __future__ import annotations

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.cloth import Cloth
from hemline.synthetic.curves import Array, about, affine, ellipse, shift, smooth, spline, tube
from hemline.synthetic.fabric import darker
from hemline.synthetic.figure import SIDES, Figure
from hemline.synthetic.values import RGB, colors

_LEATHERS = colors("222022 5c3a26 a46c3e e2dcd0 962428 2c3c5c ceac80 566048 dea0aa f0eeec")


def leather(rng: np.random.Generator) -> RGB:
    return _LEATHERS[int(rng.integers(len(_LEATHERS)))]


def draw_shoe(c: Canvas, at: Array, side: float, kind: str, color: RGB) -> None:
    """One shoe seen from the front, its ankle at `at`; kinds: sneaker, boot, pump, sandal."""
    sole: RGB = (238, 236, 232) if kind == "sneaker" else darker(color, 0.5)
    toe = side * 9
    foot = smooth(
        [(-18, -6), (18, -6), (22 + toe, 34), (12 + toe, 50), (-12 + toe, 50), (-22 + toe, 34)], 4
    )
    c.fill(shift(foot, at[0], at[1] + 4), sole)
    c.fill(shift(foot * (0.93, 0.86), at[0], at[1]), color)
    light = darker(color, 1.25)
    if kind == "boot":
        c.fill(tube(about(at, (0, -120), (0, 8)), (23, 20), False), color)
        c.line(about(at, (-8, -112), (-7, 4)), light, 4)
    elif kind == "sneaker":
        for k in range(3):
            c.line(about(at, (-9, 2 + 9 * k), (9, 4 + 9 * k)), (240, 240, 240), 3)
    elif kind == "sandal":
        c.fill(shift(foot * (0.7, 0.5), at[0] + toe * 0.3, at[1] + 14), (226, 184, 150))
        c.line(about(at, (-18, 24), (18, 24)), color, 7)
    else:
        c.fill(shift(ellipse(0, 0, 13, 8), at[0], at[1] + 2), (222, 180, 150))
    c.line(shift(spline([(-6, 30), (4, 42), (12, 36)], 3), at[0] + toe, at[1]), light, 2.5)


def add_shoes(figure: Figure, rng: np.random.Generator) -> None:
    kind = ("sneaker", "sneaker", "boot", "pump", "sandal")[int(rng.integers(5))]
    color = leather(rng) if rng.random() < 0.7 else _bright(rng)
    z = 24 if kind != "boot" or rng.random() < 0.6 else 31

    def draw(c: Canvas) -> None:
        for s in SIDES:
            at = shift(figure.legs[s][2], 0, 6)
            if c.sees(at[None], 135):
                draw_shoe(c, at, s, kind, color)

    figure.add(z, draw)


def _bright(rng: np.random.Generator) -> RGB:
    r, g, b = (int(v) for v in rng.integers(30, 245, 3))
    return (r, g, b)


def draw_hat(c: Canvas, place: Array, kind: str, color: RGB) -> None:
    """A hat on a head whose crown is at (0, 0) of `place` (3x3): cap, beanie, straw, bucket."""

    def at(p: Array) -> Array:
        return p @ place[:2, :2].T + place[:2, 2]

    shade, light = darker(color, 0.7), darker(color, 1.2)
    if kind in ("straw", "bucket"):
        wide = 96 if kind == "straw" else 70
        c.fill(at(ellipse(0, 44, wide, 19 if kind == "straw" else 22)), shade)
        c.fill(at(ellipse(0, 40, wide, 16)), color)
        crown = [(-47, 40), (-42, -4), (-20, -20), (20, -20), (42, -4), (47, 40), (0, 50)]
        c.fill(at(smooth(crown, 4)), color)
        c.line(at(spline([(-47, 36), (0, 46), (47, 36)], 4)), shade, 9)
    else:
        crown = [(-52, 46), (-50, 10), (-26, -14), (26, -14), (50, 10), (52, 46), (0, 40)]
        c.fill(at(smooth(crown, 4)), color)
        c.line(at(spline([(-30, 0), (-10, -9), (12, -10)], 4)), light, 5)
        if kind == "cap":
            c.fill(at(smooth([(-46, 44), (0, 34), (46, 44), (36, 60), (-36, 60)], 4)), shade)
        else:
            c.fill(at(np.array([(-53, 30), (53, 30), (53, 54), (0, 48), (-53, 54)], float)), shade)
            c.fill(at(ellipse(0, -18, 14, 14)), light)


def _add_hat(figure: Figure, rng: np.random.Generator) -> None:
    kind = ("cap", "beanie", "straw", "bucket")[int(rng.integers(4))]
    color: RGB = (214, 186, 138) if kind == "straw" else _bright(rng)
    o, x, y = figure.body([(0, 0), (1, 0), (0, 1)])
    place = affine(o, x - o, y - o)
    crown = figure.body([(-100, -40), (100, 70)])

    def draw(c: Canvas) -> None:
        if c.sees(crown, 30):
            draw_hat(c, place, kind, color)

    figure.add(74, draw)


def draw_bag(c: Canvas, at: Array, kind: str, color: RGB, size: float = 1.0) -> None:
    """A bag whose handle is at `at`: tote, shopper, purse, backpack."""
    light, shade = darker(color, 1.16), darker(color, 0.68)
    wide, high = {"tote": (62, 118), "shopper": (70, 130), "purse": (52, 62)}.get(kind, (60, 100))
    w, h = wide * size, high * size
    top = shift(at, 0, 62 * size if kind != "purse" else 14 * size)
    for s in (-1, 1):
        handle = np.array([shift(top, s * 0.5 * w, 4), shift(at, s * 5, 8), at])
        c.line(spline(handle, 5), shade, 5.5 * size)
    u, low = 0.9 * w, h + 8
    body = np.array([(-u, 0), (u, 0), (w, h), (u, low), (-u, low), (-w, h)]) + top
    c.tint([shift(body, 6, 10)], 0.78, 10)
    frame = affine(top, (1.0, 0.0), (0.0, 1.0))
    c.drape([body], Cloth.plain(color, 0.8), frame, folds=1, round_=0.7)
    c.line(about(top, (-w * 0.86, 8), (w * 0.86, 8)), light, 3)
    if kind == "purse":
        v = 0.7 * w
        flap = [(-u, 0), (u, 0), (v, 0.55 * h), (0, 0.7 * h), (-v, 0.55 * h)]
        c.fill(smooth(flap, 3) + top, light)
        c.fill(ellipse(top[0], top[1] + 0.62 * h, 7, 7), (222, 190, 110))
    elif kind == "shopper":
        c.fill(ellipse(top[0], top[1] + 0.5 * h, 0.4 * w, 0.4 * w), light)


def add_bag(figure: Figure, rng: np.random.Generator, front: bool = False) -> None:
    """A bag in the hand, on the shoulder, or across the body (in front of it with `front`)."""
    side = SIDES[int(rng.integers(2))]
    color = leather(rng) if rng.random() < 0.75 else _bright(rng)
    kind = ("tote", "shopper", "purse")[int(rng.integers(3))]
    if front or rng.random() < 0.4:
        start, end = np.array((-side * 66.0, 186.0)), np.array((side * 92.0, 470.0))
        ends = figure.body(np.array([start, (start + end) / 2 + (0, 14), end]))

        def across(c: Canvas) -> None:
            c.line(spline(ends, 6), darker(color, 0.78), 9)
            draw_bag(c, ends[-1] - (0, 16), "purse", color, 1.1)

        figure.add(66, across)
    else:
        hand = figure.arms[side][2]
        figure.add(65, lambda c: draw_bag(c, shift(hand, side * 6, 14), kind, color))


def _add_scarf(figure: Figure, rng: np.random.Generator) -> None:
    color, other = _bright(rng), _bright(rng)

    def draw(c: Canvas) -> None:
        loop = [(-46, 156), (0, 150), (46, 156), (54, 184), (26, 208), (-26, 208), (-54, 184)]
        cloth = Cloth.plain(color, 1.4)
        c.drape([figure.body(smooth(loop, 4))], cloth, figure.frame(), folds=9, round_=1.0)
        shape = figure.body([(8, 196), (44, 192), (52, 372), (18, 378)])
        c.tint([shift(shape, 4, 6)], 0.8, 6)
        c.drape([shape], cloth, figure.frame(), folds=5, round_=0.8)
        for y in np.arange(212, 370, 34.0):
            c.line(figure.body([(12, y), (48, y)]), other, 8)

    figure.add(55, draw)


def _add_glasses(figure: Figure, rng: np.random.Generator) -> None:
    dark: RGB = (28, 28, 32) if rng.random() < 0.7 else (110, 70, 40)
    turn = 10 * np.sin(figure.pose.yaw)

    def draw(c: Canvas) -> None:
        c.line(figure.body([(-46, 72), (46, 72)]), dark, 3.5)
        for s in SIDES:
            corners = ((5, 69), (34, 68), (31, 88), (12, 90))
            glass = smooth([(s * x + turn, y) for x, y in corners], 4)
            c.fill(figure.body(glass), dark)

    figure.add(72, draw)


def _add_necklace(figure: Figure, rng: np.random.Generator) -> None:
    gold: RGB = (222, 184, 96) if rng.random() < 0.6 else (206, 208, 212)
    low = 215 + 60 * float(rng.random())

    def draw(c: Canvas) -> None:
        chain = [(-27, 168), (-14, low - 16), (0, low), (14, low - 16), (27, 168)]
        c.line(figure.body(spline(chain, 4)), gold, 3)
        c.fill(figure.body(ellipse(0, low + 5, 6, 8)), gold)

    figure.add(54, draw)


def _add_watch(figure: Figure, rng: np.random.Generator) -> None:
    side = SIDES[int(rng.integers(2))]
    color = leather(rng)
    joints = figure.arms[side]
    forearm = joints[2] - joints[1]
    way = forearm / np.hypot(*forearm)
    at = joints[2] - way * 6
    band = tube(np.array([at, at + way * 11]), (14, 13), False)

    def draw(c: Canvas) -> None:
        c.fill(band, color)
        c.fill(ellipse(at[0], at[1] + 4, 8, 8), (230, 226, 214))

    figure.add(64, draw)


#: Accessories by name: how to add one, and how often it is worn when others are at full strength.
EXTRAS = {
    "hat": (_add_hat, 0.3),
    "bag": (add_bag, 0.45),
    "scarf": (_add_scarf, 0.16),
    "glasses": (_add_glasses, 0.22),
    "necklace": (_add_necklace, 0.25),
    "watch": (_add_watch, 0.25),
}


def draw_phone(c: Canvas, at: Array, turn: float, color: RGB) -> None:
    """A phone seen from its back, as in a mirror."""
    cos, sin = np.cos(turn), np.sin(turn)
    spin = np.array([[cos, sin], [-sin, cos]])
    w, h = 30.0, 62.0
    top = [(-w, -h + 8), (-w + 8, -h), (w - 8, -h), (w, -h + 8)]
    low = [(w, h - 8), (w - 8, h), (-w + 8, h), (-w, h - 8)]
    body = np.array(top + low) @ spin + at
    c.fill(body, color)
    c.line(body, darker(color, 1.5), 2.5, closed=True)
    lens = np.array([(-w + 6, -h + 6), (-2, -h + 6), (-2, -h + 34), (-w + 6, -h + 34)])
    c.fill(lens @ spin + at, darker(color, 0.6))
    for x, y in ((-w + 13, -h + 14), (-w + 13, -h + 27)):
        spot = np.array((x, y)) @ spin + at
        c.fill(ellipse(spot[0], spot[1], 5, 5, 10), (20, 20, 26))
