"""How far a photo's sides may be divided before it is searched."""

from __future__ import annotations

from hemline.data.preprocess import Preprocessing
from hemline.search.photo import reduction
from hemline.types import Box

TOWER = Preprocessing(size=192)


def test_a_phones_photo_is_decoded_at_a_quarter() -> None:
    assert 4 <= reduction(TOWER, None, False, 4032, 3024) < 8


def test_a_small_part_and_a_photo_to_detect_in_are_not_divided() -> None:
    assert reduction(TOWER, Box(0, 0, 500, 900), False, 4032, 3024) < 1
    assert reduction(TOWER, None, True, 4032, 3024) == 1
