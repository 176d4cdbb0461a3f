"""What a picture's first bytes say: its format, size and orientation, without decoding it.

The bytes decide, never the file's suffix. Each reader also finds what the decoders pass over in
silence or only print about: a missing end, a broken checksum.

Sources: ITU-T T.81 (JPEG), PNG 3rd edition, the WebP container specification, GIF89a, TIFF 6.0,
ISO/IEC 23008-12 with AVIF 1.1, CIPA DC-008 (EXIF).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hemline.errors import ImageError

PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZE = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: A progressive picture has about ten; each is as much work as a whole picture.
_MOST_SCANS = 100
_BARE = frozenset([0x01, *range(0xD0, 0xD8)])

#: Files that are often given as pictures: what they begin with, and what to say.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb"\s*(?:<!doctype html|<html|<\?xml|<svg)", "a web page or SVG"),
    (rb"version https://git-lfs", "a Git LFS pointer; fetch the file itself"),
    (rb"%PDF", "a PDF"),
    (rb"....ftyp(?:heic|heix|hevc|mif1|msf1)", "HEIC; save it as JPEG"),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL; save it as JPEG"),
    (rb"PK\x03\x04", "a ZIP archive"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """Format, size in pixels as stored, and EXIF's orientation (1 to 8) still to be applied."""

    format: str
    width: int
    height: int
    orientation: int = 1
    alpha: bool = False
    depth: int = 8


def read_header(data: bytes) -> Header:
    """The header of a picture of any format that we open.

    Raises:
        ImageError: it is none, is damaged, or ends too early; the message is a clause that
            follows the file's name.
    """
    for pattern, reader in _READERS:
        if pattern.match(data):
            try:
                return reader(data)
            except (struct.error, IndexError):
                raise ImageError("is truncated: it ends inside its header") from None
    if not data:
        raise ImageError("is empty")
    for start, what in _OTHERS:
        if re.match(start, data, re.IGNORECASE | re.DOTALL):
            raise ImageError(f"is no picture but {what}")
    raise ImageError("is no picture of a known kind (JPEG, PNG, WebP, GIF, AVIF, BMP, TIFF)")


def _jpeg(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    orientation = at = 1
    for marker, at, length in _segments(data):
        if marker in _JPEG_SIZE:
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = size or (width, height)
        elif marker == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 8 : at + length])
    if size is None:
        raise ImageError("is a damaged JPEG: it states no size")
    if data.find(b"\xff\xd9", at + length) < 0:
        raise ImageError("is a truncated JPEG: its end is missing")
    scans = data.count(b"\xff\xda", at - 2)
    if scans > _MOST_SCANS:
        raise ImageError(f"is a JPEG of {scans:,} scans; more than {_MOST_SCANS} aren't decoded")
    return Header("JPEG", *size, orientation)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, place and length of a JPEG's segments, up to the one that begins the picture.

    Raises:
        ImageError: it is damaged.
        IndexError, struct.error: it ends too early.
    """
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ImageError("is a damaged JPEG: a marker is missing")
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker in _BARE:
            continue
        if marker == 0xD9:
            raise ImageError("is a JPEG without a picture")
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise ImageError("is a damaged JPEG: a segment is too short")
        yield marker, at, length
        if marker == 0xDA:
            return
        at += length


def jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Width and height as stored, from a JPEG's first bytes; None where they don't say."""
    if head[:3] != b"\xff\xd8\xff":
        return None
    try:
        for marker, at, _ in _segments(head):
            if marker in _JPEG_SIZE:
                height, width = struct.unpack_from(">HH", head, at + 3)
                return width, height
    except (ImageError, IndexError, struct.error):
        return None
    return None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end (with length and checksum) of each chunk, up to the last.

    Raises:
        ImageError: the file ends early, or a chunk that decoding needs is damaged.
    """
    at = len(PNG_START)
    view = memoryview(data)
    while True:
        if at + 12 > len(data):
            raise ImageError("is a truncated PNG: its end is missing")
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise ImageError("is a truncated PNG: its end is missing")
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            (stated,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(view[at + 4 : end - 4]) != stated:
                raise ImageError(f"is a damaged PNG: wrong checksum in {kind.decode()}")
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise ImageError("is a damaged PNG: it does not begin with its header")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    alpha, orientation = colour in (4, 6), 1
    for kind, start, end in png_chunks(data):
        if kind == b"tRNS":
            alpha = True
        elif kind == b"eXIf":
            orientation = exif_orientation(data[start + 8 : end - 4])
    return Header("PNG", width, height, orientation, alpha, depth)


def _webp(data: bytes) -> Header:
    (stated,) = struct.unpack_from("<I", data, 4)
    if stated + 8 > len(data):
        raise ImageError("is a truncated WebP: its end is missing")
    size = (0, 0)
    alpha, orientation, at = False, 1, 12
    while at + 8 <= min(len(data), stated + 8):
        kind = data[at : at + 4]
        (length,) = struct.unpack_from("<I", data, at + 4)
        body = at + 8
        if kind == b"VP8X":
            alpha = bool(data[body] & 0x10)
            wide = int.from_bytes(data[body + 4 : body + 7], "little") + 1
            size = (wide, int.from_bytes(data[body + 7 : body + 10], "little") + 1)
        elif kind == b"VP8 ":
            wide, high = struct.unpack_from("<HH", data, body + 6)
            size = max(size, (wide & 0x3FFF, high & 0x3FFF), key=_area)
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, body + 1)
            alpha = alpha or (size == (0, 0) and bool(bits >> 28 & 1))
            size = max(size, ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), key=_area)
        elif kind == b"EXIF":
            block = data[body : body + length]
            orientation = exif_orientation(block.removeprefix(b"Exif\0\0"))
        at = body + length + (length & 1)
    if size == (0, 0):
        raise ImageError("is a damaged WebP: it states no size")
    return Header("WebP", *size, orientation, alpha)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header("GIF", width, height, alpha=True)


def _bmp(data: bytes) -> Header:
    start, kind = struct.unpack_from("<I4xI", data, 6)[0], struct.unpack_from("<I", data, 14)[0]
    (start,) = struct.unpack_from("<I", data, 10)
    if kind == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packed = 0
    else:
        width, height, _, bits, packed = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)
    if packed in (0, 3) and start + (width * bits + 31) // 32 * 4 * height > len(data):
        raise ImageError("is a truncated BMP: its end is missing")
    return Header("BMP", width, height)


def _tiff(data: bytes) -> Header:
    tags = _ifd(data)
    if 256 not in tags or 257 not in tags:
        raise ImageError("is a damaged TIFF: it states no size")
    # OpenCV turns TIFF upright by itself.
    return Header("TIFF", tags[256], tags[257], alpha=True)


def _avif(data: bytes) -> Header:
    boxes = list(_boxes(data, 0, len(data)))
    meta = next(((s, e) for kind, s, e in boxes if kind == b"meta"), None)
    if meta is None:
        raise ImageError("is a damaged AVIF: it states no size")
    width = height = turns = 0
    mirror: int | None = None
    depth = 8
    for kind, start, _ in _properties(data, meta[0] + 4, meta[1]):
        if kind == b"ispe":
            wide, high = struct.unpack_from(">II", data, start + 4)
            if wide * high > width * height:
                width, height = wide, high
        elif kind == b"irot":
            turns = data[start] & 3
        elif kind == b"imir":
            mirror = data[start] & 1
        elif kind == b"av1C":
            depth = max(depth, 8 + 2 * (data[start + 2] >> 6 & 1) + 2 * (data[start + 2] >> 5 & 1))
    if not width:
        raise ImageError("is a damaged AVIF: it states no size")
    if max(end for _, _, end in boxes) > len(data):
        raise ImageError("is a truncated AVIF: its end is missing")
    alpha = data.find(b"auxiliary:alpha", meta[0], meta[1]) >= 0
    return Header("AVIF", width, height, _AVIF_TURNS[mirror, turns], alpha, depth)


#: (imir axis, irot quarter turns to the left) → the EXIF orientation that does the same.
_AVIF_TURNS: dict[tuple[int | None, int], int] = {
    (None, 0): 1,
    (None, 1): 8,
    (None, 2): 3,
    (None, 3): 6,
    (0, 0): 4,
    (0, 1): 5,
    (0, 2): 2,
    (0, 3): 7,
    (1, 0): 2,
    (1, 1): 7,
    (1, 2): 4,
    (1, 3): 5,
}


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, body's start and end of each ISO box; the end may lie past the file's."""
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if length == 0 else at + length
        if stop < body:
            return
        yield kind, body, stop
        at = stop


def _properties(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for kind, s, e in _boxes(data, start, min(end, len(data))):
        if kind == b"iprp":
            for inner, s2, e2 in _boxes(data, s, min(e, len(data))):
                if inner == b"ipco":
                    yield from _boxes(data, s2, min(e2, len(data)))


def _ifd(data: bytes) -> dict[int, int]:
    """Tag → first value, of the whole-number tags of a TIFF's first directory."""
    order = "<" if data[:2] == b"II" else ">"
    at, tags = struct.unpack_from(order + "I", data, 4)[0], {}
    (count,) = struct.unpack_from(order + "H", data, at)
    for k in range(count):
        entry = at + 2 + 12 * k
        if entry + 12 > len(data):
            break
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if kind in (3, 4):
            tags[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)[0]
    return tags


def exif_orientation(block: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 where the block is damaged or says nothing sensible."""
    try:
        value = _ifd(block).get(0x112, 1) if block[:2] in (b"II", b"MM") else 1
    except (struct.error, IndexError):
        return 1
    return value if 1 <= value <= 8 else 1


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Header]], ...] = tuple(
    (re.compile(start, re.DOTALL), reader)
    for start, reader in (
        (rb"\xff\xd8\xff", _jpeg),
        (rb"\x89PNG\r\n\x1a\n", _png),
        (rb"RIFF....WEBP", _webp),
        (rb"GIF8[79]a", _gif),
        (rb"....ftypavi[fs]", _avif),
        (rb"BM", _bmp),
        (rb"II\*\0|MM\0\*", _tiff),
    )
)
