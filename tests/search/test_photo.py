"""How far a photo's sides may be divided before it is searched."""

from __future__ import annotations

from hemline.data.preprocess import Preprocessing
from hemline.search.photo import reduction
from hemline.types import Box

TOWER = Preprocessing(size=192)


def test_large_photos_are_decoded_smaller() -> None:
    assert reduction(TOWER, None, False, 4032, 3024) >= 8
    assert 2 <= reduction(TOWER, None, False, 800, 600) < 4
    assert reduction(TOWER, None, False, 512, 341) < 2


def test_a_small_part_and_a_photo_to_detect_in_are_not_divided() -> None:
    assert reduction(TOWER, Box(0, 0, 500, 900), False, 4032, 3024) < 2
    assert reduction(TOWER, None, True, 4032, 3024) == 1
