"""A condition that no product meets says why; every store says the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hemline.budget import limited
from hemline.catalog.store import Row, Store
from hemline.catalog.stores import STORES
from hemline.catalog.where.explain import explain
from hemline.catalog.where.expression import Where
from hemline.limits import QueryLimits

ROWS = [
    Row(
        image_id=f"/srv/{n}.jpg",
        item_id=f"SKU-{n}",
        embedding=np.eye(8, dtype=np.float32)[n],
        norm=1.0,
        category=("Dress", "Skirt")[n % 2],
        tags=("pattern=floral",) if n else (),
        columns={"price": 20.0 + n, "size": ["S", "M"], "note": "on request", "old": f"{n},50 €"}
        | ({"new": True} if n else {}),
    )
    for n in range(4)
]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = STORES[request.param].create(tmp_path, "print", 8)
    made.add(ROWS)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("category = 'dress'", ""),
        ("category = 'dres'", "no category is = 'dres'. Did you mean 'Dress'?"),
        ("category = 'dress' collate binary", "Did you mean 'Dress'?"),
        ("category in ('coat', 'hat') and price < 50", "no category is = 'coat' or 'hat'; values:"),
        ("price < 5", "no price is < 5; it holds numbers from 20 to 23"),
        ("price = 'cheap'", "no price is = 'cheap'; it holds numbers from 20 to 23"),
        ("note > 5", "note holds texts such as 'on request', and 5 is a number"),
        ("old > 5", "no old is > 5; its values: '0,50 €'"),
        ("old < 2.5", ""),
        ("'L' in size", "no size is = 'L'; values: 'M', 'S'"),
        ("'flroal' in tags", "no product has the tag 'flroal'. Did you mean 'floral'?"),
        ("'patern=floral' in tags", "Did you mean 'pattern=floral'?"),
        ("category like 'coat%'", "no category is like 'coat%'; values: 'Dress', 'Skirt'"),
        ("category like 'dress_'", "Did you mean 'Dress'?"),
        ("item_id = 'sku-1'", "Did you mean 'SKU-1'"),
        ("image_id = 'x'", "no image has such an image_id"),
        ("price is null", "price is nowhere without a value"),
        ("category = 'skirt' and item_id = 'SKU-0'", "some products meet each part"),
        ("not (price > 0)", "some products meet each part"),
        ("new and price < 21", "some products meet each part"),
        ("price > 30 or category = 'hat'", "no price is > 30; it holds numbers from 20 to 23; no"),
    ],
)
def test_it_says_why(store: Store, text: str, said: str) -> None:
    """Failed before: nothing was said."""
    found = explain(store, Where.parse(text, store.columns()))
    assert said in found
    assert bool(said) == bool(found)
    assert "\n" not in found
    assert "/srv" not in found


def test_the_answer_stands_without_it(store: Store) -> None:
    where = Where.parse("price < 5", store.columns())
    with limited(QueryLimits(work=1), float("inf")):
        assert explain(store, where) == ""
    with limited(QueryLimits(), 0.0):
        assert explain(store, where) == ""
