"""ILIAS: the core's folders, distractors, and mAP@1k."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.published import plant
from hemline.datasets import READERS, build
from hemline.errors import DataError, UsageError

READ = READERS["ilias"].read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    one, two = "ilias_core/bold_bimp_000", "ilias_core/bold_flep_001"
    plant(
        tmp_path,
        f"{one}/query/Q000_00.jpg", f"{one}/pos/P000_00.jpg", f"{one}/pos/P000_01.jpg",
        f"{two}/query/Q001_00.jpg", f"{two}/query/Q001_01.jpg", f"{two}/pos/P001_00.jpg",
        "yfcc100m/0001/aa.jpg", "yfcc100m/0002/bb.jpg",
    )  # fmt: skip
    (tmp_path / one / "query/Q000_00_bbox.txt").write_text("1 2 3 4\n")
    (tmp_path / one / "pos/P000_00_bbox.txt").write_text("0 1 2 2\n3 4 2 1\n")
    (tmp_path / one / "pos/P000_01_bbox.txt").write_text("3 4 0 1\n")
    (tmp_path / one / "query/T000.txt").write_text("a toy")
    kinds = {"product": {"toy": {"figure": ["bold_bimp_000"]}}, "art": {"print": {"poster": []}}}
    (tmp_path / "taxonomy.json").write_text(json.dumps(kinds))
    return tmp_path


def test_counts_boxes_and_kinds(root: Path) -> None:
    manifest, report = READ(root)
    assert (report.listed, report.found) == (8, 8)
    assert report.published == {
        "objects": (1_000, 2), "image queries": (1_232, 3), "positive images": (4_715, 3),
    }  # fmt: skip
    assert report.notes == ("2 distractors of 100,000,000",)
    rows = {record.image_id: record for record in manifest}
    first = rows["bold_bimp_000/query/Q000_00"]
    assert (first.box, first.domain, first.category) == ((1, 2, 4, 6), "street", "product/toy")
    assert rows["bold_bimp_000/pos/P000_00"].box == (0, 1, 5, 5)
    assert rows["bold_bimp_000/pos/P000_01"].box is None  # no area
    assert rows["bold_flep_001/pos/P001_00"].category == ""
    assert rows["yfcc100m/0001/aa.jpg"].item_id == "distractor/yfcc100m/0001/aa.jpg"


def test_queries_among_positives_and_distractors(root: Path) -> None:
    manifest, _ = READ(root)
    (made,) = build("ilias", manifest)
    assert made.measures == ("map@1000",)
    assert [manifest[int(row)].role for row in made.queries] == ["query"] * 3
    assert [manifest[int(row)].item_id.split("/")[0] for row in made.gallery] == [
        "bold_bimp_000", "bold_bimp_000", "bold_flep_001", "distractor", "distractor",
    ]  # fmt: skip
    assert made.unmatched == 0
    assert "2 distractors here, 100,000,000 published" in made.choices["published_counts"]
    assert {entry.metric for entry in made.published} == {"map@1000"}


def test_damaged(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        READ(root, distractors="none")
    (root / "taxonomy.json").write_text('{"product": ["toy"]}')
    with pytest.raises(DataError, match="isn't ILIAS's taxonomy"):
        READ(root)
    (root / "taxonomy.json").unlink()
    assert "there is no taxonomy.json; the rows have no category" in READ(root)[1].notes
    (root / "ilias_core/bold_bimp_000/query/Q000_00_bbox.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match="line 1: expected x y width height"):
        READ(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="OBJECT/query"):
        READ(tmp_path / "empty")
