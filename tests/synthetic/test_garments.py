"""Labels of all garments: where they lie, what hides them, and that no picture changed."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from hemline.data.garments import KINDS, from_text, garments_of
from hemline.data.manifest import Manifest
from hemline.synthetic import SyntheticSettings, draw_product, draw_shop, draw_street, make_dataset
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.figure import Figure, rest_pose
from hemline.synthetic.ledger import Worn

SEED = 5
SIZE = 96
#: Of the pictures below, as they were before any garment but the product was labelled.
PICTURES = "24a9c9cac16e81df6279743c4bb66e9d6f794ba69b5d45ce6d2b5da7f671fbb9"


def square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], float)


def test_the_pictures_are_those_of_before() -> None:
    digest = hashlib.sha256()
    settings = SyntheticSettings(size=SIZE)
    for index in range(24):
        product = draw_product(SEED, index)
        digest.update(draw_shop(product, settings, SEED).image.tobytes())
        digest.update(draw_street(product, settings, SEED).image.tobytes())
    assert digest.hexdigest() == PICTURES


def test_what_hides_a_garment_is_counted() -> None:
    canvas = Canvas(np.zeros((100, 100, 3), np.uint8))
    shirt, skirt = Worn("shirt", "worn"), Worn("skirt", "worn")
    with canvas.ledger.drawing(shirt):
        canvas.fill(square(10, 10, 40), (9, 9, 9))
    with canvas.ledger.drawing(skirt):
        canvas.fill(square(10, 30, 40), (90, 9, 9))
    first, second = canvas.ledger.garments()
    assert (first.category, second.category) == ("shirt", "skirt")
    assert tuple(first.box) == (10, 10, 50, 50), "hidden parts are in the box"
    assert first.visible == pytest.approx(0.5, abs=0.03)
    assert second.visible == 1.0
    canvas.fill(square(10, 30, 40), (1, 1, 1))  # something that is no garment
    only = canvas.ledger.garments()
    assert [g.category for g in only] == ["shirt"], "a garment wholly hidden is none"


def test_boxes_are_cut_at_the_frame_and_mirrored() -> None:
    canvas = Canvas(np.zeros((50, 50, 3), np.uint8))
    with canvas.ledger.drawing(Worn("bag", "beside")):
        canvas.fill(square(40, 10, 20), (9, 9, 9))
    (bag,) = canvas.ledger.garments()
    assert tuple(bag.box) == (40, 10, 50, 30)
    assert bag.inside == pytest.approx(0.5)
    assert bag.visible == 1.0
    (mirrored,) = canvas.ledger.garments(flip=True)
    assert tuple(mirrored.box) == (0, 10, 10, 30)


def test_a_figure_says_whose_layers_are_whose() -> None:
    figure = Figure(rest_pose(), "bystander")
    with figure.wearing("coat", product=True):
        figure.add(2, lambda c: c.fill(square(0, 0, 30), (1, 2, 3)))
        figure.add(9, lambda c: c.fill(square(60, 0, 10), (1, 2, 3)))
    with figure.wearing("jeans"):
        figure.add(1, lambda c: c.fill(square(0, 20, 30), (3, 2, 1)))
    figure.add(5, lambda c: c.fill(square(0, 0, 15), (0, 0, 0)))
    canvas = Canvas(np.zeros((80, 80, 3), np.uint8))
    figure.draw(canvas)
    coat, jeans = canvas.ledger.garments()
    assert (coat.category, coat.role, tuple(coat.box)) == ("coat", "product", (0, 0, 70, 30))
    assert (jeans.category, jeans.role) == ("jeans", "bystander")
    assert coat.visible < 0.9
    assert jeans.visible == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize("index", range(0, 40, 3))
def test_the_product_is_the_first_and_has_the_rows_box(index: int) -> None:
    settings, product = SyntheticSettings(size=SIZE), draw_product(SEED, index)
    for draw in (draw_shop, draw_street):
        drawing = draw(product, settings, SEED)
        first, *others = drawing.garments
        assert (first.category, first.role) == (product.category, "product")
        np.testing.assert_allclose(first.box, drawing.box, atol=0.6)
        assert first.visible == pytest.approx(1 - drawing.disturbance["occlusion"], abs=0.03)
        assert first.inside == pytest.approx(1 - drawing.disturbance["crop"], abs=1e-3)
        for garment in others:
            assert garment.role in ("worn", "beside", "bystander")
            assert garment.category in KINDS
            x1, y1, x2, y2 = garment.box
            assert 0 <= x1 < x2 <= SIZE
            assert 0 <= y1 < y2 <= SIZE
            assert 0 < garment.visible <= 1


def test_everything_that_is_drawn_comes_up() -> None:
    settings = SyntheticSettings(size=SIZE)
    seen: set[tuple[str, str]] = set()
    for index in range(60):
        for draw in (draw_shop, draw_street):
            drawing = draw(draw_product(SEED, index), settings, SEED)
            seen |= {(g.role, KINDS[g.category]) for g in drawing.garments}
    for group in ("upper", "lower", "full"):
        assert ("product", group) in seen
    for group in ("upper", "lower", "footwear", "bag"):
        assert {("worn", group), ("bystander", group)} & seen
    assert ("beside", "upper") in seen


def test_the_manifest_holds_them_and_older_folders_still_grow(tmp_path) -> None:
    settings = SyntheticSettings(size=64)
    path = make_dataset(tmp_path / "d", 2, 1, settings, workers=1)
    for record in Manifest.read(path):
        found = garments_of(record)
        assert found is not None
        assert found[0].role == "product"
        np.testing.assert_allclose(found[0].box, record.box, atol=0.6)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["garments"]), path)  # as before the column
    make_dataset(tmp_path / "d", 3, 1, settings, workers=1)
    rows = list(Manifest.read(path))
    assert [garments_of(row) is None for row in rows] == [True] * 6 + [False] * 3
    assert from_text(rows[-1].extra["garments"])[0].category == rows[-1].category
