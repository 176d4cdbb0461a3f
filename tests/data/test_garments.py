"""The column of all garments, and what a shop's words for categories mean."""

from __future__ import annotations

import pytest

from hemline.data.garments import (
    GROUPS,
    KINDS,
    Garment,
    from_text,
    garments_of,
    group_of,
    kind_of,
    to_text,
)
from hemline.errors import DataError
from hemline.synthetic.categories import CATEGORIES
from hemline.types import Box, Record


def test_text_and_back() -> None:
    given = (
        Garment("shirt", Box(1.25, 2, 30.5, 40), 0.5, 0.75, "product"),
        Garment("Überwurf", Box(0, 0, 5, 5)),
    )
    assert from_text(to_text(given)) == given
    assert from_text("[]") == ()
    short = from_text('[{"category": "bag", "box": [1, 2, 3, 4]}]')
    assert short == (Garment("bag", Box(1, 2, 3, 4), 1.0, 1.0, ""),)


@pytest.mark.parametrize(
    "text",
    [
        "shirt",
        "{}",
        '["shirt"]',
        '[{"box": [0, 0, 1, 1]}]',
        '[{"category": "bag", "box": [3, 0, 1, 1]}]',
        '[{"category": "bag", "box": [0, 0, 1]}]',
        '[{"category": "bag", "box": [0, 0, 1, 1], "visible": 2}]',
    ],
)
def test_a_cell_that_cannot_be_read_is_told(text: str) -> None:
    if text == "{}":
        assert from_text(text) == ()
        return
    with pytest.raises(DataError, match=r"row 3: the column 'garments' holds .* category and box"):
        from_text(text, "row 3")


def test_of_a_record() -> None:
    plain = Record("a", "a.jpg", "i", "street")
    assert garments_of(plain) is None
    cell = to_text([Garment("coat", Box(0, 0, 4, 4))])
    found = garments_of(Record("a", "a.jpg", "i", "street", extra={"garments": cell}))
    assert found is not None
    assert found[0].category == "coat"


def test_every_drawn_category_is_a_kind_of_its_own_group() -> None:
    for name, cut in CATEGORIES.items():
        assert KINDS[name] == cut.group
        assert kind_of(name) == name
    assert set(KINDS.values()) == set(GROUPS)


@pytest.mark.parametrize(
    ("word", "kind", "group"),
    [
        ("T-Shirt", "t-shirt", "upper"),
        ("tee", "t-shirt", "upper"),
        ("Longsleeve", "t-shirt", "upper"),
        ("Outwear", "jacket", "upper"),
        ("Men's Denim Jackets", "jacket", "upper"),
        ("women/dresses", "dress", "full"),
        ("Pants", "trousers", "lower"),
        ("jeans", "jeans", "lower"),
        ("sneakers", "footwear", "footwear"),
        ("Handbags", "bag", "bag"),
        ("rompers_jumpsuits", "jumpsuit", "full"),
        ("shorts", "shorts", "lower"),
        ("garment", "", ""),
        ("", "", ""),
        ("upper", "", "upper"),
    ],
)
def test_a_shops_words(word: str, kind: str, group: str) -> None:
    assert kind_of(word) == kind
    assert group_of(word) == group
