"""A picture of a garment made to look like another photo of it, so that pixels no longer match.

A cut-out is warped, folded, partly hidden and put on a plain ground; a whole photo is cropped and
seen from another side. Both get another light, sharpness and compression.
"""

from __future__ import annotations

import cv2
import numpy as np

from hemline.synthetic.cloth import fold_map
from hemline.synthetic.curves import Array
from hemline.synthetic.disturb import blurred, cast, compressed, lit, noisy

#: Side of the square pictures that are made, in pixels.
SIDE = 224


def altered_cutout(
    image: Array, alpha: Array, rng: np.random.Generator, strength: float = 1.0
) -> Array:
    """A cut-out as in another photo, on a plain ground.

    Args:
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) uint8, 255 where the garment is.
        rng: of every draw.
        strength: 0 changes place and ground only.

    Returns:
        (SIDE, SIDE, 3) uint8 RGB.
    """
    image, alpha = bent(image, alpha, rng, strength)
    image = _folded(image, rng, strength)
    place = _placing(image.shape[:2], rng, strength)
    size = (SIDE, SIDE)
    shown = cv2.warpPerspective(
        image, place, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    cover = cv2.warpPerspective(alpha, place, size, flags=cv2.INTER_LINEAR)
    cover = _hidden(cover, rng, strength)
    share = (cv2.GaussianBlur(cover, (0, 0), 0.8).astype(np.float32) / 255)[..., None]
    ground = _ground(rng)
    mixed = shown.astype(np.float32) * share + ground * (1 - share)
    return _another_photo(mixed.astype(np.uint8), rng, strength)


def altered_photo(photo: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """A photo (H, W, 3) uint8 RGB of a garment as taken again: cropped, from another side, in
    another light; (SIDE, SIDE, 3)."""
    h, w = photo.shape[:2]
    keep = 1 - rng.uniform(0, 0.16, 4) * strength
    left, top = (1 - keep[0]) * w, (1 - keep[1]) * h
    right, low = w * keep[2], h * keep[3]
    corners = np.array([(left, top), (right, top), (right, low), (left, low)])
    corners += rng.uniform(-0.04, 0.04, (4, 2)) * strength * (w, h)
    turn = np.deg2rad(rng.normal(0, 5) * strength)
    way = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = (corners - corners.mean(0)) @ way.T + corners.mean(0)
    goal = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), goal)
    image = cv2.warpPerspective(
        photo, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
    )
    return _another_photo(image, rng, strength)


def bent(
    image: Array, alpha: Array, rng: np.random.Generator, strength: float
) -> tuple[Array, Array]:
    """A soft warp of both, as cloth that hangs another way."""
    h, w = alpha.shape
    coarse = rng.normal(0, 0.022 * max(h, w) * strength, (5, 4, 2)).astype(np.float32)
    field = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    mx, my = x + field[..., 0], y + field[..., 1]
    return (
        cv2.remap(image, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        cv2.remap(alpha, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT),
    )


def _folded(image: Array, rng: np.random.Generator, strength: float) -> Array:
    """The light of other folds."""
    h, w = image.shape[:2]
    fold, _ = fold_map(int(rng.integers(8)), 0.6 + strength * float(rng.uniform(0, 1.2)))
    light = cv2.resize(fold, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        light = np.ascontiguousarray(light[:, ::-1])
    return cv2.multiply(image, cv2.merge([light, light, light]), scale=1 / 128)


def _placing(shape: tuple[int, ...], rng: np.random.Generator, strength: float) -> Array:
    """(3, 3) from the cut-out's pixels to the square: turned, stretched, seen from a side."""
    h, w = shape[:2]
    scale = SIDE * rng.uniform(0.66, 0.94) / max(h, w)
    stretch = np.exp(rng.normal(0, 0.09) * strength)
    half = np.array((w * scale * stretch / 2, h * scale / stretch / 2))
    half = np.minimum(half, 0.49 * SIDE)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    corners += rng.uniform(-0.06, 0.06, (4, 2)) * strength * half * 2
    turn = np.deg2rad(rng.normal(0, 8) * strength)
    way = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = corners @ way.T + SIDE / 2 + rng.uniform(-0.03, 0.03, 2) * SIDE
    start = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
    return cv2.getPerspectiveTransform(start, corners.astype(np.float32))


def _hidden(cover: Array, rng: np.random.Generator, strength: float) -> Array:
    """The cover (S, S) with up to two parts taken out, as if something lay over them."""
    for _ in range(int(rng.random() < 0.7 * strength) + int(rng.random() < 0.3 * strength)):
        ys, xs = np.nonzero(cover > 127)
        if not len(xs):
            break
        at = int(rng.integers(len(xs)))
        axes = tuple(int(v) for v in rng.uniform(0.05, 0.17, 2) * cover.shape[0])
        centre = (int(xs[at]), int(ys[at]))
        cv2.ellipse(cover, centre, (axes[0], axes[1]), float(rng.uniform(0, 180)), 0, 360, (0,), -1)
    return cover


def _ground(rng: np.random.Generator) -> Array:
    """(S, S, 3) float32: white, or one light or dark colour with a soft slope."""
    if rng.random() < 0.5:
        return np.full((SIDE, SIDE, 3), rng.uniform(240, 255), np.float32)
    color = rng.uniform(30, 250) + rng.normal(0, 14, 3)
    slope = np.linspace(-1, 1, SIDE, dtype=np.float32) * rng.uniform(0, 14)
    ground = color.astype(np.float32) + slope[:, None, None]
    whole: Array = np.clip(np.broadcast_to(ground, (SIDE, SIDE, 3)), 0, 255)
    return whole


def _another_photo(image: Array, rng: np.random.Generator, strength: float) -> Array:
    """Another light, sharpness, resolution and compression."""
    image, _ = lit(image, rng, 0.6 * strength)
    image, _ = cast(image, rng, 0.6 * strength)
    image, _ = blurred(image, rng, strength)
    if rng.random() < 0.5 * strength:
        side = int(rng.uniform(80, 180))
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    image, _ = noisy(image, rng, strength)
    image, _ = compressed(image, rng, strength)
    return image
