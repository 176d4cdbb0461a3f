from __future__ import annotations

import pytest

from hemline.errors import UsageError
from hemline.types import Box


def test_a_box_reads_what_it_writes() -> None:
    assert Box.parse("1,2,30.5,40") == Box(1, 2, 30.5, 40)
    assert Box.parse(Box(1, 2, 30.5, 40).text()) == Box(1, 2, 30.5, 40)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "1,2,3,4,5"])
def test_words_that_are_no_box(text: str) -> None:
    with pytest.raises(UsageError, match="a box is x1,y1,x2,y2"):
        Box.parse(text)


@pytest.mark.parametrize("text", ["5,5,5,9", "9,1,2,3", "nan,0,1,1", "0,0,inf,1"])
def test_boxes_without_area(text: str) -> None:
    with pytest.raises(UsageError, match="no area"):
        Box.parse(text)


def test_clipping_keeps_what_is_inside() -> None:
    assert Box(-5, -5, 50, 400).clip(100, 80) == Box(0, 0, 50, 80)
    with pytest.raises(UsageError, match="no pixel of a picture of 100x80"):
        Box(200, 0, 300, 50).clip(100, 80)
