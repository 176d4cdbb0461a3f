"""DeepFashion2's 294 landmarks → the manifest's eight, by category.

Source: Y. Ge, R. Zhang, L. Wu, X. Wang, X. Tang, P. Luo, "DeepFashion2", CVPR 2019, and figure 2 of
https://github.com/switchablenorms/DeepFashion2 (images/cls.jpg), which numbers each category's
landmarks. The figure shows garments from the front, so that its left is the wearer's right.

| ours | theirs |
|---|---|
| collar | where the neckline meets the shoulder seam (slings: the strap) |
| sleeve | the outer end of the cuff; none for vests and slings |
| waistline | the ends of the waistband; of dresses the waist on the side seam; none for tops |
| hem | the outer ends of the hem |
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hemline.datasets._json import number
from hemline.types import LANDMARKS, FloatArray


class Garment(NamedTuple):
    """A category, how many landmarks it has, and the numbers (from 1) of collar, sleeve, waistline
    and hem: the figure's left one and its right one; 0 where there is none."""

    name: str
    landmarks: int
    collar: tuple[int, int] = (0, 0)
    sleeve: tuple[int, int] = (0, 0)
    waistline: tuple[int, int] = (0, 0)
    hem: tuple[int, int] = (0, 0)


GARMENTS: dict[int, Garment] = {
    1: Garment("short sleeve top", 25, (2, 6), (9, 23), (0, 0), (15, 17)),
    2: Garment("long sleeve top", 33, (2, 6), (11, 29), (0, 0), (19, 21)),
    3: Garment("short sleeve outwear", 31, (4, 6), (9, 23), (0, 0), (15, 17)),
    4: Garment("long sleeve outwear", 39, (2, 6), (11, 29), (0, 0), (19, 21)),
    5: Garment("vest", 15, (2, 6), (0, 0), (0, 0), (10, 12)),
    6: Garment("sling", 15, (2, 6), (0, 0), (0, 0), (10, 12)),
    7: Garment("shorts", 10, (0, 0), (0, 0), (1, 3), (5, 9)),
    8: Garment("trousers", 14, (0, 0), (0, 0), (1, 3), (6, 12)),
    9: Garment("skirt", 8, (0, 0), (0, 0), (1, 3), (5, 7)),
    10: Garment("short sleeve dress", 29, (2, 6), (9, 27), (15, 21), (17, 19)),
    11: Garment("long sleeve dress", 37, (2, 6), (11, 33), (19, 25), (21, 23)),
    12: Garment("vest dress", 19, (2, 6), (0, 0), (10, 16), (12, 14)),
    13: Garment("sling dress", 19, (2, 6), (0, 0), (10, 16), (12, 14)),
}


def eight(kind: int, values: Any) -> FloatArray | None:
    """x, y, visibility (2 visible, 1 occluded, 0 unlabelled) of all of a garment's landmarks → ours
    (8, 3); None where they aren't as many as the category has."""
    garment = GARMENTS[kind]
    if not isinstance(values, list) or len(values) != 3 * garment.landmarks:
        return None
    marks = np.zeros((len(LANDMARKS), 3), np.float32)
    pairs = (garment.collar, garment.sleeve, garment.waistline, garment.hem)
    for part, (right, left) in enumerate(pairs):  # the figure's left is the wearer's right
        for slot, theirs in ((2 * part, left), (2 * part + 1, right)):
            if theirs:
                x, y, seen = (number(v) for v in values[3 * theirs - 3 : 3 * theirs])
                if seen in (1, 2) and x == x and y == y:
                    marks[slot] = x, y, seen
    return marks
