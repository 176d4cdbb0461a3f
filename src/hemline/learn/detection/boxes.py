"""Arithmetic of many boxes at once: (N, 4) float64, xyxy in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hemline.types import Box

Floats = npt.NDArray[np.float64]


def as_boxes(boxes: Sequence[Box] | Floats) -> Floats:
    """(N, 4), also of none."""
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def intersection_over_union(first: Floats, second: Floats) -> Floats:
    """(N, 4), (M, 4) → (N, M) in [0, 1]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2)
    areas = np.prod(first[:, 2:] - first[:, :2], axis=1)[:, None]
    others = np.prod(second[:, 2:] - second[:, :2], axis=1)[None]
    union = areas + others - shared
    share: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


def suppress(boxes: Floats, scores: Floats, most: float) -> npt.NDArray[np.int64]:
    """Non-maximum suppression: rows that stay, best first; no two overlap by more than ``most``."""
    order = np.argsort(-scores, kind="stable")
    near = intersection_over_union(boxes[order], boxes[order]) > most
    free = np.ones(len(order), bool)
    kept = []
    for place in range(len(order)):
        if free[place]:
            kept.append(order[place])
            free &= ~near[place]
    return np.asarray(kept, np.int64)


def offsets(boxes: Floats, goals: Floats) -> Floats:
    """(N, 4) dx, dy, dw, dh that move boxes onto goals (R-CNN, appendix C)."""
    size, goal = boxes[:, 2:] - boxes[:, :2], goals[:, 2:] - goals[:, :2]
    centre, wanted = (boxes[:, :2] + boxes[:, 2:]) / 2, (goals[:, :2] + goals[:, 2:]) / 2
    return np.concatenate([(wanted - centre) / size, np.log(goal / size)], axis=1)


def moved(boxes: Floats, by: Floats, width: int, height: int) -> Floats:
    """Boxes after `offsets`, cut at a picture of so many pixels; at least one pixel stays."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + by[:, :2] * size
    size = size * np.exp(np.clip(by[:, 2:], -2.0, 2.0))
    limit = np.array([width, height], np.float64)
    low = np.clip(centre - size / 2, 0, limit - 1)
    high = np.minimum(np.maximum(centre + size / 2, low + 1), limit)
    return np.concatenate([low, high], axis=1)
