"""The picture opener on spoilt pictures, bombs and banners: a picture, or one error; no more."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from helpers.fuzz_pictures import attempt, bombs, encode, png_of, samples
from hemline.data.images import open_image
from hemline.errors import ImageError

#: Cases here; `benchmarks/fuzz.py` runs more.
CASES = 1500
BOMBS = bombs()


@pytest.mark.parametrize("kind", samples())
def test_every_sample_opens_whole(kind: str) -> None:
    assert open_image(samples()[kind]).shape == (40, 60, 3)


def test_every_case_ends_well(tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    for seed in range(CASES):
        try:
            ends[attempt(seed, tmp_path)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert ends["opened"] + ends["refused"] == CASES
    assert min(ends["opened"], ends["refused"]) > CASES // 20


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(ImageError, match="pixels, more than|scans|truncated (BMP|AVIF)"):
        open_image(BOMBS[name], name="bomb")
    assert time.perf_counter() - begun < 30  # a refusal, not a decoding


def test_sides_that_are_told_twice() -> None:
    """A canvas of 1x1 around a picture of 16,383 by 16,383 is refused."""
    plain = bytearray(samples()["webp"])
    plain[26:30] = b"\xff\x3f\xff\x3f"
    head = b"VP8X" + (10).to_bytes(4, "little") + bytes(10)
    size = (len(plain) - 8 + len(head)).to_bytes(4, "little")
    both = b"RIFF" + size + b"WEBP" + head + bytes(plain[12:])
    with pytest.raises(ImageError, match="damaged or truncated WebP"):
        open_image(both)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("size", [(30_000, 40), (40, 30_000)])
def test_banners_open(kind: str, size: tuple[int, int]) -> None:
    image = open_image(encode(Pillow.new("RGB", size, (250, 10, 10)), kind))
    assert image.shape == (size[1], size[0], 3)
    assert np.abs(image[0, 0].astype(int) - (250, 10, 10)).max() < 8


def test_many_frames_are_one_picture() -> None:
    first = Pillow.new("P", (20, 20), 1)
    more = [Pillow.new("P", (20, 20), k % 250) for k in range(400)]
    gif = encode(first, "GIF", save_all=True, append_images=more, optimize=False)
    begun = time.perf_counter()
    assert open_image(gif).shape == (20, 20, 3)
    assert time.perf_counter() - begun < 30  # a refusal, not a decoding


def test_memory_stays_within_the_pixels_allowed(tmp_path: Path) -> None:
    """Twelve million clear pixels from a file of 50 kB, and every bomb, in a process of its own."""
    (tmp_path / "0.png").write_bytes(png_of(4000, 3000, 6))
    for number, data in enumerate(BOMBS.values(), 1):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from hemline.data.images import open_many\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak(); files = sorted(Path(sys.argv[1]).iterdir())\n"
        "good = sum(not isinstance(r, Exception) for _, r in open_many(files, 1))\n"
        "print(good, len(files), peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    good, files, grown = map(int, done.stdout.split())
    assert (good, files) == (1, len(BOMBS) + 1)
    assert grown < 300  # MiB: 12 million pixels are 48 as BGRA and 36 as RGB
