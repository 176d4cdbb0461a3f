"""Preprocessing of images for a tower: the same functions for training and for serving."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image
from pydantic import BaseModel, ConfigDict, Field

from hemline.data.resize import resize as area_resize
from hemline.types import Domain, FloatArray, Image

Triple = tuple[float, float, float]
_STRIP = 4  # an image so many times as long as it is wide


class Preprocessing(BaseModel):
    """Preprocessing parameters; stored with the weights, so that training and serving agree.

    RGB in [0, 1], resized to ``size`` × ``size``, then (x - mean) / std of the domain.

    Attributes:
        size: side of the square in pixels.
        resize: ``stretch`` (as the YNet authors do), ``pad`` (the whole image, centred on the mean
            colour of its border), or ``crop`` (the middle square, as hub models are evaluated).
        crop_share: for ``crop``, the side of the square over the shorter side of the resized image.
        interpolation: ``area`` (area averaging when shrinking, linear when growing), or
            ``bilinear`` or ``bicubic`` (Pillow's, with antialiasing).
        street_mean, street_std, shop_mean, shop_std: per domain, for R, G, B.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=224, ge=8, le=2048)
    resize: str = Field(default="stretch", pattern="^(stretch|pad|crop)$")
    crop_share: float = Field(default=1.0, gt=0, le=1)
    interpolation: str = Field(default="area", pattern="^(area|bilinear|bicubic)$")
    street_mean: Triple = (0.5, 0.5, 0.5)
    street_std: Triple = (0.5, 0.5, 0.5)
    shop_mean: Triple = (0.5, 0.5, 0.5)
    shop_std: Triple = (0.5, 0.5, 0.5)

    @classmethod
    def both_domains(cls, size: int, resize: str, mean: Triple, std: Triple) -> Preprocessing:
        """The same mean and standard deviation for street and shop."""
        return cls(
            size=size,
            resize=resize,
            street_mean=mean,
            street_std=std,
            shop_mean=mean,
            shop_std=std,
        )

    def described(self) -> dict[str, Any]:
        """The fields that affect an embedding, as plain JSON. Fields added later are left out at
        their defaults, so that fingerprints of older bundles stay the same."""
        whole = self.model_dump(mode="json")
        later = {"crop_share": 1.0, "interpolation": "area"}
        return {name: value for name, value in whole.items() if later.get(name) != value}


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that has been resized and cropped for a tower; `prepare` only normalises it.

    Attributes:
        pixels: (S, S, 3) uint8 RGB, as `square` returns them.
    """

    pixels: Image

    @classmethod
    def of(cls, image: Image, spec: Preprocessing) -> PreparedImage:
        """An upright (H, W, 3) uint8 RGB image, resized and cropped as ``spec`` says."""
        return cls(square(image, spec))


#: What an encoder takes.
ImageInput = Image | PreparedImage


def square(image: Image, spec: Preprocessing, size: int | None = None) -> Image:
    """(H, W, 3) → (size, size, 3), resized and cropped as ``spec`` says.

    Args:
        size: overrides ``spec.size``.
    """
    size = size or spec.size
    height, width = image.shape[:2]
    if spec.resize != "crop" and spec.interpolation == "area":
        return resize_square(image, size, spec.resize)
    if spec.resize == "pad":
        image = _padded(image, size)
    target = (size, size)
    if spec.resize == "crop":
        image = _middle(image)
        height, width = image.shape[:2]
        short = max(size, math.floor(size / spec.crop_share))
        scale = short / min(height, width)
        target = (max(size, int(height * scale)), max(size, int(width * scale)))
    resized = _resized(image, *target, spec.interpolation)
    top, left = (round((side - size) / 2) for side in target)
    return np.ascontiguousarray(resized[top : top + size, left : left + size])


def _resized(image: Image, height: int, width: int, interpolation: str) -> Image:
    if interpolation == "area":
        return area_resize(image, height, width)
    way = PIL.Image.Resampling[interpolation.upper()]
    return np.array(PIL.Image.fromarray(image).resize((width, height), way))


def _middle(image: Image) -> Image:
    """A strip (H, W, 3) without its far ends, which would be enlarged in vain."""
    height, width = image.shape[:2]
    longest = _STRIP * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top : top + longest, left : left + longest]


def _padded(image: Image, size: int) -> Image:
    """(H, W, 3) → centred on a square of the mean colour of its border.

    A strip is reduced before, to ``size`` at least: the square of a strip of 50 million pixels
    would need terabytes.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    if side > max(size, _STRIP * min(height, width)):
        share = max(size / side, math.sqrt(_STRIP * height * width) / side)
        height, width = max(1, round(height * share)), max(1, round(width * share))
        image, side = area_resize(image, height, width), max(height, width)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    padded = np.empty((side, side, 3), np.uint8)
    padded[:] = border.mean(axis=0).round().astype(np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    padded[top : top + height, left : left + width] = image
    return padded


def resize_square(image: Image, size: int, resize: str = "stretch") -> Image:
    """(H, W, 3) → (size, size, 3), area averaging when shrinking, linear when growing."""
    height, width = image.shape[:2]
    if resize == "pad" and height != width:
        image = _padded(image, size)
    return area_resize(image, size, size)


def normalise(image: Image, spec: Preprocessing, domain: Domain) -> FloatArray:
    """(S, S, 3) uint8 RGB → (3, S, S) float32."""
    levels = _levels(spec, domain)
    out = np.empty((3, *image.shape[:2]), np.float32)
    for channel in range(3):
        np.take(levels[channel], image[:, :, channel], out=out[channel], mode="clip")
    return out


@lru_cache(64)
def _levels(spec: Preprocessing, domain: Domain) -> FloatArray:
    """(3, 256) the normalised value of each level of a channel: looked up, not computed anew."""
    street = domain == "street"
    mean = np.asarray(spec.street_mean if street else spec.shop_mean, np.float32)
    std = np.asarray(spec.street_std if street else spec.shop_std, np.float32)
    levels = np.arange(256, dtype=np.float32)[:, None]
    return np.ascontiguousarray(((levels / np.float32(255.0) - mean) / std).T)


def prepare(image: ImageInput, spec: Preprocessing, domain: Domain) -> FloatArray:
    """An upright (H, W, 3) uint8 RGB image, or one prepared by ``spec`` → (3, size, size) float32.

    Raises:
        ValueError: a prepared image has another size.
    """
    pixels = image.pixels if isinstance(image, PreparedImage) else square(image, spec)
    if pixels.shape[:2] != (spec.size, spec.size):
        raise ValueError(
            f"the image was prepared as {pixels.shape[:2]}, not for {spec.size} pixels"
        )
    return normalise(pixels, spec, domain)
