"""Opening images safely: the only place where files of unknown origin are decoded.

JPEG, PNG, WebP, GIF (first frame), AVIF, BMP and TIFF; the bytes decide, not the suffix. The
header is read first, so that an image with too many pixels is refused before memory is allocated
for it. EXIF's orientation is applied; CMYK, 16 bits, palettes and grey become 8-bit RGB;
transparent pixels are blended over white. Errors are `ImageError`, with the reason.

Pillow reads headers and decodes. JPEG is decoded by simplejpeg, to the same pixels: Pillow takes
1.5 to 4 times as long (``benchmarks/decoding.py``). Where simplejpeg has no wheel, or can't decode
a kind of JPEG, Pillow does.
"""

from __future__ import annotations

import io
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import PIL.Image

from hemline.budget import limits
from hemline.data.image_headers import Header, orientation, read_header, stored_size
from hemline.data.resize import resize
from hemline.errors import ImageError
from hemline.files import open_regular
from hemline.limits import MAX_PIXELS
from hemline.types import Box, Image

try:
    import simplejpeg as _module

    simplejpeg: Any = _module
except ImportError:  # no wheel for this platform
    simplejpeg = None

#: Bytes that a file may have.
MAX_BYTES = 128 << 20

#: Rows that are converted to RGB at a time: Pillow keeps four bytes a pixel.
_BAND = 256

#: EXIF's orientations that exchange width and height.
_TURNED = (5, 6, 7, 8)

S = TypeVar("S")
T = TypeVar("T")
Source = str | os.PathLike[str] | bytes
Admit = Callable[[int, int], object]


class Reduced(NamedTuple):
    """An upright image that may have been decoded smaller.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        width, height: of the whole image.
    """

    image: Image
    width: int
    height: int

    @classmethod
    def whole(cls, image: Image) -> Reduced:
        return cls(image, image.shape[1], image.shape[0])

    def crop(self, box: Box | None) -> Image:
        """The part inside ``box``, which is in pixels of the whole image; all without a box."""
        if box is None or self.image.shape[:2] == (self.height, self.width):
            return crop(self.image, box)
        across, down = self.image.shape[1] / self.width, self.image.shape[0] / self.height
        return crop(self.image, Box(box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down))


def open_image(
    source: Source,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    name: str = "",
    admit: Admit = lambda width, height: None,
) -> Image:
    """The upright image (H, W, 3) uint8 RGB of a file or of its bytes; thread-safe.

    Args:
        name: what errors call the image; default the path.
        admit: called with the stored width and height before any pixel is decoded.

    Raises:
        ImageError: there is no such file, it is no picture, too large, damaged or truncated.
    """
    return open_reduced(source, max_pixels, max_bytes, name, admit).image


def open_reduced(
    source: Source,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    name: str = "",
    admit: Admit = lambda width, height: None,
    reduction: Callable[[int, int], float] = lambda width, height: 1.0,
) -> Reduced:
    """As `open_image`; a JPEG may be decoded to 1/2, 1/4 or 1/8.

    libjpeg makes it smaller while it decodes, from the low frequencies of each block: that takes
    two thirds of the time, and what is made of fewer pixels afterwards is faster, too.

    Args:
        source, max_pixels, max_bytes, name, admit: as in `open_image`.
        reduction: stored width and height → by how much the sides may be divided at most.

    Raises:
        ImageError: as `open_image`.
    """
    max_pixels = min(max_pixels, limits().pixels)
    where = name or ("the picture" if isinstance(source, bytes) else os.fspath(source))
    try:
        data = source if isinstance(source, bytes) else read_bytes(source, max_bytes)
        if len(data) > max_bytes:
            raise ImageError(_too_big(len(data), max_bytes))
        header = read_header(data)
        width, height = header.image.size
        if width * height > max_pixels:
            raise ImageError(
                f"has {width}x{height} pixels, more than the {max_pixels:,} allowed; "
                "make it smaller"
            )
        if width * height == 0:
            raise ImageError(f"is a {header.format} of {width}x{height} pixels")
        admit(width, height)
        if header.format != "JPEG":
            return Reduced.whole(_decode(header))
        most = reduction(width, height)
        image = _decode_jpeg(data, header, next(f for f in (8, 4, 2, 1) if f <= max(1.0, most)))
        if orientation(header.image) in _TURNED:
            width, height = height, width
        return Reduced(image, width, height)
    except ImageError as error:
        raise ImageError(f"{where} {error}") from None
    except MemoryError:
        raise ImageError(f"{where} is too large for the memory") from None


def read_bytes(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bytes:
    """A file's bytes.

    Raises:
        ImageError: it can't be read or has more than ``max_bytes``; the message is a clause
            that follows the file's name.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > max_bytes:
                raise ImageError(_too_big(size, max_bytes))
            return stream.read(max_bytes + 1)
    except FileNotFoundError:
        if re.search(r"(^|/)(https?|s3|gs):/", os.fspath(path)):
            raise ImageError("is an address; `hemline data fetch` makes a file of it") from None
        raise ImageError("does not exist") from None
    except IsADirectoryError:
        raise ImageError("is a folder") from None
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"can't be read: {text}") from None


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of an image as stored; only its header is read.

    Raises:
        ImageError: it can't be read or is no picture.
    """
    try:
        with open_regular(path) as stream:
            return stored_size(stream)
    except ImageError as error:
        raise ImageError(f"{path} {error}") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} can't be read: {error}") from None


def open_many(
    sources: Iterable[Source],
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[tuple[int, Image | ImageError]]:
    """Yields ``(index, picture or why not)`` in order; at most two pictures a worker wait.

    ``workers`` threads decode (default: the processors, at most 8). Nothing is raised for a bad
    file, so that a batch job goes on.
    """

    def attempt(source: Source) -> Image | ImageError:
        try:
            return open_image(source, max_pixels)
        except ImageError as error:
            return error

    return in_order(attempt, sources, workers)


def in_order(
    work: Callable[[S], T], sources: Iterable[S], workers: int | None = None
) -> Iterator[tuple[int, T]]:
    """Yields ``(index, work(source))`` in order, done by threads; at most two a worker wait."""
    count = max(1, workers if workers is not None else min(8, os.cpu_count() or 1))
    waiting: deque[Future[T]] = deque()
    done = 0
    pool = ThreadPoolExecutor(count, thread_name_prefix="open-image")
    try:
        for source in sources:
            waiting.append(pool.submit(work, source))
            if len(waiting) >= 2 * count:
                yield done, waiting.popleft().result()
                done += 1
        while waiting:
            yield done, waiting.popleft().result()
            done += 1
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def crop(image: Image, box: Box | None) -> Image:
    """The part of a picture (H, W, 3) inside ``box``, whole pixels, clipped; all without a box.

    Raises:
        UsageError: nothing of the box lies inside.
    """
    if box is None:
        return image
    height, width = image.shape[:2]
    x1, y1, x2, y2 = Box(*box).clip(width, height)
    part = image[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))]
    return np.ascontiguousarray(part)


def encode_jpeg(image: Image, quality: int = 90, max_side: int | None = None) -> bytes:
    """JPEG bytes of a picture (H, W, 3) RGB, made smaller where a side is over ``max_side``."""
    height, width = image.shape[:2]
    if max_side is not None:
        image = shrink(image, max_side)
    stream = io.BytesIO()
    try:
        PIL.Image.fromarray(image).save(stream, "JPEG", quality=quality)
    except (OSError, ValueError):  # a side over 65,500 pixels
        raise ImageError(f"a picture of {width}x{height} can't be written as JPEG") from None
    return stream.getvalue()


def shrink(image: Image, max_side: int) -> Image:
    """The picture (H, W, 3), made smaller where a side is over ``max_side`` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    return resize(image, max(1, round(height * scale)), max(1, round(width * scale)))


def _too_big(size: int, limit: int) -> str:
    return f"has {size / 2**20:,.0f} MiB, more than the {limit / 2**20:,.0f} allowed"


def _decode_jpeg(data: bytes, header: Header, factor: int) -> Image:
    """(H, W, 3) RGB, upright, its sides divided by ``factor`` and rounded up. Wrong bytes in the
    middle are passed over, as in browsers."""
    width, height = header.image.size
    if factor > 1:
        header.image.draft(None, (width // factor, height // factor))  # where Pillow decodes
    if simplejpeg is None or header.image.mode == "CMYK":
        return _decode(header)
    least = {"min_width": -(-width // factor), "min_height": -(-height // factor)}
    try:
        pixels = simplejpeg.decode_jpeg(data, strict=False, **(least if factor > 1 else {}))
    except ValueError:  # damaged, or a kind that Pillow's build may know
        return _decode(header)
    return _upright(pixels, orientation(header.image))


def _decode(header: Header) -> Image:
    """(H, W, 3) RGB, upright, blended over white; by Pillow."""
    image = header.image
    try:
        image.load()
        turn = orientation(image)  # 1 of a TIFF, which Pillow turns itself
        if image.mode in ("I", "F"):
            raise ImageError(
                f"is a {header.format} of 32-bit numbers; 8 or 16 bits a channel are opened"
            )
        width, height = image.size
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, _BAND):
            band = image.crop((0, top, width, min(top + _BAND, height)))
            pixels[top : top + _BAND] = np.asarray(_rgb(band))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise whatever their parsing runs into
        reason = " ".join(str(error).split())[:80]
        raise ImageError(f"is a damaged or truncated {header.format}: {reason}") from None
    return _upright(pixels, turn)


def _rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Any mode of 8 or 16 bits → RGB, blended over white."""
    if image.mode.startswith("I;16"):
        grey = np.rint(np.asarray(image, np.float32) * np.float32(255 / 65535))
        return PIL.Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    white = PIL.Image.new("RGB", clear.size, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    return white


def _upright(image: Image, orientation: int) -> Image:
    """Applies an EXIF orientation (1 to 8) to an image (H, W, 3) as stored."""
    if orientation in _TURNED:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
