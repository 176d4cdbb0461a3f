from __future__ import annotations

import numpy as np
import pytest

from hemline.errors import UsageError
from hemline.limits import DEFAULT_K, MAX_FACETS, MAX_PHOTOS, MAX_RANK, MAX_WHERE
from hemline.types import Box, SearchRequest


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
    with pytest.raises(UsageError, match="no pixel of an image of 100x80"):
        Box(200, 0, 300, 50).clip(100, 80)


def test_a_request_checks_itself() -> None:
    request = SearchRequest(photos=["a.jpg"], boxes=["1,2,3,4"], where=" ", facets="a, b,")
    assert (request.photos, request.boxes) == (("a.jpg",), (Box(1, 2, 3, 4),))
    assert (request.k, request.where, request.facets) == (DEFAULT_K, None, ("a", "b"))
    image = np.zeros((2, 2, 3), np.uint8)
    assert SearchRequest(photos=image).photos[0] is image
    for wrong in (
        {},
        {"photos": ["a"], "item_id": "b"},
        {"photos": ["a"] * (MAX_PHOTOS + 1)},
        {"photos": ["a"], "boxes": [None, None]},
        {"photos": ["a"], "boxes": [(4, 4, 1, 1)]},
        {"item_id": "a", "k": 0},
        {"item_id": "a", "k": 2, "offset": MAX_RANK - 1},
        {"item_id": "a", "where": "x" * (MAX_WHERE + 1)},
        {"item_id": "a", "facets": ["x"] * (MAX_FACETS + 1)},
        {"item_id": "a", "colour": "red"},
    ):
        with pytest.raises(UsageError):
            SearchRequest.model_validate(wrong)
