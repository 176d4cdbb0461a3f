"""Street images: the product worn by somebody, somewhere, photographed by anybody."""

from __future__ import annotations

import numpy as np

from hemline.synthetic.backdrops import street_backdrop
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, spline
from hemline.synthetic.disturb import blurred, cast, compressed, lit, noisy
from hemline.synthetic.drawing import Drawing, camera, labelled
from hemline.synthetic.figure import Figure, random_pose, rest_pose
from hemline.synthetic.obstacles import (
    add_occluders,
    draw_bystanders,
    draw_foreground,
    draw_mirror,
    hold_phone,
)
from hemline.synthetic.person import add_body, random_look
from hemline.synthetic.product import Product
from hemline.synthetic.seeds import generator
from hemline.synthetic.settings import SyntheticSettings
from hemline.synthetic.shop import Garment, Scene, breadth_of, reach_of, span_of

#: How often an image is taken anew before it is left as it is.
ATTEMPTS = 12


def draw_street(
    product: Product,
    settings: SyntheticSettings,
    seed: int,
    view: int = 0,
    garment: Garment | None = None,
) -> Drawing:
    """The street image `view` of a product; the same arguments give the same image.

    `garment` draws the product in another way (a photo of it). An image in which next to nothing
    of the product is seen is nobody's photo of it, and is taken anew.
    """
    drawing = _draw(product, settings, seed, view, garment, 0)
    for attempt in range(1, ATTEMPTS):
        if _seen(drawing, settings.size):
            break
        drawing = _draw(product, settings, seed, view, garment, attempt)
    return drawing


def _seen(drawing: Drawing, size: int) -> bool:
    x1, y1, x2, y2 = drawing.box
    hidden = max(drawing.disturbance.get("occlusion", 0.0), drawing.disturbance.get("crop", 0.0))
    return min(x2 - x1, y2 - y1) >= 0.08 * size and hidden <= 0.85


def _draw(
    product: Product,
    settings: SyntheticSettings,
    seed: int,
    view: int,
    garment: Garment | None,
    attempt: int,
) -> Drawing:
    again = (attempt,) if attempt else ()
    rng = generator(seed, product.index, view, "street", *again)
    size = settings.size
    mirror = bool(rng.random() < settings.mirror)
    record: dict[str, float] = {"mirror": float(mirror)}
    canvas = Canvas(street_backdrop(rng, size, settings.clutter, indoors=mirror))
    crowd = draw_bystanders(canvas, size, rng, seed, settings.clutter, product.index)
    scene = Scene(canvas, product, settings, seed, rng, garment)
    if settings.others <= 0 or (not mirror and rng.random() < 0.25 * (1 - settings.others)):
        marks, worn = _hung(scene, record), 0
    else:
        marks, worn = _worn(scene, record, mirror)
    transform = canvas.transform
    things = draw_foreground(canvas, size, rng, settings.occlusion)
    if mirror:
        draw_mirror(canvas, size, rng)
    record["others"] = float(worn)
    record["clutter"] = float(crowd + things)
    image = canvas.image
    for name, disturb, strength in (
        ("light", lit, settings.light),
        ("cast", cast, settings.light),
        ("blur", blurred, settings.blur),
        ("noise", noisy, settings.noise),
        ("jpeg", compressed, settings.jpeg),
    ):
        image, record[name] = disturb(image, rng, strength)
    return labelled(canvas, image, marks, transform, record, flip=mirror)


def _worn(scene: Scene, record: dict[str, float], mirror: bool) -> tuple[dict[str, Array], int]:
    """Draws the product worn; returns its landmarks and how many other things are there."""
    rng, settings = scene.rng, scene.settings
    figure = Figure(random_pose(rng, settings.pose))
    look = random_look(rng)
    if mirror:
        hold_phone(figure, look, rng)
    record["pose"] = figure.pose.amount()
    add_body(figure, look)
    held = add_occluders(figure, look, rng, settings.occlusion)
    marks, worn = scene.wear(figure, without=("bag",) if held else ())
    span = _framing(*reach_of(scene.product, marks), rng, mirror)
    scene.canvas.transform = _camera(span, figure, settings, rng, record)
    figure.draw(scene.canvas)
    return marks, len(worn) + held


def _framing(top: float, low: float, rng: np.random.Generator, mirror: bool) -> tuple[float, float]:
    """The top and the bottom of what the camera looks at, in figure units."""
    if rng.random() < (0.3 if mirror else 0.4):
        room = rng.uniform(20, 160)
        return -room, 1000 + 0.6 * room
    head = top - rng.uniform(70, 240)
    return max(head, -60.0), min(low + rng.uniform(30, 260), 1060.0)


def _camera(
    span: tuple[float, float],
    figure: Figure,
    settings: SyntheticSettings,
    rng: np.random.Generator,
    record: dict[str, float],
) -> Array:
    pose, crop = settings.pose, settings.crop
    middle = float(figure.at(0, 400)[0])
    top, low = span
    if rng.random() < crop:
        inner = low - top
        part = float(rng.uniform(0.45, 0.85))
        start = top + float(rng.uniform(0, 1 - part)) * inner
        top, low = start, start + part * inner
    half = max((low - top) / 2, 190.0)
    center = (top + low) / 2
    turn = min(max(float(rng.normal(0, 0.13)), -0.34), 0.34) * pose
    tilt = tuple(float(v) for v in np.clip(rng.normal(0, 0.16, 2), -0.34, 0.34) * pose)
    spread = 0.05 * pose + 0.2 * crop
    move = tuple(float(v) for v in rng.uniform(-spread, spread, 2))
    record["turn"], record["perspective"] = turn, float(np.hypot(tilt[0], tilt[1]))
    focus = (middle - half, center - half, middle + half, center + half)
    return camera(focus, settings.size, turn, (tilt[0], tilt[1]), (move[0], move[1]))


def _hung(scene: Scene, record: dict[str, float]) -> dict[str, Array]:
    """On a hanger or laid down, as sellers of used clothes show it; nothing else is worn."""
    canvas, product = scene.canvas, scene.product
    top, low = span_of(product)
    spare = max(breadth_of(product) - (low - top), 60.0) / 2
    span, figure = (top - spare, low + spare), Figure(rest_pose())
    canvas.transform = _camera(span, figure, scene.settings, scene.rng, record)
    if product.group != "lower":
        hook = spline([(0, 168), (0, 128), (14, 112), (4, 96), (-12, 106)], 4)
        canvas.line(hook, (120, 118, 114), 5)
        wood = [(-96, 206), (-40, 176), (0, 164), (40, 176), (96, 206)]
        canvas.line(spline(wood, 4), (150, 112, 74), 11)
    return scene.lay(product, canvas.transform)
