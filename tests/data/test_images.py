"""Every kind of picture comes out upright, 8-bit RGB; every bad one is an ImageError, quickly.

Pillow makes the files and is the reference for what they show.
"""

from __future__ import annotations

import io
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from hemline.data import images
from hemline.data.images import (
    crop,
    encode_jpeg,
    open_image,
    open_many,
    open_reduced,
    picture_size,
)
from hemline.errors import ImageError, UsageError
from hemline.types import Box

#: Four quarters: red, green, blue, yellow.
QUARTERS = np.zeros((24, 40, 3), np.uint8)
QUARTERS[:12, :20] = [255, 0, 0]
QUARTERS[:12, 20:] = [0, 255, 0]
QUARTERS[12:, :20] = [0, 0, 255]
QUARTERS[12:, 20:] = [255, 255, 0]
PICTURE = Pillow.fromarray(QUARTERS)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
}


def encode(picture: Pillow.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **(OPTIONS.get(kind, {}) | options))
    return stream.getvalue()


def turned(orientation: int) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x112] = orientation
    return exif


def corners(image: np.ndarray) -> np.ndarray:
    """The colours three pixels inside the four corners, (4, 3)."""
    return image[[3, 3, -4, -4], [3, -4, 3, -4]].astype(int)


def close(image: np.ndarray, expected: np.ndarray, within: int = 12) -> bool:
    return (
        image.shape == expected.shape
        and image.dtype == np.uint8
        and image.flags.c_contiguous
        and bool(np.abs(corners(image) - corners(expected)).max() <= within)
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(kind: str, tmp_path: Path) -> None:
    data = encode(PICTURE, kind)
    assert close(open_image(data), QUARTERS)
    path = tmp_path / "of_any_suffix.txt"
    path.write_bytes(data)
    assert np.array_equal(open_image(path), open_image(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(kind: str, orientation: int) -> None:
    """Pillow's own turning is the reference; it reads the PNG, which keeps every colour."""
    reference = Pillow.open(io.BytesIO(encode(PICTURE, "PNG", exif=turned(orientation))))
    expected = np.asarray(ImageOps.exif_transpose(reference))
    assert close(open_image(encode(PICTURE, kind, exif=turned(orientation))), expected)


def test_orientation_of_a_transparent_picture() -> None:
    see_through = PICTURE.copy()
    see_through.putalpha(128)
    image = open_image(encode(see_through, "PNG", exif=turned(6)))
    assert image.shape == (40, 24, 3)
    assert image[3, 3].tolist() == [127, 127, 255]  # half blue: it was in the lower left


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_transparency_shows_white(kind: str) -> None:
    rgba = np.dstack([QUARTERS, np.full((24, 40), 255, np.uint8)])
    rgba[:12, :, 3] = 128
    rgba[12:, :20, 3] = 0
    colours = corners(open_image(encode(Pillow.fromarray(rgba), kind)))
    expected = [[255, 127, 127], [127, 255, 127], [255, 255, 255], [255, 255, 0]]
    assert np.abs(colours - expected).max() <= 12


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_colour_shows_white(kind: str) -> None:
    palette = PICTURE.convert("P")
    data = encode(palette, kind, transparency=palette.getpixel((0, 0)))
    assert corners(open_image(data)).tolist()[:2] == [[255, 255, 255], [0, 255, 0]]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("P", "BMP"), ("CMYK", "JPEG")],
)
def test_modes(mode: str, kind: str) -> None:
    picture = PICTURE.convert(mode)
    assert close(open_image(encode(picture, kind)), np.asarray(picture.convert("RGB")))


def test_sixteen_bits() -> None:
    wide = QUARTERS[:, :, ::-1].astype(np.uint16) * 257
    alpha = np.full((24, 40, 1), 32768, np.uint16)
    for suffix in (".png", ".tiff"):
        assert close(open_image(cv2.imencode(suffix, wide)[1].tobytes()), QUARTERS, 0)
    half = open_image(cv2.imencode(".png", np.dstack([wide, alpha]))[1].tobytes())
    assert corners(half)[0].tolist() == [255, 127, 127]
    ramp = (np.arange(40, dtype=np.uint16) * 1600)[None].repeat(24, 0)
    grey = open_image(encode(Pillow.fromarray(ramp), "PNG"))
    assert np.abs(grey[0, :, 0].astype(int) - ramp[0] // 257).max() <= 1


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_avif(depth: int) -> None:
    wide = (QUARTERS[:, :, ::-1].astype(np.uint32) * ((1 << depth) - 1) // 255).astype(np.uint16)
    done, data = cv2.imencode(".avif", wide, [cv2.IMWRITE_AVIF_DEPTH, depth])
    assert done
    assert close(open_image(data.tobytes()), QUARTERS)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    other = Pillow.fromarray(255 - QUARTERS)
    data = encode(PICTURE, kind, save_all=True, append_images=[other], duration=100)
    assert close(open_image(data), QUARTERS)


@pytest.mark.parametrize("kind", FORMATS)
def test_too_many_pixels_are_refused_before_decoding(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*args: object) -> None:
        raise AssertionError("decoded")

    data = encode(PICTURE, kind)
    assert open_image(data, max_pixels=960).shape == (24, 40, 3)
    if images.simplejpeg is not None:
        monkeypatch.setattr(images.simplejpeg, "decode_jpeg", decode)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(ImageError, match="40x24 pixels, more than the 959 allowed"):
        open_image(data, max_pixels=959)


def test_a_small_file_that_would_be_huge() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", 1 << 17, 1 << 17, 8, 2, 0, 0, 0)
    )
    bomb += chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="131072x131072 pixels"):
        open_image(bomb)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    data = encode(Pillow.fromarray(noise), kind)
    with pytest.raises(ImageError, match=r"^the picture (is|has|states)"):
        open_image(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello", "is no picture of a known kind"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC; save it as JPEG"),
        (b"\xff\xd8\xff\xd9", "a JPEG without a picture|truncated"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_no_pictures(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        open_image(data, name="photo 7")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg does not exist"):
        open_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="can't be read"):
        open_image("a\0b.jpg")
    path = tmp_path / "large.bmp"
    path.write_bytes(encode(PICTURE, "BMP"))
    with pytest.raises(ImageError, match="MiB, more than"):
        open_image(path, max_bytes=1000)


def test_a_wrong_checksum_is_told() -> None:
    data = bytearray(encode(PICTURE, "PNG"))
    data[data.index(b"IDAT") + 6] ^= 0xFF
    with pytest.raises(ImageError, match="wrong checksum in IDAT"):
        open_image(bytes(data))


def mutants(data: bytes, rng: np.random.Generator, count: int) -> list[bytes]:
    """Cut, with random bytes anywhere, with a random header, with a hole: a quarter of each."""
    made = []
    for k in range(count):
        mutant = bytearray(data)
        if k % 4 == 0:
            mutant = mutant[: rng.integers(0, len(mutant))]
        elif k % 4 == 1:
            for _ in range(int(rng.integers(1, 20))):
                mutant[rng.integers(0, len(mutant))] = rng.integers(0, 256)
        elif k % 4 == 2:
            start = int(rng.integers(0, min(200, len(mutant))))
            mutant[start : start + 4] = rng.integers(0, 256, 4, np.uint8).tobytes()
        else:
            start = int(rng.integers(0, len(mutant)))
            del mutant[start : start + 50]
        made.append(bytes(mutant))
    return made


@pytest.mark.parametrize("kind", FORMATS)
def test_fuzz(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    smooth = cv2.GaussianBlur(rng.integers(0, 255, (60, 80, 3), np.uint8), (0, 0), 3)
    begun, opened = time.perf_counter(), 0
    for mutant in mutants(encode(Pillow.fromarray(smooth), kind), rng, 120):
        try:
            image = open_image(mutant, max_pixels=4_000_000)
        except ImageError:
            continue
        opened += 1
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.dtype == np.uint8
    assert opened < 120
    assert time.perf_counter() - begun < 10
    # libjpeg itself prints one line for a damaged picture; nothing else is heard.
    heard = [line for line in capfd.readouterr().err.splitlines() if "JPEG data" not in line]
    assert len(heard) <= 3, heard


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
def test_jpegs_have_the_same_pixels_by_either_decoder(
    subsampling: str, progressive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow decodes where simplejpeg has no wheel; OpenCV decoded for catalogues made before."""
    noise = np.random.default_rng(0).integers(0, 255, (61, 83, 3), np.uint8)
    smooth = Pillow.fromarray(cv2.GaussianBlur(noise, (0, 0), 2))
    data = encode(smooth, "JPEG", subsampling=subsampling, progressive=progressive, quality=80)
    image = open_image(data)
    before = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(image, before)
    monkeypatch.setattr(images, "simplejpeg", None)
    assert np.array_equal(open_image(data), image)


@pytest.mark.parametrize("decoder", ["simplejpeg", "Pillow"])
@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize(("most", "factor"), [(1.9, 1), (2.0, 2), (3.9, 2), (7.0, 4), (50.0, 8)])
def test_a_large_jpeg_is_decoded_smaller(
    decoder: str, turn: int, most: float, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if decoder == "Pillow":
        monkeypatch.setattr(images, "simplejpeg", None)
    noise = np.random.default_rng(0).integers(0, 255, (181, 251, 3), np.uint8)
    smooth = Pillow.fromarray(cv2.GaussianBlur(noise, (0, 0), 6))
    exif = Pillow.Exif()
    exif[0x112] = turn
    data = encode(smooth, "JPEG", quality=95, subsampling=0, exif=exif)
    whole = open_image(data)
    found = open_reduced(data, reduction=lambda width, height: most)
    assert (found.height, found.width) == whole.shape[:2]
    assert found.image.shape[:2] == tuple(-(-side // factor) for side in whole.shape[:2])
    again = cv2.resize(found.image, (found.width, found.height), interpolation=cv2.INTER_LINEAR)
    assert np.abs(again.astype(int) - whole).mean() < 6
    part = found.crop(Box(40, 60, 120, 140))
    assert abs(part.shape[0] - 80 / factor) <= 2
    assert np.abs(part.mean((0, 1)) - whole[60:140, 40:120].mean((0, 1))).max() < 3


def test_only_jpegs_are_decoded_smaller() -> None:
    for kind in ("PNG", "WEBP", "GIF"):
        data = encode(PICTURE, kind)
        found = open_reduced(data, reduction=lambda width, height: 8.0)
        assert np.array_equal(found.image, open_image(data))


def test_many_in_order_with_bad_ones(tmp_path: Path) -> None:
    paths = []
    for k in range(30):
        path = tmp_path / f"{k}.png"
        path.write_bytes(encode(PICTURE.resize((k + 1, 2)), "PNG") if k % 7 else b"no picture")
        paths.append(path)
    for workers in (1, 4):
        results = list(open_many(paths, workers))
        assert [index for index, _ in results] == list(range(30))
        for index, result in results:
            if index % 7:
                assert isinstance(result, np.ndarray)
                assert result.shape == (2, index + 1, 3)
            else:
                assert isinstance(result, ImageError)
                assert f"{index}.png" in str(result)


def test_many_takes_no_more_than_it_needs() -> None:
    data, taken = encode(PICTURE, "PNG"), 0

    def sources() -> Any:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield data

    before = threading.active_count()
    results = open_many(sources(), 2)
    assert next(results)[0] == 0
    assert taken <= 4
    results.close()
    assert threading.active_count() == before


def test_threads_agree() -> None:
    data = [encode(PICTURE, kind, exif=turned(6)) for kind in ("JPEG", "PNG", "WEBP", "AVIF")]
    alone = [open_image(d) for d in data]
    for index, image in open_many(data * 25, 8):
        assert not isinstance(image, ImageError)
        assert np.array_equal(image, alone[index % 4])


@pytest.mark.parametrize("kind", FORMATS)
def test_the_size_of_a_file(kind: str, tmp_path: Path) -> None:
    picture = PICTURE.resize((37, 21))
    (tmp_path / "a.jpg").write_bytes(encode(picture, kind))
    assert picture_size(tmp_path / "a.jpg") == (37, 21)


def test_the_size_behind_a_long_header(tmp_path: Path) -> None:
    data = encode(PICTURE.resize((37, 21)), "JPEG")
    padding = b"".join(b"\xff\xe4\xff\xff" + bytes(65_533) for _ in range(3))
    (tmp_path / "a.jpg").write_bytes(data[:2] + padding + data[2:])
    assert picture_size(tmp_path / "a.jpg") == (37, 21)
    (tmp_path / "b.jpg").write_bytes(data[:100])
    for name, message in (("b.jpg", "truncated"), ("none.jpg", "No such file"), ("", "director")):
        with pytest.raises(ImageError, match=message):
            picture_size(tmp_path / name)


def test_clear_pictures_are_blended_the_same_in_bands() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (600, 5, 4), np.uint8)
    share, alpha = pixels[..., :3].astype(int), pixels[..., 3:].astype(int)
    wanted = np.minimum((share * alpha + 127) // 255 + 255 - alpha, 255)
    assert np.array_equal(open_image(encode(Pillow.fromarray(pixels), "PNG")), wanted)


def test_crop() -> None:
    assert np.array_equal(crop(QUARTERS, Box(1.5, 2, 10.2, 5)), QUARTERS[2:5, 1:11])
    assert np.array_equal(crop(QUARTERS, Box(-5, -5, 900, 900)), QUARTERS)
    assert crop(QUARTERS, None) is QUARTERS
    with pytest.raises(UsageError, match="leaves no pixel"):
        crop(QUARTERS, Box(100, 0, 120, 10))


def test_jpeg() -> None:
    assert close(open_image(encode_jpeg(QUARTERS, 95)), QUARTERS, 60)
    assert open_image(encode_jpeg(QUARTERS, max_side=20)).shape == (12, 20, 3)
    assert open_image(encode_jpeg(QUARTERS, max_side=400)).shape == QUARTERS.shape
    assert len(encode_jpeg(QUARTERS, 30)) < len(encode_jpeg(QUARTERS, 98))
    with pytest.raises(ImageError, match="70000x1 can't be written as JPEG"):
        encode_jpeg(np.zeros((1, 70_000, 3), np.uint8))


ENDLESS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("WEBP", lambda d: d[:16] + b"\xff\xff\xff\xff" + d[20:]),
    ("PNG", lambda d: d[:8] + b"\xff\xff\xff\xff" + d[12:]),
    ("AVIF", lambda d: b"\0\0\0\x08" + d[4:]),
    ("TIFF", lambda d: d[:4] + struct.pack("<I", sys.maxsize & 0xFFFFFFF0) + d[8:]),
]


@pytest.mark.parametrize(("kind", "change"), ENDLESS)
def test_lengths_that_lead_nowhere(kind: str, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ImageError):
        open_image(change(encode(PICTURE, kind)))
