"""The part of an image that is embedded: the choices of ``--crop``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from hemline.data.images import crop
from hemline.errors import UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, fitting_garment, margined
from hemline.types import Box, Image


class Crop(Protocol):
    """Cuts out the part of an image that is embedded and copied."""

    @property
    def whole(self) -> int:
        """Number of images embedded whole because no garment of their category was found."""
        ...

    def mark(self, box: Box | None, category: str) -> str:
        """Distinguishes this part from others of the same image; empty for the whole image.

        It is appended to the digest that decides whether an image must be embedded again, so it is
        known before the image is decoded.
        """
        ...

    def part(self, image: Image, box: Box | None, category: str) -> Image:
        """The part (h, w, 3) of an upright image (H, W, 3)."""
        ...


class Whole:
    """The whole image."""

    whole = 0

    def mark(self, box: Box | None, category: str) -> str:
        return ""

    def part(self, image: Image, box: Box | None, category: str) -> Image:
        return image


class ByBox:
    """The inside of each image's box; the whole image where it has none."""

    whole = 0

    def mark(self, box: Box | None, category: str) -> str:
        return f"@{box.text()}" if box else ""

    def part(self, image: Image, box: Box | None, category: str) -> Image:
        return crop(image, box)


class Detected:
    """The garment of each image's category that the bundle's detector finds; else the whole."""

    def __init__(self, bundle: Bundle) -> None:
        self._detector = BundleDetector(bundle, threads=1)  # many threads decode images
        self._count = 0
        self._lock = threading.Lock()

    @property
    def whole(self) -> int:
        return self._count

    def mark(self, box: Box | None, category: str) -> str:
        return f"@detect:{self._detector.fingerprint[:12]}:{category}"

    def part(self, image: Image, box: Box | None, category: str) -> Image:
        (found,) = self._detector.detect([image])
        one = fitting_garment(found, category, self._detector.threshold)
        if one is None:
            with self._lock:
                self._count += 1
            return image
        return crop(image, margined(one, image))


CROPS: Mapping[str, Callable[[Bundle], Crop]] = {
    "none": lambda bundle: Whole(),
    "box": lambda bundle: ByBox(),
    "detect": Detected,
}


def find_crop(how: str, bundle: Bundle) -> Crop:
    """The crop of this name.

    Raises:
        UsageError: an unknown name.
        BundleError: ``detect``, and the bundle has no detector.
    """
    if how not in CROPS:
        raise UsageError(f"crop is {', '.join(CROPS)}, not {how!r}")
    return CROPS[how](bundle)
