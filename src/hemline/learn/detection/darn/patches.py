"""Training patches: boxes of an image with the overlap that they are labelled with.

DARN, section 4.2: "the discretization of IoU on training patches, data augmentation, and hard
example mining". It gives no intervals; here they are tenths, drawn evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemline.data.boxes import overlaps
from hemline.learn.detection.darn.boxes import Floats

#: Intervals of the overlap: 0, 0.1, … 1.
LEVELS = 10
#: A box that overlaps a region to ignore by more than this isn't trained on.
UNCLEAR = 0.3


@dataclass(frozen=True, slots=True)
class Scene:
    """The marked garments of an image.

    Attributes:
        truths: (N, 4) boxes to find.
        ignored: (M, 4) boxes of hardly visible garments, neither positive nor negative.
    """

    truths: Floats
    ignored: Floats

    def targets(self, boxes: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """(K,) overlap with the nearest truth and its row; NaN and 0 where it is unclear."""
        if not len(self.truths):
            overlap, nearest = np.zeros(len(boxes)), np.zeros(len(boxes), np.int64)
        else:
            each = overlaps(boxes, self.truths)
            overlap, nearest = each.max(axis=1), each.argmax(axis=1).astype(np.int64)
        if len(self.ignored):
            near = overlaps(boxes, self.ignored).max(axis=1)
            overlap = np.where((near > UNCLEAR) & (near > overlap), np.nan, overlap)
        return overlap, nearest


def discretised(overlap: Floats) -> Floats:
    """The nearest of the levels."""
    return np.round(overlap * LEVELS) / LEVELS


def jittered(
    truths: Floats, count: int, width: int, height: int, rng: np.random.Generator
) -> Floats:
    """Each truth ``count`` times, shifted and scaled, from hardly at all to far away."""
    strength = rng.uniform(0, 0.45, (len(truths), count, 1))
    size = (truths[:, 2:] - truths[:, :2])[:, None]
    centre = ((truths[:, :2] + truths[:, 2:]) / 2)[:, None]
    centre = centre + rng.uniform(-1, 1, (len(truths), count, 2)) * strength * size
    size = size * np.exp(rng.uniform(-1, 1, (len(truths), count, 2)) * strength)
    limit = np.array([width, height], np.float64)
    low = np.clip(centre - size / 2, 0, limit - 2)
    high = np.maximum(np.minimum(centre + size / 2, limit), low + 1)
    return np.concatenate([low, high], axis=2).reshape(-1, 4)


def draw_patches(
    scene: Scene,
    proposals: Floats,
    width: int,
    height: int,
    per_level: int,
    rng: np.random.Generator,
) -> Floats:
    """(K, 4) patches of an image, as evenly over the levels of overlap as it has them.

    They are drawn from its proposals, its truths, and truths shifted and scaled (the augmentation
    that fills the high levels). The caller mirrors half of them.
    """
    pool = [proposals, scene.truths]
    if len(scene.truths):
        pool.append(jittered(scene.truths, 8 * per_level, width, height, rng))
    boxes = np.concatenate(pool)
    overlap, _ = scene.targets(boxes)
    level = np.round(overlap * LEVELS)
    chosen = []
    for one in range(LEVELS + 1):
        rows = np.flatnonzero(level == one)  # never NaN
        chosen.append(rng.permutation(rows)[:per_level])
    return np.asarray(boxes[np.concatenate(chosen)])
