"""Near duplicates: candidates by a perceptual hash, decided by matching keypoints.

A perceptual hash alone can't tell two white shirts on one red sheet from copies (measured in
``benchmarks/near_duplicates.py``). So the 64-bit hash and the colours only propose pairs; two
images are near duplicates if at least `POINTS` keypoints agree (`hemline.data.checking.keypoints`).
Half a million images are bucketed, not compared pairwise.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

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
