"""Cuts garments out of street photos without masks: a box and GrabCut, which begins at the mean
mask that garments of the same group have in their boxes in photos with masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from hemline.data.garments import group_of
from hemline.synthetic.curves import Array
from hemline.types import Box

#: The longer side of the part that GrabCut works on; the side of a mean mask.
_WORK, _MEAN = 160, 64
#: Pixels that fewer, or more, of the group's masks hold are background, or garment, at once.
_NEVER, _ALWAYS = 0.2, 0.8
#: Room around the box, as a share of its sides, where GrabCut sees background.
_ROOM = 0.2
#: A cut-out has between these shares of the pixels that its group's mean mask has.
_AREA = (0.5, 1.5)
#: Least masks of a group whose mean is used.
_LEAST = 3

Shapes = Mapping[str, Array]


def mean_shapes(masks: Iterable[tuple[str, Array]]) -> Shapes:
    """Group → (64, 64) float32, how many of its garments hold each place of their box, 0 to 1.

    Args:
        masks: category and (h, w) bool within the box, of each garment.
    """
    of_group: dict[str, list[Array]] = {}
    for category, mask in masks:
        side = (_MEAN, _MEAN)
        small = cv2.resize(mask.astype(np.float32), side, interpolation=cv2.INTER_AREA)
        of_group.setdefault(group_of(category), []).append(small)
    return {
        group: np.mean(found, axis=0) for group, found in of_group.items() if len(found) >= _LEAST
    }


def framed(photo: Array, box: Box, shape: Array) -> Array | None:
    """The garment within a box, or None where it can't be told from the rest.

    Args:
        photo: (H, W, 3) uint8 RGB.
        box: of the garment, in the photo's pixels.
        shape: of `mean_shapes`, of the garment's group.

    Returns:
        (h, w) bool within the box, whose corners are rounded down to whole pixels.
    """
    height, width = photo.shape[:2]
    x1, y1, x2, y2 = (int(value) for value in box)
    if min(x2 - x1, y2 - y1) < 16:
        return None
    more = int(_ROOM * (x2 - x1)), int(_ROOM * (y2 - y1))
    left, top = max(0, x1 - more[0]), max(0, y1 - more[1])
    part = photo[top : min(height, y2 + more[1]), left : min(width, x2 + more[0])]
    likely = np.zeros(part.shape[:2], np.float32)
    inner = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    likely[inner] = cv2.resize(shape, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    scale = _WORK / max(part.shape[:2])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    found = _cut(
        cv2.resize(part, size, interpolation=cv2.INTER_AREA),
        cv2.resize(likely, size, interpolation=cv2.INTER_LINEAR),
    )
    if found is None:
        return None
    cut = cv2.resize(found, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)[inner] > 0.5
    share = float(cut.mean()) / max(float(shape.mean()), 1e-6)
    return cut if _AREA[0] <= share <= _AREA[1] else None


def _cut(part: Array, likely: Array) -> Array | None:
    """(h, w) float32, 1 where GrabCut finds the garment."""
    mask = np.where(likely > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[likely > _ALWAYS], mask[likely < _NEVER] = cv2.GC_FGD, cv2.GC_BGD
    if not {cv2.GC_BGD, cv2.GC_PR_FGD} <= set(np.unique(mask).tolist()):
        return None
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(part, mask, (0, 0, 1, 1), models[0], models[1], 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(found)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    piece: Array = (pieces == largest).astype(np.float32)
    return piece
