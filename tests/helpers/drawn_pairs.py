"""A small set of drawn pairs: each item is a shape of its own colour, plain in the shop."""

from __future__ import annotations

import colorsys
from pathlib import Path

import cv2
import numpy as np

from hemline.data.manifest import Manifest
from hemline.types import Record

FORMS = ("disc", "square", "triangle")


def draw(form: str, colour: tuple[int, int, int], size: int, rng: np.random.Generator | None):
    """A shape on white, or, with a generator, moved and dimmed on a random ground."""
    ground = 255 if rng is None else rng.integers(0, 256, 3)
    picture = np.full((size, size, 3), ground, np.uint8)
    cx = cy = size // 2
    radius = size // 3
    if rng is not None:
        cx, cy = (int(v) for v in rng.integers(size // 3, 2 * size // 3, 2))
        radius = int(size * rng.uniform(0.2, 0.35))
        colour = tuple(int(c * rng.uniform(0.7, 1)) for c in colour)
    if form == "disc":
        cv2.circle(picture, (cx, cy), radius, colour, -1)
    elif form == "square":
        cv2.rectangle(picture, (cx - radius, cy - radius), (cx + radius, cy + radius), colour, -1)
    else:
        points = [[cx, cy - radius], [cx - radius, cy + radius], [cx + radius, cy + radius]]
        cv2.fillPoly(picture, [np.array(points)], colour)
    return picture


def make(
    folder: Path,
    items: int = 16,
    photos: int = 3,
    val: int = 4,
    size: int = 48,
    seed: int = 0,
    hues: bool = False,
) -> Path:
    """Writes pictures and ``manifest.csv``; the last ``val`` items are the split ``val``.

    ``hues`` spreads the colours of the items evenly over the hues instead of at random.
    """
    rng = np.random.default_rng(seed)
    records = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(items):
        colour = tuple(int(c) for c in rng.integers(30, 226, 3))
        if hues:
            one = colorsys.hsv_to_rgb(number / items, 0.9, 0.9)
            colour = tuple(round(255 * part) for part in one)
        form = FORMS[number % 3]
        split = "val" if number >= items - val else "train"
        for photo in range(photos + 1):
            shop = photo == 0
            picture = draw(form, colour, size, None if shop else rng)
            name = f"{number:02d}_{photo}.png"
            cv2.imwrite(str(folder / name), picture[..., ::-1])
            records.append(
                Record(
                    image_id=name,
                    path=name,
                    item_id=f"item{number:02d}",
                    domain="shop" if shop else "street",
                    tags=(f"form={form}",),
                    split=split,
                )
            )
    path = folder / "manifest.csv"
    Manifest.from_records(records, folder).write(path)
    return path
