"""Resizing of images: area averaging when shrinking, linear when growing.

The numbers are those of OpenCV's ``INTER_AREA`` and ``INTER_LINEAR``, which towers were trained on,
but for a rounding by one step of 255. (Pillow's box filter is another one: it takes whole pixels,
by their centres.)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hemline.types import FloatArray, Image

#: Source lines of one product of matrices, down and across: more would be multiplied by zeros,
#: fewer cost calls.
_DOWN, _ACROSS = 13, 26
#: Rows of the result that are made at a time, so that a large image needs little memory.
_STRIPE = 192
#: Most columns of an image whose weights across are kept.
_WIDE = 8192

#: (first target line, first and end of the source lines, weights of the one over the other).
_Band = tuple[int, int, int, FloatArray]
_Ints = npt.NDArray[np.int32]


def resize(image: Image, height: int, width: int) -> Image:
    """(H, W, C) uint8 → (height, width, C) uint8; the number of pixels chooses the way."""
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    if rows >= height and columns >= width:
        return _area(image, height, width)
    shares = _neighbours if rows * columns <= height * width else _covered
    return _linear(image, shares(rows, height), shares(columns, width))


def _area(image: Image, height: int, width: int) -> Image:
    """Area averaging: each target pixel is the mean of what it covers."""
    rows, columns, channels = image.shape
    flat = image.reshape(rows, columns * channels)
    down, across = _bands(rows, height, _DOWN), _across(columns, width, channels)
    halves = (rows, columns) == (2 * height, 2 * width)
    out = np.empty((height, width, channels), np.uint8)
    for top in range(0, height, _STRIPE):
        some = [band for band in down if top <= band[0] < top + _STRIPE]
        part = _apply(flat, some)
        stripe = np.empty((len(part), width * channels), np.float32)
        for at, low, high, weights in across:
            np.matmul(part[:, low:high], weights, out=stripe[:, at : at + weights.shape[1]])
        if halves:  # ties up here, otherwise to the even number: as OpenCV does
            stripe += 0.5
        else:
            np.rint(stripe, out=stripe)
        out[top : top + len(part)] = stripe.reshape(len(part), width, channels)
    return out


def _apply(lines: Image, bands: list[_Band]) -> FloatArray:
    """(H, K) → (lines of ``bands``, K) float32."""
    start = bands[0][0]
    out = np.empty((sum(len(band[3]) for band in bands), lines.shape[1]), np.float32)
    for at, low, high, weights in bands:
        target = out[at - start : at - start + len(weights)]
        np.matmul(weights, lines[low:high].astype(np.float32), out=target)
    return out


def _across(source: int, target: int, channels: int) -> list[_Band]:
    """`_spread`, kept for the next image but where it is large."""
    return (_spread if source <= _WIDE else _spread.__wrapped__)(source, target, channels)


@lru_cache(16)
def _spread(source: int, target: int, channels: int) -> list[_Band]:
    """`_bands` from the right, over lines of interleaved channels.

    Two thirds of the weights are zeros; turning the image to leave them out takes longer.
    """
    return [
        (
            top * channels,
            low * channels,
            high * channels,
            np.ascontiguousarray(np.kron(weights.T, np.eye(channels, dtype=np.float32))),
        )
        for top, low, high, weights in _bands(source, target, _ACROSS)
    ]


@lru_cache(64)
def _bands(source: int, target: int, most: int) -> list[_Band]:
    """The shares (target, source) of one axis, cut into bands of what isn't 0, of
    ``most`` source lines."""
    scale = source / target
    count = max(1, min(16, int(most / scale)))
    bands: list[_Band] = []
    for stripe in range(0, target, _STRIPE):
        end = min(target, stripe + _STRIPE)
        for top in range(stripe, end, count):
            edges = np.arange(top, min(end, top + count) + 1) * scale
            low, high = int(edges[0]), min(source, int(edges[-1]) + 1)
            lines = np.arange(low, high)
            share = np.minimum(edges[1:, None], lines + 1) - np.maximum(edges[:-1, None], lines)
            share[share < 1e-6] = 0.0
            bands.append((top, low, high, np.asarray(share / scale, np.float32)))
    return bands


def _linear(image: Image, down: tuple[_Ints, _Ints], across: tuple[_Ints, _Ints]) -> Image:
    """Between two neighbours on each axis, in OpenCV's fixed point: shares are of 2048."""
    (at, share), last = down, image.shape[0] - 1
    if last > 2 * len(at):  # a strip: most of its lines are no neighbours
        image = image[np.stack([at, np.minimum(at + 1, last)], 1).ravel()]
        down = 2 * np.arange(len(at), dtype=np.int32), share
    (at, share), last = across, image.shape[1] - 1
    first = np.multiply(image[:, at], (2048 - share)[:, None], dtype=np.int32)
    wide = first + np.multiply(image[:, np.minimum(at + 1, last)], share[:, None], dtype=np.int32)
    wide >>= 4
    (at, share), last = down, image.shape[0] - 1
    share = share[:, None, None]
    first = (wide[at] * (2048 - share)) >> 16
    both = first + ((wide[np.minimum(at + 1, last)] * share) >> 16)
    return np.asarray((both + 2) >> 2, np.uint8)


@lru_cache(64)
def _neighbours(source: int, target: int) -> tuple[_Ints, _Ints]:
    """For each target line the source line before it, and the next one's share of 2048."""
    place = ((np.arange(target) + 0.5) * (1 / (target / source)) - 0.5).clip(0, source - 1)
    return _shares(place)


@lru_cache(64)
def _covered(source: int, target: int) -> tuple[_Ints, _Ints]:
    """The same for fewer pixels than before: shares by what is covered."""
    growth = target / source
    at = np.arange(target)
    first = np.floor(at * (1 / growth))
    after = ((at + 1) - (first + 1) * growth).astype(np.float32)
    place = first + np.where(after <= 0, 0.0, after - np.floor(after))
    return _shares(place.clip(0, source - 1))


def _shares(place: npt.NDArray[np.float64]) -> tuple[_Ints, _Ints]:
    first = np.floor(place)
    share = np.rint((place.astype(np.float32) - first).astype(np.float32) * 2048)
    return first.astype(np.int32), share.astype(np.int32)
