"""Which part of a picture is embedded: the choices of ``--crop``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from hemline.data.images import crop
from hemline.errors import UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, fitting_garment, margined
from hemline.types import Image, Record


class Crop(Protocol):
    """Takes the part of a picture that is embedded and copied."""

    @property
    def whole(self) -> int:
        """How many pictures were taken whole because no garment of their category was found."""
        ...

    def mark(self, record: Record) -> str:
        """What sets this part apart from others of the same picture; empty for the whole of it.

        It is part of what is compared to see whether a picture must be embedded again, and is known
        before the picture is opened.
        """
        ...

    def part(self, image: Image, record: Record) -> Image:
        """The part (h, w, 3) of an upright picture (H, W, 3)."""
        ...


class Whole:
    """The whole picture, as the photos of shops are seen."""

    whole = 0

    def mark(self, record: Record) -> str:
        return ""

    def part(self, image: Image, record: Record) -> Image:
        return image


class ByBox:
    """What is inside each row's box; the whole picture where it has none."""

    whole = 0

    def mark(self, record: Record) -> str:
        return f"@{record.box.text()}" if record.box else ""

    def part(self, image: Image, record: Record) -> Image:
        return crop(image, record.box)


class Detected:
    """The garment that fits each row's category, as the bundle's detector finds it; the whole
    picture where none fits.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._detector = BundleDetector(bundle, threads=1)  # many threads open pictures
        self._count = 0
        self._lock = threading.Lock()

    @property
    def whole(self) -> int:
        return self._count

    def mark(self, record: Record) -> str:
        return f"@detect:{self._detector.fingerprint[:12]}:{record.category}"

    def part(self, image: Image, record: Record) -> Image:
        (found,) = self._detector.detect([image])
        one = fitting_garment(found, record.category, self._detector.threshold)
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
    """A choice by its name.

    Raises:
        UsageError: another word.
        BundleError: ``detect``, and the bundle has no detector.
    """
    if how not in CROPS:
        raise UsageError(f"crop is {', '.join(CROPS)}, not {how!r}")
    return CROPS[how](bundle)
