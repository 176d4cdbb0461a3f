"""Feeds, manifests, vocabularies and files that are made to break what reads them."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from helpers.small_shop import write_picture
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_map import read_mapping
from hemline.data.amounts import parse_price
from hemline.data.garments import from_text
from hemline.data.images import open_image, picture_size, read_bytes
from hemline.data.manifest import Manifest
from hemline.errors import DataError, ImageError
from hemline.runtime.bundle import Bundle
from hemline.tagging.vocabulary import read_vocabulary

GOOD = {"id": "1", "title": "a", "image_link": "a.jpg"}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def hostile_rows() -> list[str]:
    rows = [nested(900), nested(100_000), "9" * 400, "9" * 5000]
    return [f'{{"id": "2", "image_link": "b.jpg", "more": {value}}}' for value in rows]


@pytest.mark.parametrize("row", hostile_rows(), ids=["deep", "deeper", "wide", "wider"])
def test_a_hostile_json_row_is_a_bad_row(tmp_path: Path, row: str) -> None:
    file = tmp_path / "feed.jsonl"
    file.write_text("\n".join([row, json.dumps(GOOD)]))
    feed = Feed.read(file)
    assert len(feed) == 1
    assert [bad.line for bad in feed.bad] == [1]
    whole = tmp_path / "feed.json"
    whole.write_text(f"[{json.dumps(GOOD)}, {row}]")
    with pytest.raises(DataError, match="nested|digits|bits"):
        Feed.read(whole)


def test_a_price_of_a_thousand_digits_is_no_price() -> None:
    assert parse_price("9" * 1000) is None
    assert parse_price(10**400) is None


@pytest.mark.parametrize("text", [nested(100_000), f"[{'9' * 5000}]", f"[{'9' * 400}]"])
def test_other_json_of_outside_origin(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        from_text(text)
    (tmp_path / "mapping.json").write_text(f'{{"id": {text}}}')
    with pytest.raises(DataError, match="mapping"):
        read_mapping(tmp_path / "mapping.json")


def test_a_hostile_vocabulary(tmp_path: Path) -> None:
    for value in (f"0x{'f' * 3800}", "9" * 5000, nested(5000)):
        (tmp_path / "words.toml").write_text(f"format = 1\nx = {value}\n")
        with pytest.raises(DataError, match="TOML"):
            read_vocabulary(tmp_path / "words.toml")


# Files that are no regular ones


@pytest.fixture(params=["fifo", "socket", "device", "folder", "loop"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Something of this kind, which a manifest may name as an image."""
    path = tmp_path / "odd.jpg"
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "socket":
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path is short
        try:
            bound = socket.socket(socket.AF_UNIX)
            bound.bind("odd.jpg")
            bound.close()
        finally:
            os.chdir(here)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    return path


def test_only_regular_files_are_opened_as_images(odd: Path) -> None:
    for attempt in (read_bytes, open_image, picture_size):
        with pytest.raises(ImageError):
            attempt(odd)


def test_a_manifest_with_something_else_as_an_image(tmp_path: Path, odd: Path) -> None:
    write_picture(tmp_path / "a.jpg", 1)
    (tmp_path / "m.csv").write_text("path,item_id,domain\na.jpg,1,shop\nodd.jpg,2,shop\n")
    with Catalog.create(tmp_path / "shop", Bundle.open(make_tiny_bundle(tmp_path / "b"))) as shop:
        report = shop.add(Manifest.read(tmp_path / "m.csv"), workers=1)
        assert report.added == 1
        assert [skipped.path for skipped in report.skipped] == ["odd.jpg"]


def test_a_feed_with_something_else_as_an_image_or_as_the_feed(odd: Path) -> None:
    found = ImageFiles(odd.parent / "feed.csv").find("odd.jpg")
    assert found.path is None
    assert found.problem
    feed = odd.rename(odd.with_suffix(".csv"))
    with pytest.raises(DataError, match=r"odd\.csv"):
        Feed.read(feed)
    with pytest.raises(DataError, match=r"odd\.csv"):
        Manifest.read(feed)


def test_a_loop_of_links_as_the_folder_of_images(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert ImageFiles(loop / "feed.csv", loop).find("a.jpg").path is None
    with pytest.raises(DataError):
        Manifest.read(loop / "m.csv")


# What a feed of outside origin may name


def test_a_feed_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    for place in ("secret/a.jpg", "feed/in/b.jpg", "images/c.jpg"):
        write_picture(tmp_path / place, 1)
    outside = str(tmp_path / "secret/a.jpg")
    alone = ImageFiles(tmp_path / "feed/feed.csv")
    for text in (outside, f"file://{outside}", "../secret/a.jpg", "in/../../secret/a.jpg"):
        found = alone.find(text)
        assert found.path is None
        assert "outside" in found.problem
    assert alone.find("in/../in/b.jpg").name == "in/b.jpg"
    assert alone.find(str(tmp_path / "feed/in/b.jpg")).name == "in/b.jpg"
    named = ImageFiles(tmp_path / "feed/feed.csv", tmp_path / "images")
    assert named.find(str(tmp_path / "images/c.jpg")).name == "c.jpg"
    assert named.find("c.jpg").path == tmp_path / "images/c.jpg"
    assert named.find(outside).path is None
    assert named.find("../secret/a.jpg").path is None
