"""Outfits: the product with other random products and accessories around it.

Other garments come from the same catalogue, so what is for sale in one image is worn beside the
product in another, and only the tags say which garment a shop image sells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from hemline.synthetic.accessories import EXTRAS, add_shoes
from hemline.synthetic.curves import Array
from hemline.synthetic.figure import Figure
from hemline.synthetic.lower import add_lower
from hemline.synthetic.product import Product, category_of, draw_product, split_of
from hemline.synthetic.upper import add_top

#: Categories that are worn over a top.
OUTER = ("cardigan", "jacket", "blazer", "coat")
_INNER = ("t-shirt", "shirt", "blouse", "tank-top", "sweater", "polo-shirt")
_SHORT = ("mini", "short", "knee")
_LOWER = ("jeans", "trousers", "leggings", "shorts", "skirt")
_TOPS = (*_INNER, *_INNER, "sweatshirt", "hoodie", "cardigan", "jacket", "blazer", "vest")

#: Other garments come from the first this many products of the catalogue ...
_ALL = 1 << 20
#: ... or lie this near to the product.
_NEAR = 150
#: Layers of an outer garment, of a top and of a lower garment.
_OUTER_Z, _INNER_Z, _LOWER_Z = 46.0, 40.0, 30.0


@dataclass(frozen=True)
class Wardrobe:
    """The catalogue that other garments come from: its seed, and how many of its products.

    Never the product `but` nor its twin.
    """

    rng: np.random.Generator
    seed: int
    but: int
    size: int = _ALL

    def pick(self, categories: Collection[str]) -> Product:
        """A random product of one of the categories.

        Every other one stands near `but` in the catalogue and in the same split, so that the
        gallery which holds the product often holds what is worn beside it, too.
        """
        near = self.size == _ALL and self.rng.random() < 0.5
        low = max(0, self.but - _NEAR)
        split = split_of(self.seed, self.but)
        for _ in range(400 if near else 0):
            index = int(self.rng.integers(low, self.but + _NEAR))
            if self._fits(index, categories) and split_of(self.seed, index) == split:
                return draw_product(self.seed, index)
        while True:
            index = int(self.rng.integers(self.size))
            if self._fits(index, categories):
                return draw_product(self.seed, index)

    def _fits(self, index: int, categories: Collection[str]) -> bool:
        return index // 2 != self.but // 2 and category_of(self.seed, index) in categories


def add_product(
    figure: Figure,
    product: Product,
    target: bool,
    lower_z: float = _LOWER_Z,
    unfastened: bool = False,
) -> dict[str, Array]:
    """Adds one garment at its usual layer (a lower one at `lower_z`); returns its landmarks."""
    if product.group == "lower":
        return add_lower(figure, product, lower_z, target)
    z = _OUTER_Z if product.category in OUTER else _INNER_Z
    marks = add_top(figure, product, z, target, unfastened)
    if product.category == "jumpsuit":
        marks |= add_lower(figure, product, _LOWER_Z, target)
    return marks


@dataclass(slots=True)
class _Layers:
    """The garments worn with the product, and the layer of the lower one.

    `inner` is worn under an outer garment, `top` with a lower product, `lower` with an upper one.
    """

    inner: Product | None
    lower: Product | None
    top: Product | None
    lower_z: float
    unfastened: bool


def wear(
    figure: Figure,
    product: Product,
    wardrobe: Wardrobe,
    others: float,
    target: bool = True,
    garment: Callable[[], dict[str, Array]] | None = None,
    without: tuple[str, ...] = (),
    tidy: bool = False,
) -> tuple[dict[str, Array], list[str]]:
    """Dresses a figure in the product and in others.

    Returns the product's landmarks (figure units) and the names of the other things worn.
    `garment` adds the product in another way (a photo of it); `without` names accessories that
    are not worn; with `tidy`, as in a shop, nothing long is worn over the product.
    """
    layers, rng = _choose(product, wardrobe), wardrobe.rng
    with figure.wearing(product.category, target):
        if garment is not None:
            marks = garment()
        else:
            marks = add_product(figure, product, target, layers.lower_z, layers.unfastened)
    worn = _add_companions(figure, product, layers, wardrobe)
    top = layers.top
    short = tidy or (product.group == "lower" and product.attributes.get("length") in _SHORT)
    outer_over = (top is None or top.category not in OUTER) and product.category not in OUTER
    if outer_over and rng.random() < (0.1 if tidy else 0.25) * others:
        over = wardrobe.pick(OUTER[:3] if short else OUTER)
        worn.append(over.category)
        with figure.wearing(over.category):
            add_top(figure, over, _OUTER_Z, False, True)
    return marks, worn + _add_accessories(figure, rng, others, without)


def _choose(product: Product, wardrobe: Wardrobe) -> _Layers:
    """Draws the garments worn with the product at random."""
    group, category, rng = product.group, product.category, wardrobe.rng
    inner = wardrobe.pick(_INNER) if group == "upper" and category in OUTER else None
    lower = wardrobe.pick(_LOWER) if group == "upper" else None
    top = None
    for _ in range(4 if group == "lower" else 0):
        top = wardrobe.pick(_TOPS)
        if top.attributes["length"] != "long":
            break
    lower_z = 42.0 if rng.random() < 0.3 else _LOWER_Z
    long_top = (product if group == "upper" else top or product).attributes.get("length") == "long"
    if long_top or category in ("hoodie", "sweatshirt"):
        lower_z = _LOWER_Z
    unfastened = category in OUTER and rng.random() < 0.25
    return _Layers(inner, lower, top, lower_z, unfastened)


def _add_companions(
    figure: Figure, product: Product, layers: _Layers, wardrobe: Wardrobe
) -> list[str]:
    """Adds the other garments under and beside the product; returns their categories."""
    lower, top, inner = layers.lower, layers.top, layers.inner
    worn = [one.category for one in (lower, top) if one is not None]
    if lower is not None:
        with figure.wearing(lower.category):
            z = layers.lower_z if product.category not in OUTER else _LOWER_Z
            add_lower(figure, lower, z, False)
    if top is not None:
        with figure.wearing(top.category):
            add_product(figure, top, False)
        if top.category in OUTER:
            inner = wardrobe.pick(_INNER)
    if inner is not None:
        worn.append(inner.category)
        with figure.wearing(inner.category):
            add_top(figure, inner, 38.0, False)
    return worn


def _add_accessories(
    figure: Figure, rng: np.random.Generator, others: float, without: tuple[str, ...]
) -> list[str]:
    worn: list[str] = []
    if rng.random() < 0.25 + 0.75 * others:
        worn.append("shoes")
        with figure.wearing("footwear"):
            add_shoes(figure, rng)
    for name, (add, often) in EXTRAS.items():
        if rng.random() < often * others and name not in without:
            worn.append(name)
            with figure.wearing("bag") if name == "bag" else nullcontext():
                add(figure, rng)
    return worn
