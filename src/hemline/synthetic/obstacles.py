"""What stands around and in front of the product in a street image: people, things, hands."""

from __future__ import annotations

import cv2
import numpy as np

from hemline.synthetic.accessories import add_bag, draw_phone
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.categories import CATEGORIES
from hemline.synthetic.curves import about, ellipse, shift, smooth, spline, tube
from hemline.synthetic.drawing import camera
from hemline.synthetic.fabric import darker
from hemline.synthetic.figure import SIDES, Figure, random_pose
from hemline.synthetic.outfit import Wardrobe, wear
from hemline.synthetic.person import Look, add_body, add_hair, random_look
from hemline.synthetic.values import RGB

#: Passers-by wear the first this many products of the catalogue, whose cloth is then at hand.
_CROWD = 64


def draw_bystanders(
    canvas: Canvas, size: int, rng: np.random.Generator, seed: int, clutter: float, but: int
) -> int:
    """Other people behind, mostly out of focus; returns how many."""
    count = int(rng.random() < 0.55 * clutter) + int(rng.random() < 0.3 * clutter)
    for _ in range(count):
        figure = Figure(random_pose(rng, 0.7), "bystander")
        look = random_look(rng)
        add_body(figure, look)
        add_hair(figure, look)
        first = Wardrobe(rng, seed, but, _CROWD).pick(CATEGORIES)
        wear(figure, first, Wardrobe(rng, seed, first.index, _CROWD), 0.3, target=False)
        tall = float(rng.uniform(0.72, 1.5))
        head = float(rng.uniform(0.02, 0.24)) if tall > 0.85 else float(rng.uniform(0.12, 0.24))
        side = 1.0 if rng.random() < 0.5 else -1.0
        middle = side * float(rng.uniform(0.22, 0.5))
        high = 1000.0 / tall
        focus = (-high / 2, -head * high, high / 2, (1 - head) * high)
        canvas.transform = camera(focus, size, move=(middle, 0.0))
        figure.draw(canvas)
    if count and rng.random() < 0.7:
        k = 3 if size < 320 else 5
        canvas.image[:] = cv2.blur(canvas.image, (k, k))
    return count


def add_occluders(figure: Figure, look: Look, rng: np.random.Generator, strength: float) -> int:
    """Adds hair, a bag, a held thing or a crossed arm in front of the product; returns how many."""
    count = 0
    add_hair(figure, look, float(rng.uniform(0.3, 1.0)) if rng.random() < 0.6 * strength else 0.0)
    if rng.random() < 0.38 * strength:
        with figure.wearing("bag"):
            add_bag(figure, rng, front=True)
        count += 1
    if rng.random() < 0.3 * strength:
        _hold(figure, rng, look)
        count += 1
    return count


def _hold(figure: Figure, rng: np.random.Generator, look: Look) -> None:
    """A cup, a book or a coat over the arm, held before the body."""
    side = SIDES[int(rng.integers(2))]
    at = figure.at(side * rng.uniform(0, 60), rng.uniform(300, 430))
    kind = int(rng.integers(3))
    r, g, b = (int(v) for v in rng.integers(40, 235, 3))
    color: RGB = (r, g, b)

    def draw(c: Canvas) -> None:
        if kind == 0:
            c.fill(about(at, (-17, -34), (17, -34), (13, 26), (-13, 26)), (240, 238, 232))
            c.fill(about(at, (-16, -12), (16, -12), (14, 10), (-14, 10)), color)
            c.fill(about(at, (-19, -40), (19, -40), (18, -32), (-18, -32)), darker(color, 0.5))
        elif kind == 1:
            page = about(at, (-42, -54), (42, -58), (44, 54), (-40, 58))
            c.tint([shift(page, 6, 8)], 0.8, 8)
            c.fill(page, color)
            c.line(page, darker(color, 0.7), 3, closed=True)
            c.fill(about(at, (-26, -30), (26, -32), (26, -14), (-26, -12)), darker(color, 1.5))
        else:
            sides = [(-76, -30), (0, -48), (80, -28), (86, 120), (20, 150), (-70, 128)]
            coat = smooth(sides, 4) + at
            c.tint([shift(coat, 0, 8)], 0.75, 10)
            c.fill(coat, darker(color, 0.7))
            for k in range(-1, 2):
                fold = spline([(k * 36, -34), (k * 40 + 6, 40), (k * 38, 124)], 4) + at
                c.line(fold, darker(color, 0.52), 5)
        palm = shift(at, side * 6.0, 8.0)
        arm = figure.arms[side][1]
        sleeve = tube(np.array([arm, (arm + palm) / 2 + (0, 8), palm]), (19, 16, 12))
        c.fill(sleeve, darker(look.skin, 0.9))
        for k in range(4):
            c.fill(ellipse(palm[0] - side * 14, palm[1] - 10 + 8 * k, 14, 4.6, 10), look.skin)

    figure.add(62, draw)


def draw_foreground(canvas: Canvas, size: int, rng: np.random.Generator, strength: float) -> int:
    """A blurred thing between camera and wearer: a leaf, a rail, a shoulder, a table's edge."""
    if rng.random() >= 0.32 * strength:
        return 0
    canvas.transform = np.diag([size / 1000.0, size / 1000.0, 1.0])
    r, g, b = (int(v) for v in rng.integers(25, 220, 3))
    color: RGB = (r, g, b)
    kind = int(rng.integers(4))
    side = 0.0 if rng.random() < 0.5 else 1000.0
    if kind == 0:
        for k in range(5):
            a = rng.uniform(-0.9, 0.9) + (0 if side == 0 else np.pi)
            way = np.array((np.cos(a), np.sin(a)))
            at = np.array((side, 1000 - 150 * k)) + way * 90
            leaf = ellipse(at[0], at[1], 210, 46, 18, float(a))
            canvas.fill(leaf, (int(30 + r / 8), int(80 + g / 4), int(30 + b / 8)))
    elif kind == 1:
        top = 1000 - rng.uniform(60, 170)
        right = top + rng.uniform(-40, 40)
        table = np.array([(-20, top), (1020, right), (1020, 1020), (-20, 1020)])
        canvas.fill(table, darker(color, 0.8))
    elif kind == 2:
        x = rng.uniform(120, 320) if side == 0 else rng.uniform(680, 880)
        canvas.fill(tube([(x, -20), (x + 30, 1020)], (22, 24), False), (150, 152, 156))
    else:
        x = rng.uniform(0, 200) if side == 0 else rng.uniform(800, 1000)
        y = rng.uniform(560, 760)
        back = [(x - 230, 1040), (x - 190, y + 90), (x, y), (x + 190, y + 90), (x + 230, 1040)]
        canvas.fill(smooth(back, 4), color)
    return 1


def hold_phone(figure: Figure, look: Look, rng: np.random.Generator) -> None:
    """Raises one hand with a phone, as for a mirror; call it before anything is worn."""
    side = SIDES[int(rng.integers(2))]
    raised = (float(rng.uniform(0.25, 0.5)), float(rng.uniform(-2.75, -2.2)))
    figure.pose.arms[side] = raised
    figure.arms[side] = figure.limb(side, "arm")
    hand = figure.arms[side][2]
    high = bool(rng.random() < 0.5)
    color: RGB = ((30, 30, 34), (232, 230, 226), (190, 60, 70), (70, 90, 130))[int(rng.integers(4))]

    def draw(c: Canvas) -> None:
        at = shift(hand, 0.0, -34.0 if high else -22.0)
        draw_phone(c, at, float(side * 0.06), color)
        for k in range(4):
            c.fill(ellipse(at[0] - side * 26, at[1] - 8 + 12 * k, 13, 5.5, 10), look.skin)

    figure.add(80, draw)


def draw_mirror(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """The mirror's frame, a streak on the glass, and sometimes the flash."""
    image = canvas.image
    tone = int(rng.integers(20, 235))
    color = (tone, int(tone * 0.92), int(tone * 0.82))
    w = int(size * rng.uniform(0.02, 0.07))
    left, top, right, _ = (int(size * v) for v in rng.uniform(-0.06, 0.05, 4))
    cv2.rectangle(image, (left, top), (size - right, size + w), color, w, cv2.LINE_AA)
    if rng.random() < 0.6:
        x = rng.uniform(0, 1000)
        canvas.transform = np.diag([size / 1000.0, size / 1000.0, 1.0])
        streak = np.array([(x, -10), (x + 120, -10), (x - 230, 1010), (x - 350, 1010)])
        canvas.tint([streak], 1.12)
    if rng.random() < 0.3:
        at = (int(rng.uniform(0.25, 0.75) * size), int(rng.uniform(0.05, 0.35) * size))
        glow = np.zeros((size, size), np.uint8)
        cv2.circle(glow, at, int(0.035 * size), (255,), -1, cv2.LINE_AA)
        k = int(0.06 * size) | 1
        soft = cv2.add(glow, cv2.blur(cv2.blur(glow, (k, k)), (k, k)))
        cv2.add(image, cv2.merge([soft, soft, soft]), image)
