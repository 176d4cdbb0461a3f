"""Exact Street2Shop: the published format and each of its traps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.published import street2shop
from hemline.datasets import READERS
from hemline.errors import DataError
from hemline.types import Box, Record

READ = READERS["street2shop"].read


def test_counts_first_and_last(tmp_path: Path) -> None:
    manifest, report = READ(street2shop(tmp_path))
    assert (report.listed, report.found, report.missing, report.broken) == (9, 8, 1, 0)
    assert report.published == {
        "shop photos": (404_683, 3),
        "street photos": (20_357, 3),
        "pairs": (39_479, 5),
        "categories": (11, 2),
    }
    assert manifest[0] == Record(
        image_id="000000003",
        path="000000003.png",
        item_id="bags/10",
        domain="street",
        category="bags",
        box=Box(7, 6, 12, 14),
        split="test",
        extra={"url": "http://street.example/3.jpg"},
    )
    last = manifest[-1]
    assert (last.image_id, last.path) == ("000000002#2", "dresses/2.JPEG")
    assert (last.item_id, last.domain, last.split) == ("dresses/11", "shop", "")
    assert report.examples == (str(tmp_path.resolve() / "images/000000009.jpg"),)


def test_products_are_told_apart_by_category(tmp_path: Path) -> None:
    manifest, _ = READ(street2shop(tmp_path))
    assert {"bags/10", "dresses/10"} <= set(manifest.column("item_id"))


def test_a_photo_of_several_products_has_several_rows(tmp_path: Path) -> None:
    manifest, _ = READ(street2shop(tmp_path))
    rows = [(r.image_id, r.item_id) for r in manifest if r.path == "4.webp"]
    assert rows == [("000000004", "dresses/11"), ("000000004#2", "dresses/12")]


def test_a_box_without_width(tmp_path: Path) -> None:
    manifest, report = READ(street2shop(tmp_path))
    row = next(r for r in manifest if r.image_id == "000008288")
    assert row.box is None
    assert any("1 street photos whose box lacks a side" in note for note in report.notes)


def test_shop_rows_of_training_products_only(tmp_path: Path) -> None:
    """Product 10 is named by training pairs alone; 11 by both, so its picture has no split."""
    manifest, _ = READ(street2shop(tmp_path))
    split = {r.item_id: r.split for r in manifest if r.domain == "shop"}
    assert split == {"bags/10": "", "dresses/10": "train", "dresses/11": ""}


def test_an_address_keeps_its_commas(tmp_path: Path) -> None:
    manifest, _ = READ(street2shop(tmp_path))
    urls = {r.image_id: r.extra["url"] for r in manifest}
    assert urls["000000001"] == "http://shop.example/1.jpg?a=1,b=2"


def test_other_places(tmp_path: Path) -> None:
    root = street2shop(tmp_path)
    (root / "photos").mkdir()
    (root / "photos.txt").rename(root / "photos/photos.txt")
    (root / "meta/json").rename(root / "json")
    (root / "images").rename(root / "pictures")
    manifest, _ = READ(root, images="pictures")
    assert len(manifest) == 8
    assert len(READ(root)[0]) == 8
    with pytest.raises(DataError, match="no picture is named by a photo's number"):
        READ(root, images="json")
    (root / "photos/photos.txt").unlink()
    manifest, report = READ(root, images="pictures")
    assert "there is no photos.txt; the rows have no url" in report.notes


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('[{"photo": "x", "product": 1}]', "1 entries of retrieval_bags.json name no photo"),
        ('[7, null, {"photo": true, "product": 1}]', "3 entries of retrieval_bags.json"),
        ('[{"photo": -1, "product": 1}, {"photo": 1e30, "product": 1}]', "2 entries"),
    ],
)
def test_wrong_entries_are_told(tmp_path: Path, text: str, note: str) -> None:
    root = street2shop(tmp_path)
    (root / "meta/json/retrieval_bags.json").write_text(text)
    _, report = READ(root)
    assert any(note in told for told in report.notes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("meta/json/test_pairs_bags.json", "{}", "holds no list"),
        ("meta/json/test_pairs_bags.json", "[", "is no JSON"),
        ("meta/json/test_pairs_bags.json", "[" * 100_000, "nested too deeply"),
        ("photos.txt", "one,http://a\n", "line 1"),
    ],
)
def test_damaged(tmp_path: Path, name: str, text: str, message: str) -> None:
    root = street2shop(tmp_path)
    (root / name).write_text(text)
    with pytest.raises(DataError, match=message):
        READ(root)


def test_without_lists(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train_pairs_CATEGORY.json"):
        READ(tmp_path)


def test_a_photo_number_as_text(tmp_path: Path) -> None:
    root = street2shop(tmp_path)
    entries: list[dict[str, Any]] = [{"photo": "000000002", "product": "10"}]
    (root / "meta/json/retrieval_bags.json").write_text(json.dumps(entries))
    manifest, _ = READ(root)
    assert any(r.item_id == "bags/10" and r.domain == "shop" for r in manifest)
