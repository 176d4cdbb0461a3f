"""The feed's file, its columns, its cells; `test_sync` has what comes of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_map import (
    FeedMapping,
    find_columns,
    load,
    parse_pairs,
    read_mapping,
    save,
)
from hemline.data.amounts import Price, is_price, parse_price
from hemline.data.column_names import pieces
from hemline.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("value", "amount", "currency"),
    [
        ("19.99 EUR", 19.99, "EUR"),
        ("EUR 19,99", 19.99, "EUR"),
        ("€1.299,00", 1299.0, "EUR"),
        ("1,299.00 usd", 1299.0, "USD"),
        ("$5", 5.0, "USD"),
        ("1 299,50 zł", 1299.5, "PLN"),
        ("1'299.50 CHF", 1299.5, "CHF"),
        ("1,299", 1299.0, ""),
        ("12,5", 12.5, ""),
        ("1.299.000 IDR", 1299000.0, "IDR"),
        (12, 12.0, ""),
        ({"value": "9.90", "currency": "GBP"}, 9.9, "GBP"),
        ("-5.00 EUR", -5.0, "EUR"),
    ],
)
def test_prices_are_read(value: Any, amount: float, currency: str) -> None:
    assert parse_price(value) == Price(amount, currency)


@pytest.mark.parametrize(
    "value", ["", "cheap", "12 to 15 EUR", None, True, float("nan"), "1.2.3,4,5"]
)
def test_what_is_no_price_is_none(value: Any) -> None:
    assert parse_price(value) is None


def test_prices_are_known_by_their_names() -> None:
    assert [is_price(n) for n in ("price", "sale_price", "price_old", "pricey", "size")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_cells_with_several_pieces() -> None:
    assert pieces("a.jpg, b.jpg;c.jpg|d.jpg") == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert pieces(["a, b.jpg", {"src": "c.jpg"}, None]) == ["a, b.jpg", "c.jpg"]
    assert pieces(None) == pieces("  ") == []


def read(tmp_path: Path, name: str, text: str | bytes) -> Feed:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Feed.read(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_in_its_kinds(tmp_path: Path, delimiter: str) -> None:
    text = 'id,title\r\n1,"two\r\nlines"\r\n\r\n2,\r\n3\r\n4,x\r\n'.replace(",", delimiter)
    feed = read(tmp_path, "feed.csv", "\ufeff" + text)
    assert feed.columns == {"id": ["1", "2", "4"], "title": ["two\r\nlines", None, "x"]}
    assert [(bad.line, bad.reason) for bad in feed.bad] == [(6, "1 cells, where the header has 2")]
    packed = read(tmp_path, "feed.csv.gz", gzip.compress(text.encode()))
    assert packed.columns == feed.columns


def test_json_lines_in_their_kinds(tmp_path: Path) -> None:
    text = '\n{"id": 1, "a": "x"}\n[]\nnonsense\n{"id": 2, "b": [1]}\n'
    feed = read(tmp_path, "feed.jsonl", text)
    assert feed.columns == {"id": [1, 2], "a": ["x", None], "b": [None, [1]]}
    assert [bad.line for bad in feed.bad] == [3, 4]
    array = read(tmp_path, "feed.json", '[{"id": 1}, {"id": ""}]')
    assert array.columns == {"id": [1, None]}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("feed.jsonl", b'{"id": 1}\n{"id": ', "breaks off"),
        ("feed.json", b'[{"id": 1}, {"id"', "breaks off"),
        ("feed.csv", b"id,a\n1,2\n2", "breaks off"),
        ("feed.csv", b"", "is empty"),
        ("feed.csv", "id,a\né,2\n".encode("latin-1"), "is not UTF-8"),
        ("feed.csv.gz", gzip.compress(b"id,a\n" * 500, mtime=0)[:40], "breaks off"),
        ("feed.csv.gz", b"id,a\n1,2\n", "can't be unpacked"),
        ("feed.parquet", b"PAR1 but not whole", "can't be read as Parquet"),
        ("feed.yaml", b"id: 1", "neither CSV"),
    ],
)
def test_feeds_that_are_no_use(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, name, data)


def test_columns_are_known_by_their_names() -> None:
    names = ["g:ID", "Item Group ID", "Image Link", "additional_image_link", "image_10", "image_2",
             "product type", "Tags", "Domain", "Sale Price"]  # fmt: skip
    found = find_columns(names, FeedMapping(), "the feed")
    assert (found.id, found.group) == ("g:ID", "Item Group ID")
    assert found.images == ("Image Link", "additional_image_link", "image_2", "image_10")
    assert (found.category, found.tags) == (("product type",), ("Tags",))
    assert found.kept == {
        "product type": "product_type", "Domain": "feed_domain", "Sale Price": "sale_price",
    }  # fmt: skip


def test_what_is_said_goes_before_what_is_known() -> None:
    names = ["id", "sku", "image", "photo", "title", "html"]
    said = parse_pairs(["id=SKU", "images=photo", "name=title", "without=html"])
    found = find_columns(names, said, "the feed")
    assert (found.id, found.images) == ("sku", ("photo",))
    assert found.kept == {"id": "id", "image": "image", "title": "name"}
    with pytest.raises(UsageError, match="name is one column"):
        find_columns(names, parse_pairs(["name=title,html"]), "the feed")
    with pytest.raises(DataError, match="no column 'titel'.*'title'"):
        find_columns(names, parse_pairs(["name=titel"]), "the feed")


def test_a_mapping_is_kept(tmp_path: Path) -> None:
    said = parse_pairs(["id=Nr", "images=a,b", "without=c"]).changed(FeedMapping(images="/p"))
    save(tmp_path, said)
    assert load(tmp_path) == said
    assert load(tmp_path).changed(parse_pairs(["id=Neu"])).columns == {
        "id": ("Neu",), "images": ("a", "b"),
    }  # fmt: skip
    (tmp_path / "map.json").write_text('{"id": 3}')
    with pytest.raises(DataError, match="3 is neither a column nor a list of columns"):
        read_mapping(tmp_path / "map.json")


def test_pictures_are_found(tmp_path: Path) -> None:
    for name in ("pictures/a, b.jpg", "pictures/deep/c.jpg", "pictures/x y.jpg", "own.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    files = ImageFiles(tmp_path / "feed.csv", tmp_path / "pictures")
    assert [one.name for one in files.of_cell("a, b.jpg")] == ["a, b.jpg"]
    assert [one.name for one in files.of_cell("deep/c.jpg, own.jpg")] == ["deep/c.jpg", "own.jpg"]
    found = files.find("HTTPS://cdn.example/z/x%20y.jpg?w=3#top")
    assert (found.name, found.by_name) == ("x y.jpg", True)
    assert files.find("//cdn.example/c.jpg").name == "deep/c.jpg"
    assert files.find((tmp_path / "own.jpg").as_uri()).path == tmp_path / "own.jpg"
    assert files.find("lost.jpg").problem == "does not exist"
    assert "no file 'lost.jpg' lies in" in files.find("http://x/lost.jpg").problem
