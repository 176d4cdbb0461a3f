"""The check finds each planted fault, and nothing in a sound manifest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemline.data.checking.check import CheckReport, check_manifest
from hemline.data.checking.findings import KINDS
from hemline.data.manifest import Manifest
from hemline.types import Box, Record
from hemline.views.check_page import write_page


def draw(root: Path, name: str, seed: int, side: int = 128) -> np.ndarray:
    """A picture full of details of its own, 8 pixels wider than high."""
    coarse = np.random.default_rng(seed).integers(0, 255, (side // 8, side // 8, 3), np.uint8)
    picture = cv2.resize(coarse, (side + 8, side), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(root / name), picture)
    return np.asarray(picture)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k in range(6):
        draw(tmp_path, f"{k}.png", k)
    return tmp_path


def counts(report: CheckReport) -> dict[str, int]:
    return {one.name: one.count for one in report.findings}


def example(report: CheckReport, name: str) -> dict[str, object]:
    (found,) = (one for one in report.findings if one.name == name)
    return found.examples[0]


def test_a_sound_manifest(root: Path) -> None:
    records = [
        Record("", "0.png", "a", "street", tags=("colour=red", "collar=v")),
        Record("", "1.png", "a", "shop", tags=("colour=red",)),
        Record("", "2.png", "b", "street", tags=("colour=blue",), box=Box(0, 0, 136, 128)),
        Record("", "2.png", "a", "street", box=Box(0, 0, 20, 20)),
        Record("", "3.png", "b", "shop", split="test"),
    ]
    seen: list[tuple[int, int]] = []
    report = check_manifest(
        Manifest.from_records(records, root), 2, progress=lambda *done: seen.append(done)
    )
    assert counts(report) == {}
    assert (report.rows, report.files, report.items) == (5, 4, 2)
    assert report.domains == {"street": 3, "shop": 2}
    assert report.splits == {"": 4, "test": 1}
    assert report.sides == [128, 128, 128]
    assert seen == [(k + 1, 4) for k in range(4)]


def test_every_fault_of_rows_and_files(root: Path) -> None:
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    draw(root, "tiny.png", 9, 16)
    cv2.imwrite(str(root / "strip.png"), draw(root, "x.png", 8)[:30].repeat(2, axis=1))
    marks = np.zeros((8, 3), np.float32)
    marks[0] = [120, 120, 2]
    marks[1] = [120, 120, 1]
    tags = ("kind=top",)
    records = [
        Record("", "0.png", "a", "street", "tops", tags=("kind=top", "new=yes"), split="train"),
        Record("", "1.png", "a", "shop", "tops", box=Box(0, 0, 160, 30), tags=tags),
        Record("", "2.png", "a", "shop", "tops", box=Box(5, 5, 60, 60), landmarks=marks, tags=tags),
        Record("", "3.png", "a", "shop", "", box=Box(5, 5, 60, 12), tags=tags),
        Record("", "broken.jpg", "b", "street", "tops", tags=tags),
        Record("", "gone.png", "b", "street", "tops", tags=tags),
        Record("", "tiny.png", "c", "street", "tops"),
        Record("", "strip.png", "d", "shop", "tops"),
    ]
    report = check_manifest(Manifest.from_records(records, root))
    assert counts(report) == {
        "broken": 2,
        "boxes_outside": 1,
        "boxes_tiny": 1,
        "landmarks_outside": 1,
        "street_only": 2,
        "missing_category": 1,
        "tiny": 2,
        "odd_shape": 1,
        "constant_tags": 1,
        "rare_tags": 1,
        "shop_only": 1,
    }
    assert list(counts(report)) == [name for name in KINDS if name in counts(report)]
    assert example(report, "broken")["paths"] == ["broken.jpg"]
    assert "truncated" in str(example(report, "broken")["reason"])
    assert example(report, "boxes_outside") == {
        "paths": ["1.png"], "items": ["a"], "rows": [2], "reason": "24 pixels outside"
    }  # fmt: skip
    assert example(report, "landmarks_outside")["reason"] == "1 of 1 visible"
    assert example(report, "odd_shape")["reason"] == "9.1 times as long as wide"
    assert example(report, "constant_tags") == {"tag": "kind=top"}
    assert example(report, "rare_tags") == {"tag": "new=yes", "reason": "1 rows"}


def test_same_pictures_are_leaks_two_items_and_copies(root: Path) -> None:
    (root / "same.png").write_bytes((root / "0.png").read_bytes())
    picture = cv2.imread(str(root / "1.png"))
    assert picture is not None
    cv2.imwrite(str(root / "again.bmp"), picture)
    records = [
        Record("", "0.png", "a", "street", split="train"),
        Record("", "same.png", "b", "shop", split="test"),
        Record("", "1.png", "a", "shop", split="train"),
        Record("", "again.bmp", "a", "shop", split="train"),
        Record("", "3.png", "b", "street", split="test"),
    ]
    report = check_manifest(Manifest.from_records(records, root))
    assert counts(report) == {"leak_same": 1, "two_items": 1, "across_domains": 1, "copies": 2}
    assert example(report, "leak_same")["splits"] == ["test", "train"]
    assert example(report, "two_items")["items"] == ["a", "b"]
    reasons = {one["reason"] for f in report.findings for one in f.examples if "reason" in one}
    assert reasons == {"2 files, the same bytes", "2 files, other bytes, the same pixels"}


def test_nearly_the_same_pictures_are_found_across_items_splits_and_domains(root: Path) -> None:
    for k in range(4):
        picture = cv2.imread(str(root / f"{k}.png"))
        assert picture is not None
        smaller = cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(root / f"near{k}.jpg"), np.clip(smaller * 0.9 + 12, 0, 255))
    records = [
        Record("", "0.png", "a", "shop", split="train"),
        Record("", "near0.jpg", "a", "shop", split="test"),
        Record("", "1.png", "a", "shop", split="train"),
        Record("", "near1.jpg", "b", "shop", split="train"),
        Record("", "2.png", "a", "street", split="train"),
        Record("", "near2.jpg", "a", "shop", split="train"),
        Record("", "3.png", "b", "street", split="train"),
        Record("", "near3.jpg", "b", "street", split="train"),
    ]
    report = check_manifest(Manifest.from_records(records, root))
    assert counts(report) == {
        "leak_near": 1, "near_items": 1, "across_domains": 1, "near_copies": 1
    }  # fmt: skip
    assert example(report, "leak_near")["paths"] == ["0.png", "near0.jpg"]
    assert example(report, "near_items")["items"] == ["a", "b"]
    assert report.compared >= 4


def test_look_alikes_are_not_the_same(tmp_path: Path) -> None:
    """White shirts on one plain sheet, each with a print of its own: the hashes are close."""
    records = []
    for k in range(12):
        picture = np.full((160, 160, 3), (60, 20, 160), np.uint8)
        cv2.rectangle(picture, (40, 30), (120, 140), (240, 240, 240), -1)
        rng = np.random.default_rng(k)
        for _ in range(6):
            x, y = rng.integers(60, 100, 2)
            cv2.circle(picture, (int(x), int(y)), int(rng.integers(2, 7)), (40, 40, 40), 1)
        cv2.imwrite(str(tmp_path / f"{k}.png"), picture)
        records.append(Record("", f"{k}.png", f"i{k}", "shop"))
    report = check_manifest(Manifest.from_records(records, tmp_path))
    assert report.compared > 10
    assert report.count("near_items") == 0


def test_pixels_are_limited(root: Path) -> None:
    manifest = Manifest.from_records([Record("", "0.png", "a", "shop")], root)
    report = check_manifest(manifest, max_pixels=100)
    assert "more than the 100 allowed" in str(example(report, "broken")["reason"])


def test_the_page_holds_the_worst_with_pictures(root: Path) -> None:
    (root / "same.png").write_bytes((root / "0.png").read_bytes())
    records = [
        Record("", "0.png", "<b>", "shop", split="train"),
        Record("", "same.png", "c & d", "shop", split="test"),
    ]
    manifest = Manifest.from_records(records, root)
    write_page(check_manifest(manifest), manifest, root / "out/page.html")
    page = (root / "out/page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 6  # leak, two items, copies: two each
    assert "Pictures in training and in val or test at once: 1" in page
    assert "What to do:" in page
    assert "&lt;b&gt; · c &amp; d" in page
    assert "<b>;" not in page
