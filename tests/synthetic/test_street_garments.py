"""The boxes of a street photo that `benchmarks/detection_data.py` reads from its mask."""

from __future__ import annotations

import numpy as np
import pytest
from _street_garments import garments

from hemline.types import Box

LABELS = {0: "null", 1: "top", 2: "jeans", 3: "boots", 4: "heels", 5: "purse", 6: "tights"}


def test_a_box_for_each_garment_of_a_mask() -> None:
    mask = np.zeros((200, 100), np.uint8)
    mask[20:80, 30:70] = 1
    mask[80:150, 35:65] = 2
    mask[180:195, 30:40], mask[180:195, 60:70] = 3, 4  # one pair, whatever each shoe is called
    mask[90:100, 75:85] = 5
    mask[150:178, 40:60] = 6
    found = {g.category: g for g in garments(mask, LABELS)}
    assert {name: g.visible for name, g in found.items()} == {
        "blouse": 1.0,
        "jeans": 1.0,
        "footwear": 1.0,
        "bag": 1.0,
        "leggings": 0.0,  # tights are neither a garment to find nor background
    }
    assert found["blouse"].box == Box(30, 20, 70, 80)
    assert found["footwear"].box == Box(30, 180, 70, 195)


def test_who_is_dressed_anew_shows_less_of_the_old() -> None:
    mask = np.zeros((200, 100), np.uint8)
    mask[20:80, 30:70], mask[80:160, 30:70] = 1, 2
    left = mask.copy()
    left[25:100, 30:70] = 0
    found = {g.category: g for g in garments(left, LABELS, mask, {"top"})}
    assert found["blouse"].visible == 0.0
    assert found["jeans"].visible == pytest.approx(0.75)
    assert found["jeans"].box.y1 == 100
