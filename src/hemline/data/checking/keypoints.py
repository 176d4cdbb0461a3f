"""Keypoints that two images share, by OpenCV's SIFT: it needs ``pip install 'hemline[synthetic]'``.

Imported where images are compared, and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hemline.data.checking.near_duplicates import POINTS
from hemline.data.images import open_image
from hemline.errors import ImageError

_local = threading.local()


class Matcher:
    """Counts agreeing keypoints; caches those of recent images. Thread-safe."""

    def __init__(self, keep: int = 512) -> None:
        self._keypoints: Callable[[Path], Any] = lru_cache(keep)(_keypoints)

    def points(self, one: Path, other: Path) -> int:
        """Keypoints that agree under one shift, rotation and scale; 0 if a file can't be opened.

        Images with few keypoints count as `POINTS` if half of them and at least eight agree.
        """
        a, b = self._keypoints(one), self._keypoints(other)
        if a is None or b is None or min(len(a[0]), len(b[0])) < 8:
            return 0
        similarity = a[1] @ b[1].T
        best = similarity.argmax(axis=1)
        rows = np.arange(len(best))
        first = similarity[rows, best]
        mutual = similarity.argmax(axis=0)[best] == rows
        similarity[rows, best] = -1.0
        second = similarity.max(axis=1)
        # Ratio test on Euclidean distances of unit vectors: d1 < 0.8 d2.
        clear = mutual & (1.0 - first < 0.64 * (1.0 - second))
        if clear.sum() < 6:
            return 0
        _, inside = cv2.estimateAffinePartial2D(
            a[0][clear], b[0][best[clear]], method=cv2.RANSAC, ransacReprojThreshold=4.0
        )
        agree = 0 if inside is None else int(inside.sum())
        few = min(len(a[0]), len(b[0]))
        return max(agree, POINTS) if agree >= 8 and agree >= 0.5 * few else agree


def _keypoints(file: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]] | None:
    """Up to 400 SIFT keypoints of an image at 256 pixels: (K, 2) places, (K, 128) unit vectors."""
    try:
        picture = open_image(file)
    except ImageError:
        return None
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = 256 / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    if not hasattr(_local, "sift"):
        module: Any = cv2
        _local.sift = module.SIFT_create(400)
    points, vectors = _local.sift.detectAndCompute(
        cv2.resize(grey, size, interpolation=cv2.INTER_AREA), None
    )
    if vectors is None:
        return None
    places = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    unit = np.sqrt(vectors / (vectors.sum(axis=1, keepdims=True) + 1e-9))
    return places, np.asarray(unit, np.float32)
