"""Pictures of every kind, spoilt ones, and bombs: what the one opener must survive."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from helpers.mangle import SPOIL, truncate
from hemline.data.images import open_image
from hemline.errors import ImageError

SUFFIXES = (".jpg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", "", ".txt", ".JPEG")


def encode(picture: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@cache
def samples() -> dict[str, bytes]:
    """A small picture in each kind that is met."""
    rng = np.random.default_rng(3)
    colour = Pillow.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8))
    clear = Pillow.fromarray(rng.integers(0, 255, (40, 60, 4), np.uint8))
    grey = colour.convert("L")
    more = [clear.rotate(k) for k in (10, 20, 30)]
    deep = Pillow.fromarray(rng.integers(0, 65535, (40, 60), np.uint16))
    together = {"save_all": True, "append_images": more}
    return {
        "jpeg": encode(colour, "JPEG"),
        "jpeg progressive": encode(colour, "JPEG", progressive=True),
        "jpeg cmyk": encode(colour.convert("CMYK"), "JPEG"),
        "jpeg grey": encode(grey, "JPEG"),
        "png": encode(colour, "PNG"),
        "png clear": encode(clear, "PNG"),
        "png palette": encode(colour.convert("P"), "PNG", transparency=0),
        "png 16 bits": encode(deep, "PNG"),
        "png animated": encode(clear, "PNG", **together),
        "webp": encode(colour, "WEBP"),
        "webp lossless": encode(clear, "WEBP", lossless=True),
        "webp animated": encode(clear, "WEBP", **together),
        "gif": encode(colour, "GIF"),
        "gif animated": encode(colour, "GIF", **together),
        "avif": encode(colour, "AVIF"),
        "avif clear": encode(clear, "AVIF"),
        "bmp": encode(colour, "BMP"),
        "tiff": encode(colour, "TIFF"),
        "tiff lzw": encode(clear, "TIFF", compression="tiff_lzw"),
        "tiff pages": encode(colour, "TIFF", compression="tiff_adobe_deflate", **together),
    }


def huge_sides(data: bytes, rng: random.Random) -> bytes:
    """A large number somewhere in the header, either way round."""
    made = bytearray(data)
    at = rng.randrange(max(1, min(len(made), 200)))
    number = rng.choice((0, 1, 255, 30_000, 65_535, 2**31 - 1, 2**32 - 1, rng.randrange(2**32)))
    word = struct.pack(rng.choice("<>") + "I", number)[-rng.choice((2, 4)) :]
    made[at : at + len(word)] = word
    return bytes(made)


def attempt(seed: int, folder: Path) -> str:
    """One case: a spoilt picture, from memory or from a file whose suffix lies."""
    rng = random.Random(seed)
    kind = rng.choice(list(samples()))
    data = samples()[kind]
    for _ in range(rng.choice((1, 1, 2))):
        data = rng.choice((*SPOIL, huge_sides, huge_sides, truncate))(data, rng)
    source: Any = data
    if rng.random() < 0.3:
        source = folder / f"picture{rng.choice(SUFFIXES)}"
        source.write_bytes(data)
    try:
        image = open_image(source, max_pixels=4_000_000)
    except ImageError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert 0 < image.shape[0] * image.shape[1] <= 4_000_000
    return "opened"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int, colour: int = 2, depth: int = 8, rows: int = -1) -> bytes:
    """A picture of zeros, small as a file; only ``rows`` of its rows are there."""
    size = {0: 1, 2: 3, 4: 2, 6: 4}[colour] * depth // 8 * width + 1
    packer, packed = zlib.compressobj(9), []
    for _ in range(height if rows < 0 else rows):
        packed.append(packer.compress(bytes(size)))
    packed.append(packer.flush())
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = _chunk(b"IHDR", head) + _chunk(b"IDAT", b"".join(packed)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _put(data: bytes, at: int, part: bytes) -> bytes:
    return data[:at] + part + data[at + len(part) :]


def bombs() -> dict[str, bytes]:
    """Small files that ask for much: sides, samples, frames, scans. Each must be refused."""
    made = {
        "png of 120,000 by 120,000": png_of(120_000, 120_000, rows=4),
        "png of 30,000 by 30,000": png_of(30_000, 30_000, rows=4),
        "png of 4 billion by 1": png_of(2**31 - 1, 1, 0, rows=0),
    }
    gif = samples()["gif"]
    made["gif of 65,535 by 65,535"] = gif[:6] + b"\xff" * 4 + gif[10:]
    webp = bytearray(samples()["webp animated"])
    webp[24:30] = b"\xff" * 6
    made["webp of 16 million by 16 million"] = bytes(webp)
    plain = bytearray(samples()["webp"])
    plain[26:30] = b"\xff\x3f\xff\x3f"
    made["webp of 16,383 by 16,383"] = bytes(plain)
    avif = samples()["avif"]
    sides = struct.pack(">II", 60_000, 60_000)
    made["avif of 60,000 by 60,000"] = _put(avif, avif.index(b"ispe") + 8, sides)
    tiff = samples()["tiff"]
    for tag in (256, 257):
        at = next(k for k in range(10, len(tiff), 12) if tiff[k : k + 2] == struct.pack("<H", tag))
        tiff = _put(tiff, at, struct.pack("<HHII", tag, 4, 1, 60_000))
    made["tiff of 60,000 by 60,000"] = tiff
    sides = struct.pack("<ii", 2**31 - 1, -(2**31))
    made["bmp of 2 billion by 2 billion"] = _put(samples()["bmp"], 18, sides)
    jpeg = samples()["jpeg"]
    sides = struct.pack(">HH", 65_500, 65_500)
    made["jpeg of 65,500 by 65,500"] = _put(jpeg, jpeg.index(b"\xff\xc0") + 5, sides)
    slow = samples()["jpeg progressive"]
    scan = slow.rindex(b"\xff\xda")
    made["jpeg of 5,000 scans"] = slow[:scan] + slow[scan:-2] * 5_000 + slow[-2:]
    return made
