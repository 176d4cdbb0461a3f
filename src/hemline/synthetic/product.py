"""A product: a point in the attribute space, and what makes it this one and no other.

`draw_product(seed, index)` gives the same product for ever. Products come in pairs (0 and 1, 2 and
3 ...): in `TWIN_SHARE` of the pairs the second is a near-twin of the first, the same garment but
for one attribute (a collar, buttons, a sleeve ...) or for its print, so that a search has to look
closely. A pair stands in one split, so twins meet in one gallery.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from hemline.synthetic.categories import ATTRIBUTES, CATEGORIES
from hemline.synthetic.seeds import generator, mix, share
from hemline.synthetic.values import COLORS, RGB

#: The share of pairs whose second product is a near-twin of the first.
TWIN_SHARE = 0.4

_PRINTED = {
    *("floral", "ditsy-floral", "leaf", "paisley", "camouflage", "leopard", "zebra", "geometric"),
    *("tie-dye", "graphic-print", "lettering", "number-print", "fair-isle", "multi-stripe"),
    *("tartan", "color-block"),
}
_ONE_COLOR = {"plain", "melange", "denim", "corduroy", "rib-knit", "cable-knit", "quilted"}
_CATEGORY_WEIGHTS = {"t-shirt": 3, "dress": 4, "skirt": 3, "trousers": 3, "jeans": 2, "shirt": 2}
_LADDER = tuple(name for name in CATEGORIES for _ in range(_CATEGORY_WEIGHTS.get(name, 1)))
_SPLITS = ("train",) * 7 + ("val",) + ("test",) * 2


@dataclass(frozen=True)
class Product:
    """One product of the generated catalogue.

    `attributes` maps those of the nine attribute names that apply to their value; `latents` holds
    what the tags do not say (pattern scale and angle, cut, print seed as a number in [0, 1));
    `palette` is the exact main, second and third colour and the colour of the buttons (RGB).
    """

    index: int
    attributes: Mapping[str, str]
    latents: Mapping[str, float]
    palette: tuple[RGB, RGB, RGB, RGB]
    group: str
    print_seed: int
    name: str = ""

    @property
    def category(self) -> str:
        return self.attributes["category"]

    @property
    def item_id(self) -> str:
        return self.name or f"p{self.index:07d}"

    @property
    def tags(self) -> tuple[str, ...]:
        """`name=value` strings in the order of `ATTRIBUTES`."""
        return tuple(f"{n}={self.attributes[n]}" for n in ATTRIBUTES if n in self.attributes)

    @property
    def title(self) -> str:
        """A short name such as a shop would write."""
        a = self.attributes
        words = [a["color"].replace("-", " ").capitalize()]
        if a.get("pattern", "plain") != "plain":
            words.append(a["pattern"].replace("-", " "))
        if "shape" in a:
            words.append(a["shape"].replace("-", " "))
        words.append(a["category"].replace("-", " "))
        if a.get("collar"):
            words.append("with " + a["collar"].replace("-", " ") + " collar")
        return " ".join(words)

    @property
    def price(self) -> float:
        cut = CATEGORIES.get(self.category)
        low, high = cut.price if cut is not None else (15, 60)
        return round(low + (high - low) * self.latents["price"]) - 0.05


@lru_cache(maxsize=16384)
def category_of(seed: int, index: int) -> str:
    """The category of a product, without drawing the rest of it."""
    if index % 2 and _is_twin(seed, index):
        index -= 1
    return _LADDER[mix(seed, index, "category") % len(_LADDER)]


def split_of(seed: int, index: int) -> str:
    """`train`, `val` or `test` (70, 10, 20 in 100), the same however many products there are."""
    decade, place = divmod(index // 2, len(_SPLITS))
    return _decade(seed, decade)[place]


@lru_cache(maxsize=4096)
def _decade(seed: int, decade: int) -> tuple[str, ...]:
    """The splits of ten pairs in a row: always seven, one and two, in a random order."""
    order = sorted(range(len(_SPLITS)), key=lambda k: mix(seed, decade, k, "split"))
    return tuple(_SPLITS[k] for k in order)


@lru_cache(maxsize=1024)
def draw_product(seed: int, index: int) -> Product:
    """The product `index` (0, 1, ...) of the catalogue `seed`."""
    if index % 2 and _is_twin(seed, index):
        return _twin(draw_product(seed, index - 1), seed, index)
    rng = generator(seed, index, "product")
    category = category_of(seed, index)
    cut = CATEGORIES[category]
    chosen = {"category": category}
    for name in ATTRIBUTES:
        options = () if name in ("category", "color") else getattr(cut, name)
        if options:
            chosen[name] = str(options[int(rng.integers(len(options)))])
    if chosen.get("sleeve_length") == "sleeveless" and "sleeve_shape" in chosen:
        chosen["sleeve_shape"] = "none"
    names = list(COLORS)
    color = names[int(rng.integers(len(names)))]
    if chosen["pattern"] == "denim":
        denims = ("denim-blue", "navy", "black", "sky", "grey", "charcoal", "white", "ice")
        color = denims[min(int(rng.exponential(1.6)), len(denims) - 1)]
    chosen["color"] = color
    main = _shade(COLORS[color], rng)
    second = _companion(main, rng)
    third = _companion(second, rng)
    buttons: RGB = (
        (235, 232, 225) if rng.random() < 0.4 else (40, 36, 34) if rng.random() < 0.6 else third
    )
    latents = {
        name: float(rng.random())
        for name in (
            *("scale", "angle", "ease", "hem", "depth", "sleeve", "waist", "flare", "sheen"),
            *("pocket", "trim", "belt", "spacing", "price", "place", "wear"),
        )
    }
    return Product(
        index,
        MappingProxyType(chosen),
        MappingProxyType(latents),
        (main, second, third, buttons),
        cut.group,
        int(rng.integers(1 << 31)),
    )


def _is_twin(seed: int, index: int) -> bool:
    return share(seed, index, "twin") < TWIN_SHARE


def _twin(first: Product, seed: int, index: int) -> Product:
    """`first` but for one attribute, its print or its second colour."""
    rng = generator(seed, index, "difference")
    cut = CATEGORIES[first.category]
    changed = dict(first.attributes)
    latents = {**first.latents, "price": float(rng.random())}
    palette, print_seed = first.palette, first.print_seed
    others = {
        name: [v for v in getattr(cut, name) if v not in (changed[name], "sleeveless")]
        for name in ("button", "collar", "sleeve_length", "sleeve_shape", "shape", "length")
        if changed.get(name) not in (None, "none")
    }
    names = [name for name, values in others.items() if values]
    pattern = changed["pattern"]
    kind = str(rng.choice(["attribute", "attribute", "pattern", "second"]))
    if kind == "attribute" and names:
        name = names[int(rng.integers(len(names)))]
        options = others[name]
        changed[name] = options[int(rng.integers(len(options)))]
    elif kind == "second" and pattern in _PRINTED:
        print_seed = int(rng.integers(1 << 31))
    elif kind == "second" and pattern not in _ONE_COLOR:
        palette = (palette[0], _companion(palette[0], rng), _companion(palette[0], rng), palette[3])
        latents["scale"] = (latents["scale"] + 0.5) % 1.0
    else:
        options = [v for v in dict.fromkeys(cut.pattern) if v != pattern]
        if options:
            changed["pattern"] = options[int(rng.integers(len(options)))]
        else:
            latents["wear"] = (latents["wear"] + 0.5) % 1.0
            latents["pocket"] = (latents["pocket"] + 0.5) % 1.0
    return replace(
        first,
        index=index,
        attributes=MappingProxyType(changed),
        latents=MappingProxyType(latents),
        palette=palette,
        print_seed=print_seed,
    )


def _shade(rgb: RGB, rng: np.random.Generator) -> RGB:
    """A shade near `rgb`: the same colour name, another dye."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    h = (h + rng.normal(0, 0.010)) % 1.0
    s = min(max(s * (1 + rng.normal(0, 0.10)), 0.0), 1.0)
    v = min(max(v * (1 + rng.normal(0, 0.06)) + rng.normal(0, 0.01), 0.09), 0.97)
    r, g, b = colorsys.hsv_to_rgb(h, s, v)
    return (round(r * 255), round(g * 255), round(b * 255))


def _companion(main: RGB, rng: np.random.Generator) -> RGB:
    """A colour that is worn with `main`: a neutral, a tone of it, or a far colour."""
    light = 0.3 * main[0] + 0.6 * main[1] + 0.1 * main[2]
    choice = rng.random()
    if choice < 0.4:
        pool = ["white", "cream", "ice", "beige", "lemon"] if light < 120 else ["black", "navy"]
        pool += ["charcoal", "chocolate", "forest"] if light >= 120 else []
        return _shade(COLORS[pool[int(rng.integers(len(pool)))]], rng)
    if choice < 0.6:
        factor = 1.75 if light < 110 else 0.52
        lift = 28 if light < 110 else 0
        r, g, b = (int(min(max(c * factor + lift, 12), 248)) for c in main)
        return (r, g, b)
    names = list(COLORS.values())
    for _ in range(12):
        other = names[int(rng.integers(len(names)))]
        if sum(abs(a - b) for a, b in zip(main, other, strict=True)) > 170:
            return _shade(other, rng)
    return _shade(COLORS["white" if light < 120 else "black"], rng)
