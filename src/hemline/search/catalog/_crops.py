"""Which part of a picture is embedded: the choices of ``--crop``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hemline.data.images import crop
from hemline.errors import UsageError
from hemline.types import Image, Record


class Crop(Protocol):
    """Takes the part of a picture that is embedded and copied."""

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

    def mark(self, record: Record) -> str:
        return ""

    def part(self, image: Image, record: Record) -> Image:
        return image


class ByBox:
    """What is inside each row's box; the whole picture where it has none."""

    def mark(self, record: Record) -> str:
        return f"@{record.box.text()}" if record.box else ""

    def part(self, image: Image, record: Record) -> Image:
        return crop(image, record.box)


CROPS: Mapping[str, type[Whole] | type[ByBox]] = {"none": Whole, "box": ByBox}


def find_crop(how: str) -> Crop:
    """A choice by its name.

    Raises:
        UsageError: another word.
    """
    if how not in CROPS:
        raise UsageError(f"crop is {' or '.join(CROPS)}, not {how!r}")
    return CROPS[how]()
