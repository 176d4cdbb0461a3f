"""The searched part of a photo, as the tower takes it."""

from __future__ import annotations

from math import ceil, floor
from typing import NamedTuple

from hemline.data.images import Reduced
from hemline.data.preprocess import PreparedImage, Preprocessing
from hemline.types import Box, Detection

#: Sides of the searched part over the tower's input that a JPEG is decoded to at least: one of
#: 800 × 600 at a half, of 12 megapixels at an eighth. `benchmarks/decoding.py` measures what it
#: changes.
_KEPT = 1.5


class SearchedPhoto(NamedTuple):
    """The first photo of a request: its searched box, garments, size, and the size of the part."""

    box: Box | None
    detections: tuple[Detection, ...]
    size: tuple[int, int]
    searched: tuple[int, int]


def reduction(spec: Preprocessing, box: Box | None, detect: bool, width: int, height: int) -> float:
    """By how much a photo's sides may be divided, so that `_KEPT` times the tower's input is left
    of the searched part. What a detector will find isn't known before: then not at all."""
    if detect:
        return 1.0
    side = min(width, height) if box is None else min(box.width, box.height)
    return side / (_KEPT * spec.size)


def prepare(
    photo: Reduced, box: Box | None, found: tuple[Detection, ...], spec: Preprocessing
) -> tuple[PreparedImage, SearchedPhoto]:
    """The searched part of a photo, reduced to the tower's input.

    Raises:
        UsageError: nothing of the box lies inside.
    """
    size = photo.width, photo.height
    used = None if box is None else box.clip(*size)
    searched = size if used is None else _whole_pixels(used)
    return PreparedImage.of(photo.crop(used), spec), SearchedPhoto(used, found, size, searched)


def _whole_pixels(box: Box) -> tuple[int, int]:
    """(width, height) of what is cropped for a box."""
    return ceil(box.x2) - floor(box.x1), ceil(box.y2) - floor(box.y1)
