"""One picture looked at: what the check keeps of it, so that it need not be opened again."""

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

#: Side of the small colour picture that is kept, in cells.
CELLS = 8
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a file.

    Attributes:
        digest: of its bytes; pixels: of the upright decoded picture. Empty where it doesn't open.
        width, height: in pixels, upright.
        print: 64-bit perceptual hash (OpenCV's PHash) as 16 hexadecimal digits.
        colour: 8x8 cells of Lab, 192 bytes as hexadecimal digits.
        error: why it can't be opened, or empty.
    """

    digest: str = ""
    pixels: str = ""
    width: int = 0
    height: int = 0
    print: str = ""
    colour: str = ""
    error: str = ""


def look(file: Path, max_pixels: int) -> Seen:
    """Opens one file; safe to call from many threads."""
    try:
        data = read_bytes(file)
        picture = open_image(data, max_pixels, name=str(file))
    except ImageError as error:
        return Seen(error=str(error).removeprefix(str(file)).strip())
    height, width = picture.shape[:2]
    shape = f"{height}x{width}".encode()
    return Seen(
        digest=hashlib.blake2b(data, digest_size=16).hexdigest(),
        pixels=hashlib.blake2b(picture.tobytes() + shape, digest_size=16).hexdigest(),
        width=width,
        height=height,
        print=_hasher().compute(picture)[0].tobytes().hex(),
        colour=_cells(picture).tobytes().hex(),
    )


def prints(seen: list[Seen]) -> npt.NDArray[np.uint64]:
    """(N,) perceptual hashes."""
    return np.array([int(one.print, 16) for one in seen], np.uint64)


def colours(seen: list[Seen]) -> npt.NDArray[np.uint8]:
    """(N, 192) small Lab pictures."""
    data = b"".join(bytes.fromhex(one.colour) for one in seen)
    return np.frombuffer(data, np.uint8).reshape(len(seen), CELLS * CELLS * 3)


def _hasher() -> Any:
    """One hasher for each thread: OpenCV's isn't made to be shared."""
    if not hasattr(_local, "hasher"):
        module: Any = cv2.img_hash
        _local.hasher = module.PHash_create()
    return _local.hasher


def _cells(picture: Image) -> npt.NDArray[np.uint8]:
    small = cv2.resize(picture, (4 * CELLS, 4 * CELLS), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2Lab)
    return np.asarray(cv2.resize(lab, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.uint8)
