"""How a picture becomes the numbers a tower reads: one function for training and for serving."""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hemline.types import Domain, FloatArray, Image

Triple = tuple[float, float, float]


class Preprocessing(BaseModel):
    """Travels with the weights, so that it can't drift.

    RGB in [0, 1], resized to ``size`` × ``size``, then (x - mean) / std of the domain.

    Attributes:
        size: side of the square in pixels.
        resize: ``stretch`` (the YNet authors' way) or ``pad`` (the whole picture, centred on the
            mean colour of its border).
        street_mean, street_std, shop_mean, shop_std: of each domain, for R, G, B.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=224, ge=8, le=2048)
    resize: str = Field(default="stretch", pattern="^(stretch|pad)$")
    street_mean: Triple = (0.5, 0.5, 0.5)
    street_std: Triple = (0.5, 0.5, 0.5)
    shop_mean: Triple = (0.5, 0.5, 0.5)
    shop_std: Triple = (0.5, 0.5, 0.5)


def resize_square(image: Image, size: int, resize: str = "stretch") -> Image:
    """(H, W, 3) → (size, size, 3), by area when shrinking and linearly when growing."""
    height, width = image.shape[:2]
    if resize == "pad" and height != width:
        side = max(height, width)
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        square = np.empty((side, side, 3), np.uint8)
        square[:] = border.mean(axis=0).round().astype(np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = image
        image, height, width = square, side, side
    if (height, width) == (size, size):
        return image
    shrinking = height * width > size * size
    flag = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=flag), np.uint8)


def normalise(image: Image, spec: Preprocessing, domain: Domain) -> FloatArray:
    """(S, S, 3) uint8 RGB → (3, S, S) float32."""
    street = domain == "street"
    mean = np.asarray(spec.street_mean if street else spec.shop_mean, np.float32)
    std = np.asarray(spec.street_std if street else spec.shop_std, np.float32)
    scaled = (image.astype(np.float32) / np.float32(255.0) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def prepare(image: Image, spec: Preprocessing, domain: Domain) -> FloatArray:
    """An upright (H, W, 3) uint8 RGB picture, already cropped → (3, size, size) float32."""
    return normalise(resize_square(image, spec.size, spec.resize), spec, domain)
