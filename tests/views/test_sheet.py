from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline.data.images import open_image
from hemline.datasets import build
from hemline.evaluation.run import evaluate
from hemline.views.failures import failures, random_queries
from hemline.views.sheet import Row, Tile, write_page, write_sheet


def picture(value: int, height: int = 30, width: int = 20) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def rows() -> list[Row]:
    heat = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    hits = [
        Tile(picture(90), "<b>red dress</b>", "score 0.90", attention=heat),
        Tile(picture(120), "blue – coat", "score 0.80", right=True),
    ]
    return [Row(Tile(picture(30)), hits, "found at 2"), Row(Tile(picture(40)), [], "not found")]


def test_the_sheet_shows_the_right_answer_in_a_frame(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "new" / "sheet.png"
    write_sheet(path, rows, "A title that is far too long for a narrow sheet " * 5)
    sheet = open_image(path)
    green = (sheet == np.array([22, 128, 92])).all(-1)
    assert green.sum() > 2 * 168 * 4
    assert (sheet == 90).all(-1).any()


def test_the_page_is_self_contained_and_escapes(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "page.html"
    write_page(path, rows, "Photos & hits")
    text = path.read_text(encoding="utf-8")
    assert "Photos &amp; hits" in text
    assert "&lt;b&gt;red dress&lt;/b&gt;" in text
    assert "<b>red dress" not in text
    assert text.count("data:image/jpeg;base64,") == 4
    assert text.count("data:image/png;base64,") == 1
    assert text.count('class="right"') == 1
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text


def test_failures_show_the_right_product_first_and_stay_few(tmp_path: Path) -> None:
    data = make_colour_shop(tmp_path)
    (tmp_path / "p03_1.png").write_bytes(b"nothing")
    outcome = evaluate(ToyEncoder(), build("default", data)[0])
    failed = int((outcome.ranks > 1).sum())
    assert failed > 3
    found = failures([outcome], count=3)
    assert 1 <= len(found) <= 3
    for row in found:
        assert row.hits[0].right
        assert row.hits[0].note == "the right one"
        assert row.verdict.startswith("came as")


def test_random_queries_are_the_same_each_time_and_mark_the_right_hits(tmp_path: Path) -> None:
    data = make_colour_shop(tmp_path)
    outcome = evaluate(ToyEncoder(), build("default", data)[0])
    found, again = (random_queries([outcome], count=7, hits=3) for _ in range(2))
    assert [row.photo.title for row in found] == [row.photo.title for row in again]
    assert len(found) == 7
    items = dict(zip(outcome.items, outcome.protocol.relevant, strict=True))
    for row in found:
        assert len(row.hits) == 3
        for tile in row.hits:
            assert tile.right == (tile.title in items[row.photo.title])
        assert (row.verdict == "came as 1") == row.hits[0].right
    assert len(random_queries([outcome], count=1000)) == len(outcome.ranks)


def test_blocks_of_rows_stand_side_by_side(tmp_path: Path, rows: list[Row]) -> None:
    sheets = []
    for abreast in (1, 2):
        write_sheet(tmp_path / f"{abreast}.png", rows, "Hits", abreast=abreast)
        sheets.append(open_image(tmp_path / f"{abreast}.png"))
    tall, wide = sheets
    assert wide.shape[1] == 2 * tall.shape[1]
    assert wide.shape[0] < tall.shape[0]
    at = np.argwhere((wide == 40).all(-1))  # the second row's photo
    assert at[:, 1].min() >= tall.shape[1]
