"""Arrays of boxes: intersection over union, and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hemline.types import Box

__all__ = ["overlaps", "suppress"]

Floats = npt.NDArray[np.float64]


def overlaps(
    first: Sequence[Box] | npt.ArrayLike, second: Sequence[Box] | npt.ArrayLike, own: bool = False
) -> Floats:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4); with ``own`` over the first one's
    area. A box without area has no overlap."""
    a = np.asarray(first, np.float64).reshape(-1, 4)
    b = np.asarray(second, np.float64).reshape(-1, 4)
    size_a = ((a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]))[:, None]
    size_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    # One axis after the other: an (N, M, 2) array takes seven times as long.
    shared = _shared(a[:, 0], a[:, 2], b[:, 0], b[:, 2])
    shared *= _shared(a[:, 1], a[:, 3], b[:, 1], b[:, 3])
    whole = np.broadcast_to(size_a, shared.shape) if own else size_a + size_b - shared
    share: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return share


def _shared(low: Floats, high: Floats, other_low: Floats, other_high: Floats) -> Floats:
    """Length (N, M) that the spans (N,) and (M,) share."""
    length = np.minimum(high[:, None], other_high)
    length -= np.maximum(low[:, None], other_low)
    return np.maximum(length, 0.0, out=length)


def suppress(
    boxes: npt.ArrayLike, scores: npt.ArrayLike, classes: npt.ArrayLike, overlap: float
) -> npt.NDArray[np.int64]:
    """Non-maximum suppression within each class: indices of the boxes kept, best score first.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,).
        classes: (N,) whole numbers; boxes of different classes don't suppress each other.
        overlap: a box that overlaps a better one of its class by more than this is suppressed.
    """
    values = np.asarray(boxes, np.float64).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    kinds, ranked = np.asarray(classes)[order], values[order]
    alive = np.ones(len(order), bool)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        rival = overlaps(ranked[own], ranked[own]) > overlap
        left = np.ones(len(own), bool)
        for k in range(len(own)):
            if left[k]:
                left[k + 1 :] &= ~rival[k, k + 1 :]
        alive[own] = left
    kept: npt.NDArray[np.int64] = order[alive].astype(np.int64)
    return kept
