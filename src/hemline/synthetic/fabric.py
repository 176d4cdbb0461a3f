"""The fabrics of a product: its main cloth, its front with the print, its trim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from hemline.synthetic.cloth import Cloth
from hemline.synthetic.curves import Array
from hemline.synthetic.motifs import MOTIFS
from hemline.synthetic.prints import PRINTS
from hemline.synthetic.product import Product
from hemline.synthetic.seeds import generator
from hemline.synthetic.textures import WEAVES, Palette, grain
from hemline.synthetic.values import MEASURES, RGB

_SOFT: Mapping[str, Mapping[str, float]] = MEASURES["softness"]


@dataclass(frozen=True)
class Fabric:
    """`main` for sleeves and panels, `front` for the torso, `trim` for collars and cuffs.

    `seam` is the colour of seams and folds, `stitch` of top-stitching, `accent` of trims.
    """

    main: Cloth
    front: Cloth
    trim: Cloth
    seam: RGB
    stitch: RGB
    accent: RGB


@lru_cache(maxsize=4096)
def darker(color: RGB, factor: float) -> RGB:
    r, g, b = (int(min(255, c * factor)) for c in color)
    return (r, g, b)


@lru_cache(maxsize=384)
def _fabric(
    pattern: str, category: str, palette: tuple[RGB, ...], key: tuple[float, ...]
) -> Fabric:
    scale, angle, print_seed = key
    rng = generator(int(print_seed), "print")
    p = Palette(palette[0], palette[1], palette[2], scale, angle)
    soft = _SOFT["pattern"].get(pattern, 1.0) * _SOFT["category"].get(category, 1.0)
    draw = WEAVES.get(pattern) or MOTIFS.get(pattern) or WEAVES["plain"]
    tile = _woven(draw(p, rng))
    top = -40.0
    main = Cloth(tile, top, soft, None, _mean(tile))
    front = main
    if pattern in PRINTS:
        printed = tile.copy()
        PRINTS[pattern](printed, p, rng)
        front = Cloth(printed, top, soft, None, main.mean)
    contrast = pattern in ("breton-stripe", "color-block") and angle > 0.5
    trim = Cloth.plain(p.second, 0.4) if contrast else main
    light = sum(main.mean) / 3
    seam = darker(main.mean, 0.66 if light > 60 else 0.5)
    top_stitch = darker(main.mean, 1.35 if light < 90 else 0.8)
    stitch = (196, 150, 84) if pattern == "denim" else top_stitch
    return Fabric(main, front, trim, seam, stitch, p.second if contrast else main.mean)


def fabric_of(product: Product) -> Fabric:
    """The fabrics of `product`; kept while they are in use."""
    key = (product.latents["scale"], product.latents["angle"], float(product.print_seed))
    return _fabric(product.attributes["pattern"], product.category, product.palette, key)


def _woven(tile: Array) -> Array:
    """The tile with a faint grain of threads."""
    return cv2.multiply(tile, _grain_gain(), tile, 1 / 128)


@lru_cache(maxsize=1)
def _grain_gain() -> Array:
    gain = np.clip(128 + 4.5 * grain(), 96, 160).astype(np.uint8)
    return cv2.merge([gain, gain, gain])


def _mean(tile: Array) -> RGB:
    r, g, b, _ = cv2.mean(tile)
    return (int(r), int(g), int(b))
