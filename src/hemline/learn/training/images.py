"""Resized images of a manifest, decoded once and cached in memory up to a limit."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hemline.data.images import crop, open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing, square
from hemline.errors import ImageError, UsageError
from hemline.progress import Advance, no_advance
from hemline.types import Box, FloatArray, Image, Record


class ImageCache:
    """(size, size, 3) uint8 squares by manifest row, cropped to the box and resized.

    Args:
        boxes: crop to a row's box where it has one.
        size: side in pixels, the spec's by default.
        cache_mb: memory for squares; what doesn't fit is read each time.

    Attributes:
        skipped: row → why its image can't be used; such a row gives None.
    """

    def __init__(
        self,
        manifest: Manifest,
        spec: Preprocessing,
        *,
        boxes: bool = True,
        size: int | None = None,
        cache_mb: int = 2048,
    ) -> None:
        self.manifest, self.spec, self.boxes = manifest, spec, boxes
        self.size = size or spec.size
        self.skipped: dict[int, str] = {}
        self._capacity = cache_mb * 1_000_000 // (self.size * self.size * 3)
        self._kept: dict[int, Image] = {}
        self._landmarks: dict[int, FloatArray] = {}

    def __getitem__(self, row: int) -> Image | None:
        kept = self._kept.get(row)
        if kept is not None:
            return kept
        if row in self.skipped:
            return None
        try:
            square = self._read(self.manifest[row], row)
        except (ImageError, UsageError) as error:
            self.skipped[row] = str(error)
            return None
        if len(self._kept) < self._capacity:
            self._kept[row] = square
        return square

    def fill(self, rows: Iterable[int], advance: Advance = no_advance) -> None:
        """Reads images ahead of time, up to the limit of the cache."""
        missing = [row for row in dict.fromkeys(rows) if row not in self._kept]
        missing = missing[: max(0, self._capacity - len(self._kept))]
        with ThreadPoolExecutor(2) as pool:
            for done, _ in enumerate(pool.map(self.__getitem__, missing), 1):
                advance(done, len(missing))

    def landmarks(self, row: int) -> FloatArray:
        """(8, 3) in the square's pixels; zeros where the row has none. Read the image first."""
        return self._landmarks.get(row, np.zeros((8, 3), np.float32))

    def _read(self, record: Record, row: int) -> Image:
        image = open_image(self.manifest.file(row))
        left = top = 0.0
        if self.boxes and record.box is not None:
            box = record.box.clip(image.shape[1], image.shape[0])
            image = crop(image, box)
            left, top = float(int(box.x1)), float(int(box.y1))
        if record.landmarks is not None:
            height, width = image.shape[:2]
            self._landmarks[row] = _placed(
                record.landmarks, Box(left, top, left + width, top + height), self.size, self.spec
            )
        return square(image, self.spec, self.size)


def _placed(points: FloatArray, box: Box, size: int, spec: Preprocessing) -> FloatArray:
    """Landmarks in pixels of the image → in pixels of the square that shows ``box``."""
    width, height = box.width, box.height
    left, top = box.x1, box.y1
    if spec.resize == "pad":
        side = max(width, height)
        left, top = left - (side - width) // 2, top - (side - height) // 2
        width = height = side
    placed = np.asarray(points, np.float32).copy()
    placed[:, 0] = (placed[:, 0] - left) * (size / width)
    placed[:, 1] = (placed[:, 1] - top) * (size / height)
    outside = ((placed[:, :2] < 0) | (placed[:, :2] >= size)).any(axis=1)
    placed[outside | (placed[:, 2] == 0)] = 0
    return placed


def channel_statistics(
    images: ImageCache, rows: Iterable[int], limit: int = 2000
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of R, G, B in [0, 1] over at most ``limit`` images, evenly."""
    rows = list(rows)
    step = max(1, -(-len(rows) // limit))
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for row in rows[::step]:
        square = images[row]
        if square is not None:
            pixels = square.reshape(-1, 3).astype(np.float64) / 255
            total += pixels.sum(axis=0)
            squares += (pixels**2).sum(axis=0)
            count += len(pixels)
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 1e-6))
    low, high = mean.round(4).tolist(), deviation.round(4).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
