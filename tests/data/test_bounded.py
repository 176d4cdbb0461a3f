"""Decoding within a memory: asked for before, given back after, and enough for each format."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hemline.data import coded_size
from hemline.data.bounded import PIXEL_BYTES, opened
from hemline.data.images import open_image
from hemline.data.preprocess import Preprocessing, square
from hemline.errors import ImageError, MemoryLimitError
from hemline.work import Memory, Work, bound


def encoded(side: int, format: str, mode: str = "RGB", **options: object) -> bytes:
    grey = np.arange(side * side, dtype=np.uint32).reshape(side, side) // 7 % 251
    image = PIL.Image.fromarray(grey.astype(np.uint8)).convert("RGB").convert(mode)
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def test_memory_is_asked_for_before_and_given_back() -> None:
    images = Memory(100 * 100 * PIXEL_BYTES)
    with bound(Work(Memory(), images)):
        with opened(encoded(100, "PNG")) as image:
            assert image.shape == (100, 100, 3)
            assert images.used == images.total
        assert images.used == 0
        with pytest.raises(MemoryLimitError), opened(encoded(101, "PNG")):
            raise AssertionError
        damaged = encoded(100, "JPEG")[:200] + b"\xff\xd9"
        with pytest.raises(ImageError), opened(damaged):
            raise AssertionError
    assert images.used == 0


_MEASURE = """
import sys
import tracemalloc
from pathlib import Path
from hemline.data.images import open_image

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

open_image(Path(sys.argv[1]).read_bytes())  # loads the decoder
data = Path(sys.argv[2]).read_bytes()
before = peak()
image = open_image(data)
print((peak() - before) / (image.shape[0] * image.shape[1]))
"""

FORMATS = {
    "jpeg": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    "cmyk": ("JPEG", "CMYK", {"progressive": True, "subsampling": 0}),
    "png": ("PNG", "RGBA", {}),
    "webp": ("WEBP", "RGBA", {"lossless": True, "quality": 0, "method": 0}),
    "avif": ("AVIF", "RGB", {"speed": 10}),
    "gif": ("GIF", "P", {}),
    "tiff": ("TIFF", "RGB", {"compression": "tiff_deflate"}),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", FORMATS)
def test_no_format_takes_more_than_is_asked_for(name: str, tmp_path: Path) -> None:
    format, mode, options = FORMATS[name]
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(encoded(64, format, mode, **options))
    large.write_bytes(encoded(2000, format, mode, **options))
    command = [sys.executable, "-c", _MEASURE, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) <= PIXEL_BYTES


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("interpolation", ["area", "bicubic"])
@pytest.mark.parametrize("shape", [(20, 100_000, 3), (1_000_000, 1, 3), (1000, 4000, 3)])
def test_no_shape_takes_more_than_is_asked_for(
    shape: tuple[int, int, int], resize: str, interpolation: str
) -> None:
    image = np.zeros(shape, np.uint8)
    spec = Preprocessing(size=64, resize=resize, interpolation=interpolation)
    tracemalloc.start()
    try:
        assert square(image, spec).shape == (64, 64, 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < PIXEL_BYTES * shape[0] * shape[1]


def tiff(sides: tuple[int, int], tile: tuple[int, int], again: int = 0) -> bytes:
    """A grey TIFF in one deflated tile; ``again`` is a second width of the tile."""
    data = zlib.compress(bytes(tile[0] * tile[1]), 1)
    tags = [(256, sides[0]), (257, sides[1]), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, tile[0]), (322, again)][: 2 if again else 1]
    tags += [(323, tile[1]), (324, 10 + 12 * (len(tags) + 3) + 4), (325, len(data))]
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + data


def test_a_tiff_whose_tile_is_far_larger_than_its_image_is_refused() -> None:
    assert open_image(tiff((300, 200), (512, 512))).shape == (200, 300, 3)
    assert open_image(tiff((2000, 1500), (2000, 1504))).shape == (1500, 2000, 3)
    for sides, tile, again in [((1, 1), (4096, 4096), 0), ((1500, 1500), (4096, 4096), 0)]:
        with pytest.raises(ImageError, match="TIFF of .* in a tile of 4096x4096"):
            open_image(tiff(sides, tile, again))
    with pytest.raises(ImageError, match="damaged"):  # Pillow reads the last, libtiff the first
        open_image(tiff((1, 1), (4096, 4096), 16))
    tags = b"".join(struct.pack("<HHLL", 1000 + n, 4, 1, 1) for n in range(2000))
    with pytest.raises(ImageError, match="damaged"):  # libtiff would log each
        open_image(b"II*\0" + struct.pack("<LH", 8, 2000) + tags + bytes(64))


def test_an_avif_whose_stream_is_far_larger_than_its_header_is_refused(tmp_path: Path) -> None:
    grey = PIL.Image.new("L", (2000, 2000), 9)
    for source in (grey.convert("RGB"), grey.convert("RGBA")):
        stream = io.BytesIO()
        source.save(stream, "AVIF", speed=10)
        data = stream.getvalue()
        assert open_image(data).shape == (2000, 2000, 3)
        small = data.replace(struct.pack(">LL", 2000, 2000), struct.pack(">LL", 16, 16))
        with pytest.raises(ImageError, match="AVIF of 16x16 pixels that holds [48],000,000"):
            open_image(small)
        for cut in range(0, len(data), 7):
            with pytest.raises(ImageError):
                open_image(data[:cut])


def test_an_animated_avif_shows_its_first_image() -> None:
    stream = io.BytesIO()
    images = [PIL.Image.new("RGB", (1200, 1000), (n, 90, 90)) for n in range(3)]
    images[0].save(stream, "AVIF", save_all=True, append_images=images[1:], speed=10)
    data = stream.getvalue()
    assert open_image(data).shape == (1000, 1200, 3)
    # The sizes of the track's header and of its samples.
    lying = data.replace(struct.pack(">HH", 1200, 1000), struct.pack(">HH", 16, 16))
    lying = lying.replace(struct.pack(">LL", 1200, 1000), struct.pack(">LL", 16, 16))
    lying = lying.replace(
        struct.pack(">LL", 1200 << 16, 1000 << 16), struct.pack(">LL", 1 << 20, 1 << 20)
    )
    with pytest.raises(ImageError):
        open_image(lying)


def test_a_hostile_avif_costs_little() -> None:
    """Items that all name the same bytes, and countless ones."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        return struct.pack(">L4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)

    head = box(b"ftyp", b"avif", bytes(4), b"avifmif1")
    for count in (2, 60_000):
        infos = [
            box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", n, 0, b"av01"), b"\0")
            for n in range(count)
        ]
        places = [struct.pack(">HHHLL", n, 0, 1, 0, 1 << 20) for n in range(count)]
        meta = box(
            b"meta",
            bytes(4),
            box(b"iinf", bytes(4), struct.pack(">H", count), *infos),
            box(b"iloc", b"\0\0\0\0\x44\0", struct.pack(">H", count), *places),
        )
        with pytest.raises(ValueError, match="overlap" if count == 2 else "too many"):
            list(coded_size._streams(memoryview(head + meta + bytes(1 << 20))))
