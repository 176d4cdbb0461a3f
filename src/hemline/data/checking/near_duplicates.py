"""Near duplicates: candidates by a perceptual hash, decided by matching keypoints.

A perceptual hash alone can't tell two white shirts on one red sheet from copies (measured in
``benchmarks/near_duplicates.py``). So the 64-bit hash and the colours only propose pairs; two
images are near duplicates if at least `POINTS` keypoints agree under one shift, rotation and scale.
Half a million images are bucketed, not compared pairwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hemline.data.images import open_image
from hemline.errors import ImageError

Ints = npt.NDArray[np.int64]

#: The hash is bucketed by four bands of 16 bits. If two hashes differ in at most 4n + 3 bits, one
#: band differs in at most n: n = 1 finds all pairs within seven bits, n = 2 within eleven, for 8
#: times the work. Up to this many images n is 2.
SMALL = 50_000
#: Largest mean difference of the Lab thumbnails (0-255) of a candidate pair.
COLOUR = 15.0
#: Keypoints that must agree. Chosen on real photos: see ``benchmarks/near_duplicates.py``.
POINTS = 40
#: Most images of a bucket, and most candidates of an image, that are considered.
BUCKET, PARTNERS = 2000, 8
#: Most pairs whose keypoints are compared: about half an hour of one core.
PAIRS = 200_000

_BITS = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)
_CHUNK = 4_000_000
_local = threading.local()


def close_pairs(
    hashes: npt.NDArray[np.uint64], flips: int = 1, bucket: int = BUCKET
) -> tuple[Ints, npt.NDArray[np.uint8], int]:
    """(N,) hashes → (P, 2) pairs i < j that differ in ``4 * flips + 3`` bits at most, their
    distance, and how many comparisons were left out because a bucket was too full.

    Exact where no bucket holds more than ``bucket``.
    """
    bands = np.stack([(hashes >> np.uint64(16 * b)).astype(np.uint16) for b in range(4)])
    masks = np.flatnonzero(flips >= _BITS).astype(np.uint16)
    found: list[Ints] = []
    far: list[npt.NDArray[np.uint8]] = []
    left_out = 0
    for band in range(4):
        order = np.argsort(bands[band], kind="stable")
        ends = np.cumsum(np.bincount(bands[band], minlength=1 << 16))
        starts = np.concatenate([[0], ends[:-1]])
        for mask in masks:
            value = bands[band] ^ mask
            full = ends[value] - starts[value]
            counts = np.minimum(full, bucket)
            left_out += int((full - counts).sum())
            edges = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum(), _CHUNK))
            for low, high in pairwise([*edges.tolist(), len(hashes)]):
                one, other = _expand(np.arange(low, high), starts[value], counts, order)
                kept = one < other
                one, other = one[kept], other[kept]
                bits = _BITS[bands[:, one] ^ bands[:, other]]
                distance = bits.sum(axis=0, dtype=np.uint8)
                kept = distance <= 4 * flips + 3
                if band:  # an earlier band has found it already
                    kept &= (bits[:band] > flips).all(axis=0)
                found.append(np.stack([one[kept], other[kept]], axis=1))
                far.append(distance[kept])
    if not found:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.uint8), left_out
    return np.concatenate(found), np.concatenate(far), left_out


def _expand(rows: Ints, starts: Ints, counts: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Pairs of each row with every member of its bucket."""
    many = counts[rows]
    one = np.repeat(rows, many)
    offset = np.arange(len(one)) - np.repeat(np.cumsum(many) - many, many)
    return one, order[np.repeat(starts[rows], many) + offset]


def candidates(
    hashes: npt.NDArray[np.uint64],
    colours: npt.NDArray[np.uint8],
    flips: int = 1,
    limit: int = PAIRS,
) -> tuple[Ints, int]:
    """(P, 2) candidate pairs: close in hash and colour, each image's `PARTNERS` closest, of
    these the ``limit`` closest; and the number of pairs left out, as very many images are alike.

    ``flips`` is that of `close_pairs`.
    """
    pairs, far, left_out = close_pairs(hashes, flips)
    near = np.ones(len(pairs), bool)
    for start in range(0, len(pairs), 100_000):
        some = pairs[start : start + 100_000]
        a, b = colours[some[:, 0]].astype(np.int16), colours[some[:, 1]].astype(np.int16)
        near[start : start + 100_000] = np.abs(a - b).mean(axis=1) <= COLOUR
    pairs, far = pairs[near], far[near]
    kept = np.zeros(len(pairs), bool)
    for side in (0, 1):
        order = np.lexsort((far, pairs[:, side]))
        owner = pairs[order, side]
        first = np.searchsorted(owner, owner)
        kept[order[np.arange(len(order)) - first < PARTNERS]] = True
    left_out += int((~kept).sum())
    pairs, far = pairs[kept], far[kept]
    if len(pairs) > limit:
        left_out += len(pairs) - limit
        pairs = pairs[np.argsort(far, kind="stable")[:limit]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], left_out


def is_near(points: int) -> bool:
    """Whether two images with so many agreeing keypoints are near duplicates."""
    return points >= POINTS


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
