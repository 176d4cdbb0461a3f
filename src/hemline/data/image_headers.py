"""Image headers: format, size and orientation, read by Pillow before any pixel is decoded.

The first bytes decide the format, never the file's suffix. Pillow's readers are called by name:
`PIL.Image.open` would try others, and refuse large images before their size is known.

Own checks, where the decoders are silent: the end and the number of scans of a JPEG (ITU-T T.81),
the checksums of a PNG.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import zlib
from typing import BinaryIO, NamedTuple

from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hemline.data.coded_size import check_avif, check_tiff
from hemline.errors import ImageError

#: Bytes that tell the format.
MAGIC_BYTES = 512
#: A progressive JPEG has about ten scans; each costs as much as decoding a whole image.
_MAX_SCANS = 100
#: Formats whose decoders may take more pixels than the header names.
_CODED_SIZE = {"TIFF": check_tiff, "AVIF": check_avif}
_SCAN = re.compile(b"\xff\xda")  # found in a third of the time of `bytes.count`
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")


class _Format(NamedTuple):
    name: str
    start: bytes
    reader: type[ImageFile]


_FORMATS = (
    _Format("JPEG", rb"\xff\xd8\xff", JpegImageFile),
    _Format("PNG", rb"\x89PNG\r\n\x1a\n", PngImageFile),
    _Format("WebP", rb"RIFF....WEBP", WebPImageFile),
    _Format("GIF", rb"GIF8[79]a", GifImageFile),
    _Format("AVIF", rb"....ftypavi[fs]", AvifImageFile),
    _Format("BMP", rb"BM", BmpImageFile),
    _Format("TIFF", rb"II\*\0|MM\0\*", TiffImageFile),
)
#: Files that are often given as images: what they begin with, and what to say.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb"\s*(?:<!doctype html|<html|<\?xml|<svg)", "a web page or SVG"),
    (rb"version https://git-lfs", "a Git LFS pointer; fetch the file itself"),
    (rb"%PDF", "a PDF"),
    (rb"....ftyp(?:heic|heix|hevc|mif1|msf1)", "HEIC; save it as JPEG"),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL; save it as JPEG"),
    (rb"PK\x03\x04", "a ZIP archive"),
)


class Header(NamedTuple):
    """An image whose header has been read.

    Attributes:
        format: one of JPEG, PNG, WebP, GIF, AVIF, BMP, TIFF.
        image: Pillow's image, not decoded yet.
    """

    format: str
    image: ImageFile


def read_header(data: bytes) -> Header:
    """The header of an image in memory.

    Raises:
        ImageError: it is no image, is damaged, or ends too early; the message is a clause that
            follows the file's name.
    """
    kind = _format(data[:MAGIC_BYTES])
    stream = io.BytesIO(_needed_chunks(data) if kind.name == "PNG" else data)
    image = _open(kind, stream)
    if kind.name == "JPEG":
        _check_scans(data, stream.tell())
    elif kind.name in _CODED_SIZE:
        _CODED_SIZE[kind.name](data, *image.size)
    return Header(kind.name, image)


def check_kind(start: bytes) -> None:
    """Checks by its first bytes (`MAGIC_BYTES`) that a file is an image of a known kind.

    Raises:
        ImageError: as `read_header`.
    """
    _format(start)


def stored_size(stream: BinaryIO) -> tuple[int, int]:
    """Width and height as stored of an open image file, of which only the header is read.

    Raises:
        ImageError: as `read_header`.
    """
    kind = _format(stream.read(MAGIC_BYTES))
    stream.seek(0)
    return _open(kind, stream).size


def _format(start: bytes) -> _Format:
    for kind in _FORMATS:
        if re.match(kind.start, start, re.DOTALL):
            return kind
    if not start:
        raise ImageError("is empty")
    for other, what in _OTHERS:
        if re.match(other, start, re.IGNORECASE | re.DOTALL):
            raise ImageError(f"is no picture but {what}")
    known = ", ".join(kind.name for kind in _FORMATS)
    raise ImageError(f"is no picture of a known kind ({known})")


def _open(kind: _Format, stream: BinaryIO) -> ImageFile:
    try:
        return kind.reader(stream)
    except MemoryError:
        raise
    except DecompressionBombError as error:  # WebP and GIF, which check the size themselves
        pixels = re.search(r"\d+", str(error))
        raise ImageError(
            f"has {pixels[0] if pixels else 'too many'} pixels, more than are decoded"
        ) from None
    except Exception:  # Pillow's readers raise whatever their parsing runs into
        raise ImageError(f"is a damaged or truncated {kind.name}") from None


def orientation(image: ImageFile) -> int:
    """EXIF's orientation, 1 to 8; 1 where its block is damaged or the value makes no sense.

    Pillow decodes a PNG for it, whose EXIF may come last: check the size before.
    """
    try:
        value = image.getexif().get(0x112, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _check_scans(data: bytes, start: int) -> None:
    """Checks a JPEG behind the header of its first scan, at ``start``.

    Raises:
        ImageError: its end is missing, or it has too many scans.
    """
    if data.rfind(b"\xff\xd9", start) < 0:  # from the end, where it is
        raise ImageError("is a truncated JPEG: its end is missing")
    found = sum(1 for _ in itertools.islice(_SCAN.finditer(data, start), _MAX_SCANS))
    if found == _MAX_SCANS:
        scans = 1 + data.count(_SCAN.pattern, start)
        raise ImageError(f"is a JPEG of {scans:,} scans; more than {_MAX_SCANS} aren't decoded")


def _needed_chunks(data: bytes) -> bytes:
    """A PNG without the chunks that hold no pixels: texts, profiles, further frames.

    Raises:
        ImageError: the file ends early, or a needed chunk is damaged.
    """
    kept, at, view = [_PNG_START], len(_PNG_START), memoryview(data)
    while True:
        if at + 12 > len(data):
            raise ImageError("is a truncated PNG: its end is missing")
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise ImageError("is a truncated PNG: its end is missing")
        if kind in _PNG_KEPT:
            if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
                raise ImageError(f"is a damaged PNG: wrong checksum in {kind.decode()}")
            kept.append(data[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
