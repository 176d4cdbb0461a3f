"""Decoding within a memory: asked for before, given back after, and enough for each format."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hemline.data.bounded import PIXEL_BYTES, opened
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
