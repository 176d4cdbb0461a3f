"""Shop images: clean light, front view, and other garments worn or laid beside the product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hemline.synthetic.accessories import draw_bag, draw_hat, draw_shoe, leather
from hemline.synthetic.backdrops import shop_backdrop
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, affine, ellipse, mirrored, shift
from hemline.synthetic.drawing import Drawing, camera, labelled
from hemline.synthetic.fabric import darker, fabric_of
from hemline.synthetic.figure import SIDES, Figure, Pose, random_pose, rest_pose
from hemline.synthetic.ledger import Worn
from hemline.synthetic.outfit import OUTER, Wardrobe, add_product, wear
from hemline.synthetic.person import add_body, add_hair, random_look
from hemline.synthetic.product import Product
from hemline.synthetic.seeds import generator
from hemline.synthetic.settings import SyntheticSettings
from hemline.synthetic.values import words

#: Adds the product to a figure in its own way, and returns its landmarks.
Garment = Callable[[Figure], dict[str, Array]]

_EVERYTHING = words("t-shirt shirt sweater jeans trousers skirt shorts dress jacket")


@dataclass
class Scene:
    """An image in the making: its canvas, its product and how that is drawn, its random draws."""

    canvas: Canvas
    product: Product
    settings: SyntheticSettings
    seed: int
    rng: np.random.Generator
    garment: Garment | None

    @property
    def wardrobe(self) -> Wardrobe:
        return Wardrobe(self.rng, self.seed, self.product.index)

    def wear(
        self, figure: Figure, without: tuple[str, ...] = (), tidy: bool = False
    ) -> tuple[dict[str, Array], list[str]]:
        """Dresses a figure in the product and in others, as `wear` does."""
        garment, others = self.garment, self.settings.others
        add = None if garment is None else lambda: garment(figure)
        return wear(
            *(figure, self.product, self.wardrobe, others), garment=add, without=without, tidy=tidy
        )

    def lay(self, product: Product, transform: Array) -> dict[str, Array]:
        """Draws one garment by itself, laid or hung, under `transform`; returns its landmarks."""
        target = product is self.product
        figure = Figure(display_pose(self.rng), "beside")
        with figure.wearing(product.category, target):
            if self.garment is not None and target:
                marks = self.garment(figure)
            else:
                marks = add_product(figure, product, target)
                if target:
                    add_inside(figure, product)
        self.canvas.transform = transform
        figure.draw(self.canvas)
        return marks


def draw_shop(
    product: Product,
    settings: SyntheticSettings,
    seed: int,
    view: int = 0,
    garment: Garment | None = None,
) -> Drawing:
    """The shop image `view` of a product; the same arguments give the same image.

    `garment` draws the product in another way (a photo of it).
    """
    rng = generator(seed, product.index, view, "shop")
    canvas = Canvas(shop_backdrop(rng, settings.size))
    scene = Scene(canvas, product, settings, seed, rng, garment)
    style = rng.random()
    if rng.random() >= settings.others:
        return _alone(scene)
    if style < 0.16:
        return _flat_lay(scene)
    return _worn(scene, mannequin=style > 0.82)


def reach_of(product: Product, marks: dict[str, Array]) -> tuple[float, float]:
    """The top and the bottom of a worn product, in figure units."""
    ys = [float(p[1]) for p in marks.values()]
    top = min(ys) if product.group == "lower" else 150.0
    return top, max(ys)


def _worn(scene: Scene, mannequin: bool) -> Drawing:
    canvas, product, rng = scene.canvas, scene.product, scene.rng
    figure = Figure(random_pose(rng, 0.0 if mannequin else 0.28))
    look = random_look(rng, mannequin)
    headless = mannequin and rng.random() < 0.6
    add_body(figure, look, head=not headless)
    add_hair(figure, look)
    headwear = ("hat", "glasses", "watch") if headless else ()
    marks, worn = scene.wear(figure, without=headwear, tidy=True)
    top, low = reach_of(product, marks)
    if rng.random() < 0.45:
        top, low = -25.0, 1015.0
    else:
        room = rng.uniform(90, 190)
        top, low = max(top - room - 40, -30.0), min(low + room, 1015.0)
    middle, half = figure.at(0, 400)[0], (low - top) / 2
    focus = (middle - half, top, middle + half, low)
    move = (float(rng.normal(0, 0.015)), 0.0)
    canvas.transform = camera(focus, scene.settings.size, move=move)
    feet = np.mean([figure.legs[s][2] for s in SIDES], axis=0)
    canvas.tint([ellipse(feet[0], feet[1] + 48, 120, 16)], 0.72, 14)
    figure.draw(canvas)
    disturbance = {"others": float(len(worn)), "pose": figure.pose.amount()}
    return labelled(canvas, canvas.image, marks, canvas.transform, disturbance)


def display_pose(rng: np.random.Generator) -> Pose:
    """Sleeves a little out, nothing bent: a garment shown by itself."""
    pose = rest_pose()
    arm = float(rng.uniform(0.16, 0.5))
    leg = float(rng.uniform(0.03, 0.1))
    for s in SIDES:
        pose.arms[s] = (arm, arm - float(rng.uniform(0.02, 0.14)))
        pose.legs[s] = (leg, leg - 0.02)
    return pose


def add_inside(figure: Figure, product: Product) -> None:
    """Adds the inside of the back, seen through the neck of a garment that nobody wears."""
    if product.group == "lower" or product.attributes.get("collar") in ("off-shoulder", "straps"):
        return
    dark = darker(fabric_of(product).main.mean, 0.5)
    deep = ("lapel", "peak-lapel", "shawl")
    open_low = product.category in (*OUTER, "vest") or product.attributes.get("collar") in deep
    low = 380.0 if open_low else 250.0
    half = [(0, 176), (22, 174), (40, 168), (60, 186), (66, 240), (40, low), (0, low)]
    back = mirrored(np.array(half, float))
    figure.add(13, lambda c: c.fill(figure.body(back), dark, target=True))
    label = [(-13, 180), (13, 180), (13, 192), (-13, 192)]
    figure.add(14, lambda c: c.fill(figure.body(label), (236, 234, 228), target=True))


#: The top of a garment shown by itself, its bottom, and its bottom where it is short.
_SPANS = {
    "upper": (110.0, 620.0, {"knee": 740.0, "midi": 830.0}),
    "lower": (380.0, 975.0, {"mini": 640.0, "short": 680.0, "knee": 740.0, "midi": 830.0}),
    "full": (140.0, 960.0, {"mini": 650.0, "knee": 740.0, "midi": 840.0}),
}


def span_of(product: Product) -> tuple[float, float]:
    """The top and the bottom of a garment shown by itself, in figure units."""
    if "length" not in product.attributes:
        low = 975.0 if product.category == "trousers" else 700.0
        spans = {"upper": (110.0, 600.0), "lower": (370.0, low), "full": (140.0, 800.0)}
        return spans[product.group]
    top, longest, lows = _SPANS[product.group]
    return top, lows.get(product.attributes["length"], longest)


def breadth_of(product: Product) -> float:
    """About how wide a garment lies, sleeves and flare included."""
    a = product.attributes
    if product.category == "skirt":
        return 480.0 if a.get("shape") == "pencil" else 300.0 + 1.1 * (span_of(product)[1] - 380.0)
    long = a.get("sleeve_length", "long") in ("long", "three-quarter") and product.group != "lower"
    return 690.0 if long else 500.0


def _alone(scene: Scene) -> Drawing:
    product, rng = scene.product, scene.rng
    top, low = span_of(product)
    room = rng.uniform(30, 80)
    height = max(low - top + 2 * room, breadth_of(product))
    focus = _square((top + low) / 2, height)
    transform = camera(focus, scene.settings.size, turn=float(rng.normal(0, 0.02)))
    marks = scene.lay(product, transform)
    return labelled(scene.canvas, scene.canvas.image, marks, transform, {})


def _square(middle: float, side: float) -> tuple[float, float, float, float]:
    """A square box (xyxy) about the figure's axis at the height `middle`."""
    return (-side / 2, middle - side / 2, side / 2, middle + side / 2)


def _flat_lay(scene: Scene) -> Drawing:
    """The product laid flat among other garments and accessories."""
    canvas, rng, size = scene.canvas, scene.rng, scene.settings.size

    def put(
        product: Product, move: tuple[float, float], share: float
    ) -> tuple[Array, dict[str, Array]]:
        top, low = span_of(product)
        height = max(low - top, 0.85 * breadth_of(product)) / share
        focus = _square((top + low) / 2, height)
        transform = camera(focus, size, turn=float(rng.normal(0, 0.12)), move=move)
        return transform, scene.lay(product, transform)

    count = 1 + int(rng.integers(0, 2))
    side = 1.0 if rng.random() < 0.5 else -1.0
    for k in range(count):
        other = scene.wardrobe.pick(_EVERYTHING)
        down = (0.0, 0.26)[k] if count > 1 else float(rng.uniform(-0.1, 0.1))
        put(other, (-side * (0.3 - 0.02 * k), down), 0.62 if count == 1 else 0.5)
    transform, marks = put(scene.product, (side * 0.15, float(rng.uniform(-0.03, 0.03))), 0.86)
    canvas.transform = np.diag([size / 1000.0, size / 1000.0, 1.0])
    x = 500 - side * 330
    for name, y in (("shoes", 850.0), ("bag", 60.0), ("hat", 130.0)):
        if rng.random() < 0.5 * scene.settings.others:
            _lay_thing(canvas, name, np.array((x + rng.uniform(-60, 60), y)), rng)
            count += 1
    return labelled(canvas, canvas.image, marks, transform, {"others": float(count)})


def _lay_thing(canvas: Canvas, name: str, at: Array, rng: np.random.Generator) -> None:
    color = leather(rng)
    if name == "shoes":
        with canvas.ledger.drawing(Worn("footwear", "beside")):
            for s in SIDES:
                draw_shoe(canvas, shift(at, s * 42.0, 0.0), s, "sneaker", color)
    elif name == "bag":
        with canvas.ledger.drawing(Worn("bag", "beside")):
            draw_bag(canvas, at, "purse", color, 1.5)
    else:
        draw_hat(canvas, affine(at, (1.2, 0.0), (0.0, 1.2)), "straw", (214, 186, 138))
