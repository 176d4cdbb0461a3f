"""The person under the clothes: skin, head, hair, hands; or a mannequin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, ellipse, mirrored, smooth, spline, tube
from hemline.synthetic.fabric import darker
from hemline.synthetic.figure import SIDES, Figure
from hemline.synthetic.values import RGB, colors

_SKINS = colors("fadec8 f0cdb2 e2b896 cd9e7a b07e5a 8c5e40 6c4832 523628")
_HAIRS = colors("1c1818 34241c 583a26 805430 c49e62 dec492 964224 969492")


@dataclass(frozen=True)
class Look:
    """A person's colours and hair; `hair` is one of bald, short, bob, long, bun, curly, tail."""

    skin: RGB
    hair_color: RGB
    hair: str
    mannequin: bool = False


def random_look(rng: np.random.Generator, mannequin: bool = False) -> Look:
    if mannequin:
        grey = int(rng.integers(196, 236))
        return Look((grey, grey - 2, grey - 6), (grey, grey, grey), "bald", True)
    skin = _SKINS[int(rng.integers(len(_SKINS)))]
    dark = skin[0] < 150
    color = _HAIRS[int(rng.integers(3 if dark else len(_HAIRS)))]
    styles = ("short", "bob", "long", "bun", "curly", "tail", "long", "bald")
    return Look(skin, color, styles[int(rng.integers(len(styles)))])


def _limb(canvas: Canvas, path: Array, widths: tuple[float, ...], skin: RGB) -> None:
    curve = spline(path, 5)
    w = _taper(len(curve), widths)
    canvas.fill(tube(curve, w), darker(skin, 0.84))
    normal = np.array((-2.2, -0.6))
    canvas.fill(tube(curve + normal, w * 0.74), skin)


@lru_cache(maxsize=64)
def _taper(n: int, widths: tuple[float, ...]) -> Array:
    """Widths at `n` places of a limb, from those at a few."""
    taper: Array = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(widths)), widths)
    return taper


def _leg(canvas: Canvas, path: Array, side: int, skin: RGB) -> None:
    foot = path[-1] + (4.0 * side, 24.0)
    canvas.fill(ellipse(foot[0], foot[1], 19, 27, 14), darker(skin, 0.86))
    canvas.fill(ellipse(foot[0] - 1, foot[1] - 2, 15, 23, 14), skin)
    _limb(canvas, path, (47, 39, 28, 27, 15), skin)


def _add_leg(figure: Figure, side: int, skin: RGB) -> None:
    def draw(c: Canvas) -> None:
        path = figure.legs[side]
        if c.sees(path, 90):
            _leg(c, path, side, skin)

    figure.add(20, draw)


def _hand(canvas: Canvas, path: Array, skin: RGB) -> None:
    way = path[-1] - path[-2]
    way = way / max(math.hypot(*way), 1e-6)
    turn = float(np.arctan2(way[1], way[0]))
    center = path[-1] + way * 20
    canvas.fill(ellipse(center[0], center[1], 29, 13.5, 16, turn), darker(skin, 0.84))
    canvas.fill(ellipse(center[0] - 1.5, center[1] - 1, 25, 10, 14, turn), skin)


_SIDE = [(23, 118), (24, 160), (40, 178), (88, 198), (100, 222), (88, 280)]
_TORSO = mirrored(np.array([*_SIDE, (70, 385), (92, 480), (60, 530)]))


def add_body(figure: Figure, look: Look, legs: bool = True, head: bool = True) -> None:
    """Adds skin: legs (z 20), arms (33 or 60), torso and neck (28), head (70)."""
    skin = look.skin
    shade = darker(skin, 0.84)
    if legs:
        for s in SIDES:
            _add_leg(figure, s, skin)
    torso = _TORSO * (figure.pose.chest, 1)

    def draw_torso(c: Canvas) -> None:
        if not c.sees(figure.body(torso), 15):
            return
        c.fill(figure.body(torso), skin)
        neck = np.array([(-23, 128), (23, 128), (24, 150), (10, 163), (-10, 163), (-24, 150)])
        c.fill(figure.body(neck), shade)
        for s in SIDES:
            bone = spline([(6 * s, 190), (34 * s, 183), (62 * s, 187)], 4)
            c.line(figure.body(bone), shade, 3)

    figure.add(28, draw_torso)
    for s in SIDES:
        front = figure.crosses(s)

        def draw_arm(c: Canvas, s: int = s) -> None:
            _limb(c, figure.arms[s], (25, 22, 18, 17, 11), skin)
            _hand(c, figure.arms[s], skin)

        figure.add(33, draw_arm)
        if front:

            def draw_forearm(c: Canvas, s: int = s) -> None:
                _limb(c, figure.arms[s][1:], (18, 17, 11), skin)
                _hand(c, figure.arms[s], skin)

            figure.add(60, draw_forearm)
    if head:
        figure.add(70, lambda c: _head(c, figure, look))


_HEAD = np.array([(-55, 10), (55, 10), (0, 70), (-55, 143), (55, 143)], float)
_HALF_FACE = ((0, 12), (36, 28), (47, 70), (40, 110), (18, 136), (0, 141))
_FACE = smooth([*_HALF_FACE, *((-x, y) for x, y in _HALF_FACE[-2:0:-1])], 4)
_BRIGHT = _FACE * (0.86, 0.95)


def _head(c: Canvas, figure: Figure, look: Look) -> None:
    if not c.sees(figure.body(_HEAD), 25):
        return
    turn = 10 * math.sin(figure.pose.yaw)
    face, bright = figure.bodies([_FACE, _BRIGHT + np.array((turn - 3, 2))])
    c.fill(face, darker(look.skin, 0.88))
    c.fill(bright, look.skin)
    if look.mannequin:
        return
    dim = darker(look.skin, 0.62)
    brows = [np.array([(s * 11 + turn, 67), (s * 25 + turn, 65)]) for s in SIDES]
    eyes = [ellipse(s * 18 + turn, 76, 5.5, 3.2, 10) for s in SIDES]
    ears = [ellipse(s * 47, 78, 6, 12, 10) for s in SIDES]
    nose = np.array([(turn + 1, 80), (turn + 5, 97), (turn - 3, 99)])
    mouth = ellipse(turn, 116, 12, 4.2, 12)
    *sides, nose, mouth = figure.bodies([*brows, *eyes, *ears, nose, mouth])
    for k in range(2):
        c.line(sides[k], dim, 3.5)
        c.fill(sides[2 + k], darker(look.skin, 0.42))
        c.fill(sides[4 + k], darker(look.skin, 0.86))
    c.line(nose, dim, 2.2)
    r, g, b = look.skin
    c.fill(mouth, (int(0.55 * r + 80), int(0.5 * g + 25), int(0.5 * b + 25)))


#: How far down the hair on the back falls, and its half-width.
_BACKS = {
    "long": (268.0, 62.0),
    "curly": (205.0, 78.0),
    "bob": (158.0, 60.0),
    "tail": (150.0, 50.0),
}


def add_hair(figure: Figure, look: Look, forward: float = 0.0) -> None:
    """Adds hair behind (z 10) and on the head (71); `forward` lets strands fall to the front."""
    if look.hair == "bald" or look.mannequin:
        return
    color, light = look.hair_color, darker(look.hair_color, 1.28)
    turn = 8 * np.sin(figure.pose.yaw)
    if look.hair in _BACKS:
        low, wide = _BACKS[look.hair]
        side = [(wide * 0.8, 20), (wide, 80), (wide, low - 40), (wide * 0.6, low)]
        back = smooth([(0, 2), *side, (0, low), *((-x, y) for x, y in side[::-1])], 4)
        figure.add(10, lambda c: c.fill(figure.body(back), darker(color, 0.8)))

    def cap(c: Canvas) -> None:
        if not c.sees(figure.body(_HEAD), 70):
            return
        hairline = 46 if look.hair != "curly" else 40
        top = [(-51, 84), (-52, 50), (-36, 14), (0, 0), (36, 14), (52, 50), (51, 84)]
        inner = [(43, 66), (32 + turn, hairline), (turn + 8, hairline - 10), (-34 + turn, 50)]
        c.fill(figure.body(np.concatenate([spline(top, 4), spline([*inner, (-43, 66)], 3)])), color)
        gloss = spline([(-34, 34), (-14, 14), (14, 10)], 4)
        c.line(figure.body(gloss), light, 5)
        if look.hair == "bun":
            c.fill(figure.body(ellipse(turn, -8, 26, 22)), color)

    figure.add(71, cap)
    if forward > 0 and look.hair in ("long", "curly"):

        def strands(c: Canvas) -> None:
            for s in SIDES:
                end = 200 + 190 * forward
                lock = spline([(s * 46, 60), (s * 57, 150), (s * 50, 240), (s * 38, end)], 5)
                w = np.interp(np.linspace(0, 1, len(lock)), (0, 0.5, 1), (9, 21, 4))
                c.fill(figure.body(tube(lock, w)), color)
                c.line(figure.body(lock[3:-3]), light, 3)

        figure.add(69, strands)
