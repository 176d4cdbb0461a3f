"""Inspects one image: everything the check needs of it, so that it is opened once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemline.data.images import open_image, read_bytes
from hemline.data.resize import resize
from hemline.errors import ImageError
from hemline.types import Image

#: Side of the colour thumbnail, in cells.
CELLS = 8
#: Side of the image of which the perceptual hash is taken, and of the cosine transform's corner.
_HASHED, _LOW = 32, 8
#: The corner's rows of the cosine transform (8, 32), orthonormal.
_COSINES = np.sqrt(2 / _HASHED) * np.cos(
    np.pi / _HASHED * np.arange(_LOW)[:, None] * (np.arange(_HASHED) + 0.5)
)
_COSINES[0] /= np.sqrt(2)
#: Linear RGB to XYZ over the white of D65 (IEC 61966-2-1).
_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
) / np.array([[0.950456], [1.0], [1.088754]])


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """Properties of an image file.

    Attributes:
        digest: hash of the file's bytes; empty if it can't be opened.
        pixels: hash of the upright decoded image; empty if it can't be opened.
        width, height: in pixels, upright.
        print: 64-bit perceptual hash (pHash, as OpenCV's) as 16 hexadecimal digits.
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
        print=_phash(picture),
        colour=_cells(picture).tobytes().hex(),
    )


def prints(images: list[InspectedImage]) -> npt.NDArray[np.uint64]:
    """(N,) perceptual hashes."""
    return np.array([int(one.print, 16) for one in images], np.uint64)


def colours(images: list[InspectedImage]) -> npt.NDArray[np.uint8]:
    """(N, 192) Lab thumbnails."""
    data = b"".join(bytes.fromhex(one.colour) for one in images)
    return np.frombuffer(data, np.uint8).reshape(len(images), CELLS * CELLS * 3)


def _phash(picture: Image) -> str:
    """pHash: which of the 8x8 lowest frequencies of a 32x32 grey image lie above their mean.

    Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010.
    """
    rows, columns = (_places(side) for side in picture.shape[:2])
    small = sum(
        picture[y][:, x].astype(np.float64) * (v[:, None, None] * h[None, :, None])
        for y, v in rows
        for x, h in columns
    )
    grey = np.rint(np.rint(small) @ (0.114, 0.587, 0.299))
    low = _COSINES @ grey @ _COSINES.T
    low[0, 0] = 0.0
    return np.packbits(low > low.mean(), bitorder="little").tobytes().hex()


def _places(side: int) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """The two neighbours of each of 32 places along a side, with their shares."""
    place = ((np.arange(_HASHED) + 0.5) * side / _HASHED - 0.5).clip(0, side - 1)
    before = np.floor(place).astype(np.int64)
    share = place - before
    return [(before, 1 - share), (np.minimum(before + 1, side - 1), share)]


def _cells(picture: Image) -> npt.NDArray[np.uint8]:
    """(8, 8, 3) CIE L*a*b*, in 8 bits: L* over 100, a* and b* with 128 added."""
    small = resize(picture, 4 * CELLS, 4 * CELLS) / 255
    linear = np.where(small > 0.04045, ((small + 0.055) / 1.055) ** 2.4, small / 12.92)
    xyz = linear @ _XYZ.T
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    lab = np.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128], axis=-1)
    cells = lab.reshape(CELLS, 4, CELLS, 4, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(cells).clip(0, 255), np.uint8)
