"""Readers of real photos of garments, on tiny trees in their layout."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemline.datasets import READERS
from hemline.errors import DataError
from hemline.types import Box, Record

JPEG = cv2.imencode(".jpg", np.full((8, 8, 3), 128, np.uint8))[1].tobytes()


def plant(root: Path, *paths: str) -> None:
    """Small pictures at these paths."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(JPEG)


# --- clothing ------------------------------------------------------------------------------------


def test_clothing(tmp_path: Path) -> None:
    plant(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg")
    test = json.loads(
        resources.files("hemline.datasets").joinpath("clothing_splits.json").read_text("utf-8")
    )["test"][0]
    (tmp_path / "images.csv").write_text(
        f"image,sender_id,label,kids\na,204,T-Shirt,False\nb,{test},Not sure,True\ngone,204,Hat,\n"
    )
    manifest, report = READERS["clothing"].read(tmp_path)
    assert (report.listed, report.found, report.missing) == (3, 2, 1)
    assert report.notes[1] == "1 photos have no kind"
    assert manifest[0] == Record(
        image_id="images/a.jpg",
        path="images/a.jpg",
        item_id="a",
        domain="shop",
        split="train",
        category="t-shirt",
        tags=("category=t-shirt",),
        extra={"photographer": "204"},
    )
    assert (manifest[1].split, manifest[1].category) == ("test", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na,Hat\n", "lacks the column 'sender_id'"),
        ("image,sender_id,label\n../a,1,Hat\n", "line 2: '../a' names no image"),
        ("image,sender_id,label\n", "lists no images"),
    ],
)
def test_clothing_damaged(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "images.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        READERS["clothing"].read(tmp_path)


# --- co-parsing ----------------------------------------------------------------------------------


def test_co_parsing(tmp_path: Path) -> None:
    plant(tmp_path, "photos/0001.jpg")
    (tmp_path / "labels.txt").write_text("0 null\n14 dress\n39 shoes\n51 t-shirt\n")
    mask = np.zeros((100, 50), np.uint8)
    mask[20:80, 10:40] = 14
    mask[0, 0] = 14  # a speck
    mask[85:100, 10:40] = 39  # no garment
    mask[10:12, 10:12] = 51  # too small
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks/0001.png"), mask)
    manifest, _ = READERS["co-parsing"].read(tmp_path)
    assert len(manifest) == 1
    record = manifest[0]
    assert (record.item_id, record.domain, record.category) == ("0001-dress", "street", "dress")
    assert record.box == Box(10, 20, 40, 80)
    assert record.extra == {"mask": "masks/0001.png", "label": 14}


def test_co_parsing_damaged(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="holds no masks"):
        READERS["co-parsing"].read(tmp_path)
    (tmp_path / "masks/0001.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"labels of masks, .*labels.txt, can't be read"):
        READERS["co-parsing"].read(tmp_path)
    (tmp_path / "labels.txt").write_text("dress 14\n")
    with pytest.raises(DataError, match="line 1: 'dress 14'; expected 'number name'"):
        READERS["co-parsing"].read(tmp_path)
    (tmp_path / "labels.txt").write_text("14 dress\n")
    with pytest.raises(DataError, match=r"0001.png can't be read"):
        READERS["co-parsing"].read(tmp_path)
    cv2.imwrite(str(tmp_path / "masks/0001.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="has 3 axes"):
        READERS["co-parsing"].read(tmp_path)
    cv2.imwrite(str(tmp_path / "masks/0001.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="holds a garment"):
        READERS["co-parsing"].read(tmp_path)
