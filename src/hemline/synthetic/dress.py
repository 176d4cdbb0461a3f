"""Dresses people of real street photos in garments cut from other photos, by the people's masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from hemline.synthetic.alter import bent
from hemline.synthetic.curves import Array
from hemline.types import Box

#: Where a garment of each group is worn: labels of the mask.
WORN = {
    "upper": (
        *("blazer", "blouse", "bodysuit", "cape", "cardigan", "coat", "hoodie", "jacket", "jumper"),
        *("shirt", "suit", "sweater", "sweatshirt", "t-shirt", "top", "vest"),
    ),
    "lower": ("jeans", "leggings", "pants", "shorts", "skirt"),
    "full": ("dress", "romper"),
}
#: What stays in front of a garment.
_BEFORE = ("hair", "bag", "purse", "scarf", "glasses", "sunglasses", "necklace")


class Dressed(NamedTuple):
    """image: (H, W, 3) uint8 RGB; box: of what shows of the garment, in its pixels; shown: (H, W)
    bool, where it shows."""

    image: Array
    box: Box
    shown: Array


def dressed(
    scene: Array,
    mask: Array,
    labels: Mapping[int, str],
    garment: tuple[Array, Array],
    group: str,
    rng: np.random.Generator,
) -> Dressed | None:
    """The person of a scene in another garment.

    Args:
        scene: (H, W, 3) uint8 RGB.
        mask: (H, W), number of a label for each pixel.
        labels: number → name.
        garment: image (h, w, 3) uint8 RGB and alpha (h, w) uint8 of a cut-out.
        group: ``upper``, ``lower`` or ``full``: where it is worn.
        rng: of every draw.

    Returns:
        None where the scene has no such place, or too little of the garment would show.
    """
    at = _place(mask, labels, group)
    if at is None:
        return None
    image, alpha = bent(*garment, rng, 0.8)
    matrix = _onto(at, alpha, group, rng)
    h, w = mask.shape
    shown = cv2.warpPerspective(
        image, matrix, (w, h), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    cover = cv2.warpPerspective(alpha, matrix, (w, h), flags=cv2.INTER_LINEAR)
    whole = int((cover > 127).sum())
    before = np.isin(mask, [code for code, name in labels.items() if name in _BEFORE])
    cover[before] = 0
    ys, xs = np.nonzero(cover > 127)
    if len(xs) < max(0.4 * whole, 0.01 * mask.size):
        return None
    shown = _lit_as(scene, mask, shown, cover)
    share = (cv2.GaussianBlur(cover, (0, 0), 0.8).astype(np.float32) / 255)[..., None]
    mixed = shown.astype(np.float32) * share + scene.astype(np.float32) * (1 - share)
    box = Box(float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
    return Dressed(mixed.astype(np.uint8), box, cover > 127)


def _place(mask: Array, labels: Mapping[int, str], group: str) -> Array | None:
    """Left, top, right, bottom of what the person wears there."""
    names = set(WORN[group])
    if group == "full":
        names |= set(WORN["upper"])
    worn = np.isin(mask, [code for code, name in labels.items() if name in names])
    ys, xs = np.nonzero(worn)
    if len(xs) < 0.02 * mask.size:
        return None
    x1, x2 = np.quantile(xs, (0.02, 0.98))
    y1, y2 = np.quantile(ys, (0.01, 0.99))
    return np.array((x1, y1, x2, y2))


def _onto(at: Array, alpha: Array, group: str, rng: np.random.Generator) -> Array:
    """(3, 3) from the cut-out's pixels onto the place, a little larger than it, and turned."""
    x1, y1, x2, y2 = at
    h, w = alpha.shape
    wide, high = (x2 - x1) * rng.uniform(1.0, 1.25), (y2 - y1) * rng.uniform(1.0, 1.15)
    sides = np.array((wide / w, high / h))
    even = float(np.exp(np.log(sides).mean()))  # keeps most of the garment's own shape
    sides = np.exp(0.5 * np.log(sides) + 0.5 * np.log(max(even, sides[1] * 0.85)))
    half = np.array((w, h)) * sides / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    corners += rng.uniform(-0.05, 0.05, (4, 2)) * half * 2
    turn = np.deg2rad(rng.normal(0, 4))
    way = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array(((x1 + x2) / 2, y1 + half[1] - (0.03 if group != "lower" else 0) * high))
    start = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
    return cv2.getPerspectiveTransform(start, (corners @ way.T + middle).astype(np.float32))


def _lit_as(scene: Array, mask: Array, shown: Array, cover: Array) -> Array:
    """The garment as bright as the scene, half-way; a scene's own shading shows on it."""
    light = cv2.GaussianBlur(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY), (0, 0), 3).astype(np.float32)
    body = light[cover > 127]
    level = float(np.median(light[mask > 0])) if (mask > 0).any() else 128.0
    shade = np.clip(1 + 0.25 * (light - float(body.mean())) / 64, 0.7, 1.3)
    gain = np.clip((level / 110.0) ** 0.35, 0.75, 1.25) * shade
    out: Array = np.clip(shown.astype(np.float32) * gain[..., None], 0, 255).astype(np.uint8)
    return out
