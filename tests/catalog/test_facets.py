from __future__ import annotations

import pytest

from hemline.catalog.facets import facet_columns
from hemline.errors import UsageError


def test_duplicates_are_left_out_and_the_order_stays() -> None:
    names = ["tags.color", "price", "tags", "price"]
    assert facet_columns(names, ["price"], ["color"]) == ["tags.color", "price", "tags"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tags.colour", "no tag 'colour' to count. Did you mean 'tags.color'?"),
        ("colour", "no column 'colour' to count. Did you mean 'tags.color'?"),
        ("prise", "no column 'prise' to count. Did you mean 'price'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        facet_columns([name], ["price"], ["color", "pattern"])
    assert str(caught.value).startswith(message)


def test_a_catalogue_without_tags_says_so() -> None:
    with pytest.raises(UsageError, match="Tags: none"):
        facet_columns(["tags.color"], [], [])
