"""Exports of reviews join a catalogue as street rows; nothing is left out in silence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.errors import DataError, UsageError
from hemline.tagging import tag_manifest

JPEG = cv2.imencode(".jpg", np.full((8, 8, 3), 128, np.uint8))[1].tobytes()
READ = READERS["reviews"].read


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A shop of two products, and four photos of customers."""
    for path in ("shop/1.jpg", "shop/2.jpg", "in/a.jpg", "in/b.jpg", "in/c, d.jpg", "in/e.jpg"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(JPEG)
    (tmp_path / "in/empty.jpg").write_bytes(b"")
    (tmp_path / "shop/manifest.csv").write_text(
        "path,item_id,domain,category,split,title\n"
        "1.jpg,007,shop,dress,train,Red dress\n2.jpg,8,shop,skirt,test,Blue skirt\n"
    )
    return tmp_path


def test_reviews_of_csv(place: Path) -> None:
    (place / "in/reviews.csv").write_text(
        "product_id,photos,text,rating,title\n"
        '007,a.jpg;b.jpg,"Lovely, but green",5,Wow\n'
        '8,"c, d.jpg",,3,\n'
        "8,,no photo,1,\n"
        "9,e.jpg,unknown product,1,\n"
        "007,a.jpg,twice,4,\n"
        "007,gone.jpg|empty.jpg,missing,4,\n"
        "8,https://shop.example/x.jpg,address,4,\n"
    )
    made, report = READ(place / "in/reviews.csv", catalog=str(place / "shop"))
    assert len(made) == 5
    assert made[0].image_id == "1.jpg"
    first, last = made[2], made[4]
    assert first.item_id == "007"
    assert first.domain == "street"
    assert (first.category, first.split) == ("dress", "train")
    assert first.image_id == "a.jpg"
    assert first.extra["review_text"] == "Lovely, but green"
    assert (first.extra["review_title"], first.extra["review_rating"]) == ("Wow", 5)
    assert first.extra["title"] is None
    assert made[0].extra["review_text"] is None
    assert (last.item_id, last.split) == ("8", "test")
    assert [made.file(k).is_file() for k in range(5)] == [True] * 5
    assert (report.listed, report.found, report.missing, report.broken) == (5, 3, 1, 1)
    notes = " / ".join(report.notes)
    for text in (
        "taken by their names: item_id=product_id, path=photos, text=text",
        "3 customers' photos join 2 rows of the catalogue",
        "1 of 7 reviews have no photo",
        "1 reviews of 1 products that the catalogue hasn't are left out: '9'",
        "1 photos are web addresses",
        "1 photos stand twice",
    ):
        assert text in notes


def test_json_lines_an_array_and_parquet_say_the_same(place: Path) -> None:
    rows = [
        {"sku": 8, "photo": ["a.jpg", "b.jpg"], "words": "nice"},
        {"sku": "007", "photo": ["e.jpg"], "words": None, "more": {"x": 1}},
    ]
    (place / "in/r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (place / "in/r.json").write_text("\ufeff" + json.dumps(rows), encoding="utf-8")
    table = pa.table(
        {
            "sku": ["8", "007"],
            "photo": [["a.jpg", "b.jpg"], ["e.jpg"]],
            "words": ["nice", None],
            "more": [None, {"x": 1}],
        }
    )
    pq.write_table(table, place / "in/r.parquet")
    options = {"catalog": str(place / "shop"), "item_id": "sku", "path": "photo", "text": "words"}
    found = [READ(place / "in" / name, **options)[0] for name in ("r.jsonl", "r.json", "r.parquet")]
    for made in found:
        assert [r.item_id for r in made] == ["007", "8", "8", "8", "007"]
        assert [r.image_id for r in made][2:] == ["a.jpg", "b.jpg", "e.jpg"]
        assert made[2].extra["review_text"] == "nice"


def test_one_photo_of_two_products_and_an_empty_cell_s_numbers(place: Path) -> None:
    pq.write_table(
        pa.table({"item": [8.0, 8.0, None], "image": ["a.jpg", '["b.jpg", "e.jpg"]', "e.jpg"]}),
        place / "in/r.parquet",
    )
    made, _ = READ(place / "in/r.parquet", catalog=str(place / "shop"))
    assert [r.image_id for r in made][2:] == ["a.jpg", "b.jpg", "e.jpg"]
    (place / "in/r.csv").write_text("item,image\n8,1.jpg\n007,1.jpg\n")
    both, _ = READ(place / "in/r.csv", catalog=str(place / "shop"), images="../shop")
    assert [r.image_id for r in both][2:] == ["1.jpg#2", "1.jpg#3"]


@pytest.mark.parametrize(
    ("name", "text", "options", "error", "said"),
    [
        ("r.csv", "item,image\n8,a.jpg\n", {}, UsageError, "say which shop"),
        ("r.csv", "x,image\n8,a.jpg\n", None, UsageError, "which column of .* is the item_id"),
        ("r.csv", "item,image\n8,a.jpg\n", {"path": "imag"}, UsageError, "Did you mean 'image'"),
        ("r.csv", "item,image\n99,a.jpg\n", None, DataError, "no photo of a product.*'007', '8'"),
        ("r.csv", "item,image\n8,gone.jpg\n", None, DataError, "none of the 1 pictures"),
        ("r.csv", "item,image,a,review_a\n8,a.jpg,1,2\n", None, UsageError, "'review_a'; rename"),
        ("r.json", "{", None, DataError, "is no JSON"),
        ("r.json", "[1]", None, DataError, "holds no JSON objects"),
        ("r.jsonl", "", None, DataError, "holds no JSON objects"),
    ],
)
def test_what_is_wrong_is_told(
    place: Path, name: str, text: str, options: dict[str, str] | None, error: type, said: str
) -> None:
    (place / "in" / name).write_text(text)
    given = {"catalog": str(place / "shop"), **(options or {})} if options != {} else {}
    with pytest.raises(error, match=said):
        READ(place / "in" / name, **given)


def test_from_reviews_to_tags_on_the_command_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "in/r.csv").write_text("sku,photo,review\n007,a.jpg,A green midi dress\n")
    joined = place / "joined.parquet"
    line = ["data", "read", "reviews", str(place / "in/r.csv"), "-o", str(joined)]
    assert main([*line, f"catalog={place / 'shop'}"]) == 0
    assert "1 customers' photos join 2 rows" in capsys.readouterr().out
    made, report = tag_manifest(Manifest.read(joined))
    assert "review_text" in [c["column"] for c in report.columns]
    assert set(made[2].tags) == {"category=dress", "color=red", "length=midi"}
    assert Manifest.read(joined).file(2) == place / "in/a.jpg"
