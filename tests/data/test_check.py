"""The check finds each planted fault, and nothing in a sound manifest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemline.data.check import CheckReport, check_manifest
from hemline.data.manifest import Manifest
from hemline.types import Box, Record


def draw(root: Path, name: str, colour: int, side: int = 40) -> None:
    cv2.imwrite(str(root / name), np.full((side, side + 8, 3), colour, np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k in range(6):
        draw(tmp_path, f"{k}.png", 20 * k)
    return tmp_path


def findings(report: CheckReport) -> dict[str, int]:
    return {n: v for n, v in report.to_json().items() if n.endswith("_count") and v}


def test_a_sound_manifest(root: Path) -> None:
    records = [
        Record("", "0.png", "a", "street", tags=("colour=red", "collar=v")),
        Record("", "1.png", "a", "shop", tags=("colour=red",)),
        Record("", "2.png", "b", "street", tags=("colour=blue",), box=Box(0, 0, 48, 40)),
        Record("", "2.png", "a", "street", box=Box(0, 0, 20, 20)),
        Record("", "3.png", "b", "shop", split="test"),
    ]
    seen: list[tuple[int, int]] = []
    report = check_manifest(
        Manifest.from_records(records, root), 2, progress=lambda *done: seen.append(done)
    )
    assert findings(report) == {}
    assert report.constant_tags == []
    assert (report.rows, report.files, report.items) == (5, 4, 2)
    assert report.domains == {"street": 3, "shop": 2}
    assert report.splits == {"": 4, "test": 1}
    assert report.sides == [40, 40, 40]
    assert seen == [(k + 1, 4) for k in range(4)]


def test_every_fault(root: Path) -> None:
    (root / "same.png").write_bytes((root / "0.png").read_bytes())
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    draw(root, "tiny.png", 9, 10)
    records = [
        Record("", "0.png", "a", "street", tags=("kind=top", "new=yes"), split="train"),
        Record("", "same.png", "b", "shop", tags=("kind=top",), split="test"),
        Record("", "1.png", "a", "shop", box=Box(0, 0, 60, 30)),
        Record("", "broken.jpg", "b", "street"),
        Record("", "gone.png", "b", "street"),
        Record("", "tiny.png", "c", "street"),
        Record("", "2.png", "d", "shop"),
    ]
    report = check_manifest(Manifest.from_records(records, root))
    assert findings(report) == {
        "broken_count": 2,
        "duplicates_count": 1,
        "two_items_count": 1,
        "two_splits_count": 1,
        "boxes_outside_count": 1,
        "tiny_count": 1,
        "street_only_count": 1,
        "shop_only_count": 1,
    }
    assert [one["path"] for one in report.broken] == ["broken.jpg", "gone.png"]
    assert report.broken[1]["reason"] == "does not exist"
    assert "truncated" in report.broken[0]["reason"]
    assert report.duplicates == [["0.png", "same.png"]]
    assert report.two_items == [{"rows": [1, 2], "items": ["a", "b"]}]
    assert report.two_splits == [{"rows": [1, 2], "splits": ["test", "train"]}]
    assert report.boxes_outside == [3]
    assert (report.tiny, report.street_only, report.shop_only) == (["tiny.png"], ["c"], ["d"])
    assert report.constant_tags == ["kind=top"]


def test_pixels_are_limited(root: Path) -> None:
    manifest = Manifest.from_records([Record("", "0.png", "a", "shop")], root)
    report = check_manifest(manifest, max_pixels=100)
    assert "more than the 100 allowed" in report.broken[0]["reason"]
