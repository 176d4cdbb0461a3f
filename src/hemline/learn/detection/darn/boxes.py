"""Box regression: (N, 4) float64 boxes, xyxy in pixels, and the offsets between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hemline.types import Box

Floats = npt.NDArray[np.float64]


def as_boxes(boxes: Sequence[Box] | Floats) -> Floats:
    """(N, 4); (0, 4) for no boxes."""
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def offsets(boxes: Floats, goals: Floats) -> Floats:
    """(N, 4) dx, dy, dw, dh that move boxes onto goals (R-CNN, appendix C)."""
    size, goal = boxes[:, 2:] - boxes[:, :2], goals[:, 2:] - goals[:, :2]
    centre, target = (boxes[:, :2] + boxes[:, 2:]) / 2, (goals[:, :2] + goals[:, 2:]) / 2
    return np.concatenate([(target - centre) / size, np.log(goal / size)], axis=1)


def moved(boxes: Floats, by: Floats, width: int, height: int) -> Floats:
    """Boxes moved by `offsets` and clipped to the image; at least one pixel of each remains."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + by[:, :2] * size
    size = size * np.exp(np.clip(by[:, 2:], -2.0, 2.0))
    limit = np.array([width, height], np.float64)
    low = np.clip(centre - size / 2, 0, limit - 1)
    high = np.minimum(np.maximum(centre + size / 2, low + 1), limit)
    return np.concatenate([low, high], axis=1)
