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
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2)
    size_a = np.prod(a[:, 2:] - a[:, :2], axis=1)[:, None]
    size_b = np.prod(b[:, 2:] - b[:, :2], axis=1)[None]
    whole = np.broadcast_to(size_a, shared.shape) if own else size_a + size_b - shared
    share: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return share


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
    kinds = np.asarray(classes)[order]
    shared = overlaps(values[order], values[order])
    rival = (shared > overlap) & (kinds[:, None] == kinds[None])
    alive = np.ones(len(order), bool)
    for k in range(len(order)):
        if alive[k]:
            alive[k + 1 :] &= ~rival[k, k + 1 :]
    kept: npt.NDArray[np.int64] = order[alive].astype(np.int64)
    return kept
