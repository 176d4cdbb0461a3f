from __future__ import annotations

from pathlib import Path

import pytest

from helpers.colour_shop import make_colour_shop
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.types import Box, Hit
from hemline.views.hits import image_of, note_of, write_hits


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.create(tmp_path / "cat", Bundle.open(make_tiny_bundle(tmp_path / "bundle")))
    made.add(make_colour_shop(tmp_path / "shop", products=4))
    return made


def test_a_page_of_photos_and_hits(tmp_path: Path, catalog: Catalog) -> None:
    photo = tmp_path / "shop/p00_1.png"
    answer = Engine(catalog).search(photo, 3, Box(2, 2, 18, 20))
    none = Engine(catalog).search(photo, 3, where="category = 'none'")
    write_hits(tmp_path / "out/hits.html", catalog, [(photo, answer), (photo, none)])
    page = (tmp_path / "out/hits.html").read_text(encoding="utf-8")
    assert page.count('<section class="asked">') == 2
    assert page.count("<li") == 3
    assert page.count("data-heat=") == 3
    assert "no product is found" in page
    assert "among 4 products" in page
    catalog.close()


def test_a_lost_copy_does_not_hide_the_others(catalog: Catalog) -> None:
    row = next(iter(catalog.store.rows()))
    assert image_of(catalog, row).shape == (24, 20, 3)
    copy = catalog.image_path(row)
    assert copy is not None
    copy.write_bytes(b"damaged")
    assert image_of(catalog, row).shape == (8, 8, 3)
    assert image_of(catalog, None).shape == (8, 8, 3)
    catalog.close()


def test_a_note_has_the_price_where_there_is_one() -> None:
    assert note_of(Hit("a", "a", 0.5, 1, columns={"price": 1234.5})) == "1,234.50, score 0.500"
    assert note_of(Hit("a", "a", 0.5, 1, columns={"price": "ask"})) == "score 0.500"
