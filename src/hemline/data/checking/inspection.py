"""Inspects one image: everything the check needs of it, so that it is opened once."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hemline.data.images import open_image, read_bytes
from hemline.errors import ImageError
from hemline.types import Image

#: Side of the colour thumbnail, in cells.
CELLS = 8
_local = threading.local()


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """Properties of an image file.

    Attributes:
        digest: hash of the file's bytes; empty if it can't be opened.
        pixels: hash of the upright decoded image; empty if it can't be opened.
        width, height: in pixels, upright.
        print: 64-bit perceptual hash (OpenCV's PHash) as 16 hexadecimal digits.
        colour: 8x8 cells of Lab, 192 bytes as hexadecimal digits.
        error: why it can't be opened; empty if it can.
    """

    digest: str = ""
    pixels: str = ""
    width: int = 0
    height: int = 0
    print: str = ""
    colour: str = ""
    error: str = ""


def inspect_image(file: Path, max_pixels: int) -> InspectedImage:
    """Opens and inspects one file; thread-safe."""
    try:
        data = read_bytes(file)
        picture = open_image(data, max_pixels, name=str(file))
    except ImageError as error:
        return InspectedImage(error=str(error).removeprefix(str(file)).strip())
    height, width = picture.shape[:2]
    shape = f"{height}x{width}".encode()
    return InspectedImage(
        digest=hashlib.blake2b(data, digest_size=16).hexdigest(),
        pixels=hashlib.blake2b(picture.tobytes() + shape, digest_size=16).hexdigest(),
        width=width,
        height=height,
        print=_hasher().compute(picture)[0].tobytes().hex(),
        colour=_cells(picture).tobytes().hex(),
    )


def prints(images: list[InspectedImage]) -> npt.NDArray[np.uint64]:
    """(N,) perceptual hashes."""
    return np.array([int(one.print, 16) for one in images], np.uint64)


def colours(images: list[InspectedImage]) -> npt.NDArray[np.uint8]:
    """(N, 192) Lab thumbnails."""
    data = b"".join(bytes.fromhex(one.colour) for one in images)
    return np.frombuffer(data, np.uint8).reshape(len(images), CELLS * CELLS * 3)


def _hasher() -> Any:
    """The thread's own hasher: OpenCV's isn't thread-safe."""
    if not hasattr(_local, "hasher"):
        module: Any = cv2.img_hash
        _local.hasher = module.PHash_create()
    return _local.hasher


def _cells(picture: Image) -> npt.NDArray[np.uint8]:
    small = cv2.resize(picture, (4 * CELLS, 4 * CELLS), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2Lab)
    return np.asarray(cv2.resize(lab, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.uint8)
