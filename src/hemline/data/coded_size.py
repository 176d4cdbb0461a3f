"""The pixels that a decoder really allocates, where a file's header may name fewer.

libtiff allocates a whole tile, however small the image in it; libavif decodes what the AV1 stream
says, and then scales it to the size of the header. So a file of a kilobyte whose header says 16x16
could take gigabytes. The other decoders refuse a stream that disagrees with the header.

Sources: TIFF 6.0, sections 2 and 15; ISO/IEC 14496-12 (boxes) and 23008-12 (items); AV1 Bitstream
& Decoding Process, 5.3 to 5.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from hemline.errors import ImageError

#: What small images may take beyond their own pixels.
_SLACK = 1 << 20
_TILE_TAGS = (322, 323)  # width, length
_MOST_TAGS = 500  # libtiff writes a line to standard error for each that it doesn't know
_SIZES = {3: "H", 4: "L"}  # SHORT, LONG
_SEQUENCE_HEADER = 1  # of OBUs
_MOST = 5000  # boxes of one box, items, extents, OBUs


def check_tiff(data: bytes, width: int, height: int) -> None:
    """Checks that the tiles of a TIFF are not much larger than its image.

    Raises:
        ImageError: they are, or are told twice, or the TIFF has countless tags; a clause that
            follows the file's name.
    """
    order = "<" if data[:2] == b"II" else ">"
    sides: dict[int, int] = {}
    try:
        (start,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        if count > _MOST_TAGS:
            raise ValueError
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHL", data, at)
            if tag in _TILE_TAGS:
                if tag in sides or values != 1:  # libtiff and Pillow would take another one
                    raise ValueError
                (sides[tag],) = struct.unpack_from(order + _SIZES[kind], data, at + 8)
    except (struct.error, KeyError, ValueError):
        raise ImageError("is a damaged or truncated TIFF") from None
    across, down = (sides.get(tag, 0) for tag in _TILE_TAGS)
    if across * down > max(_SLACK, 1.25 * width * height):
        raise ImageError(
            f"is a TIFF of {width}x{height} pixels in a tile of {across}x{down}; save it with "
            "smaller tiles"
        )


def check_avif(data: bytes, width: int, height: int) -> None:
    """Checks that the AV1 streams of an AVIF (colour, alpha, tiles of a grid, a small preview)
    have not many more pixels than its header names.

    Raises:
        ImageError: they have, or can't be read; a clause that follows the file's name.
    """
    try:
        coded = sum(_largest(stream) for stream in _streams(memoryview(data)))
    except (struct.error, LookupError, ValueError):
        raise ImageError("is a damaged or truncated AVIF") from None
    if coded > _SLACK + 2.25 * width * height:
        raise ImageError(
            f"is an AVIF of {width}x{height} pixels that holds {coded:,}; save it anew"
        )


# Boxes


def _counted(count: int) -> int:
    """One more of what no honest file has many thousands of."""
    if count == _MOST:
        raise ValueError("too many parts")
    return count + 1


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """(type, content) of each box."""
    at = count = 0
    while at < len(data):
        count = _counted(count)
        size, kind = struct.unpack_from(">L4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = len(data) if size == 0 else at + size
        if (size and size < head) or end > len(data):
            raise ValueError("a box is longer than what holds it")
        yield kind, data[at + head : end]
        at = end


def _below(data: memoryview, *path: bytes) -> Iterator[memoryview]:
    """The contents of all boxes at a path."""
    for kind, content in _boxes(data):
        if kind == path[0]:
            yield from _below(content, *path[1:]) if path[1:] else (content,)


def _streams(data: memoryview) -> Iterator[bytes]:
    """The AV1 streams of a file: of its items, and the first of each track."""
    for meta in _below(data, b"meta"):
        inner = meta[4:]
        items = {item for box in _below(inner, b"iinf") for item in _av1_items(box)}
        stored = b"".join(_below(inner, b"idat"))
        for box in _below(inner, b"iloc"):
            for item, parts in _Locations(box).items(data, stored):
                if item in items:
                    yield parts
    for table in _below(data, b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        boxes = dict(_boxes(table))
        sizes = boxes[b"stsz"]
        start = int.from_bytes(boxes[b"stco"][8:12] if b"stco" in boxes else boxes[b"co64"][8:16])
        size = int.from_bytes(sizes[4:8]) or int.from_bytes(sizes[12:16])
        yield bytes(data[start : start + size])


def _av1_items(box: memoryview) -> Iterator[int]:
    """The numbers of the items of type av01 in an ItemInfoBox."""
    for entry in _below(box[6 if box[0] == 0 else 8 :], b"infe"):
        if entry[0] in (2, 3):
            item, _, kind = struct.unpack_from(">HH4s" if entry[0] == 2 else ">LH4s", entry, 4)
            if kind == b"av01":
                yield item


class _Locations:
    """Reads an ItemLocationBox: where the bytes of each item are."""

    def __init__(self, box: memoryview) -> None:
        self._box, self._at, self._version = box, 6, box[0]
        self._sizes = (box[4] >> 4, box[4] & 15, box[5] >> 4, box[5] & 15)

    def _number(self, size: int) -> int:
        self._at += size
        if self._at > len(self._box):
            raise ValueError("a number is missing")
        return int.from_bytes(self._box[self._at - size : self._at], "big")

    def items(self, data: memoryview, stored: bytes) -> Iterator[tuple[int, bytes]]:
        """(number, content) of each item, from the file or from the box ``idat``."""
        wide = 4 if self._version == 2 else 2
        offset, length, base, index = self._sizes
        count, left = 0, len(data)
        for _ in range(self._number(wide)):
            item = self._number(wide)
            method = self._number(2) if self._version in (1, 2) else 0
            self._number(2)
            start, source = self._number(base), stored if method & 15 else data
            content = bytearray()
            for _ in range(self._number(2)):
                count = _counted(count)
                self._number(index if self._version in (1, 2) else 0)
                first = start + self._number(offset)
                content += source[first : first + self._number(length)]
            left -= len(content)
            if left < 0:  # the items share bytes: each costs a copy, and is decoded for itself
                raise ValueError("items overlap")
            yield item, bytes(content)


# AV1


def _largest(stream: bytes) -> int:
    """The most pixels that a sequence header of an AV1 stream allows a frame."""
    at = most = count = 0
    while at < len(stream):
        count = _counted(count)
        head = stream[at]
        at += 2 if head & 4 else 1
        size = len(stream) - at
        if head & 2:
            size, at = _leb128(stream, at)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            most = max(most, _frame_pixels(stream[at : at + size]))
        at += size
    return most


def _leb128(stream: Sequence[int], at: int) -> tuple[int, int]:
    """A number of AV1's variable length, and where it ends."""
    value = 0
    for place in range(8):
        value |= (stream[at + place] & 127) << 7 * place
        if not stream[at + place] & 128:
            return value, at + place + 1
    raise ValueError("a length of more than 8 bytes")


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("a sequence header ends early")
        return self._value >> self._left & ((1 << count) - 1)


def _frame_pixels(header: bytes) -> int:
    """The largest frame of a sequence header, in pixels."""
    bits = _Bits(header[:1000])
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header
        bits.read(5)
    else:
        delays = 0
        if timed := bits.read(1):
            bits.read(64)
            if bits.read(1):  # equal intervals: a number of variable length follows
                zeros = 0
                while not bits.read(1):
                    zeros += 1
                bits.read(zeros)
            timed = bits.read(1)
            if timed:
                delays = bits.read(5) + 1
                bits.read(42)
        display = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if timed and bits.read(1):
                bits.read(2 * delays + 1)
            if display and bits.read(1):
                bits.read(4)
    across, down = bits.read(4) + 1, bits.read(4) + 1
    return (bits.read(across) + 1) * (bits.read(down) + 1)
