"""DeepFashion In-Shop: the published format and each of its traps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from helpers.published import BLOUSE, DENIM, INSHOP_BOXES, INSHOP_PARTS, inshop, write_list
from hemline.datasets import READERS
from hemline.errors import DataError
from hemline.types import Box, Record

READ = READERS["inshop"].read


def test_counts_first_and_last(tmp_path: Path) -> None:
    manifest, report = READ(inshop(tmp_path))
    assert (report.listed, report.found, report.missing, report.broken) == (5, 5, 0, 0)
    assert report.published == {
        "images": (52_712, 5),
        "items": (7_982, 2),
        "train": (25_882, 2),
        "query": (14_218, 1),
        "gallery": (12_612, 2),
        "train items": (3_997, 1),
    }
    first, last = manifest[0], manifest[-1]
    # From Python 3.13 on an array is compared even with itself.
    assert replace(first, landmarks=None) == Record(
        image_id=f"{BLOUSE}/02_1_front.jpg",
        path="WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg",
        item_id="id_00000001",
        domain="shop",
        category="WOMEN/Blouses_Shirts",
        box=Box(50, 49, 208, 205),
        split="train",
        extra={
            "group": "upper",
            "pose": "front",
            "variation": "normal pose",
            "description": "A blouse. Lightweight",
        },
    )
    assert (last.image_id, last.role, last.split) == (
        f"{DENIM}/01_7_additional.jpg",
        "gallery",
        "test",
    )
    assert (last.extra["pose"], last.extra["group"]) == ("stand-alone", "lower")
    assert last.landmarks is None
    assert manifest.column("role").tolist() == ["", "", "query", "gallery", "gallery"]
    assert manifest.column("split").tolist() == ["train"] * 2 + ["test"] * 3
    assert manifest.column("pose").tolist()[1:4] == ["back", "front", "side"]
    assert set(manifest.column("domain")) == {"shop"}
    assert manifest.column("description").tolist()[2:] == [""] * 3


def test_left_is_the_wearers_from_behind_too(tmp_path: Path) -> None:
    manifest, _ = READ(inshop(tmp_path))
    front, back = manifest[0].landmarks, manifest[1].landmarks
    assert front is not None
    assert back is not None
    assert front[0].tolist() == [144, 52, 2]
    assert front[1].tolist() == [115, 57, 2]
    assert front[2].tolist() == [177, 91, 1]
    assert front[6].tolist() == [0, 0, 0]
    assert back[0].tolist() == [115, 57, 2]
    assert back[3].tolist() == [177, 91, 1]


def test_the_large_pictures(tmp_path: Path) -> None:
    """Boxes are for a square of 256 with the picture in its middle; these are 750 by 1101."""
    manifest, report = READ(inshop(tmp_path, size=(750, 1101), folder=""))
    assert any("scaled to each picture" in note for note in report.notes)
    box, scale = manifest[0].box, 1101 / 256
    shift = (256 - 750 / scale) / 2
    assert box is not None
    wanted = [(50 - shift) * scale, 49 * scale, (208 - shift) * scale, 205 * scale]
    assert list(box) == pytest.approx(
        [max(0, wanted[0]), wanted[1], min(750, wanted[2]), wanted[3]]
    )
    marks = manifest[0].landmarks
    assert marks is not None
    assert marks[1].tolist() == pytest.approx([(115 - shift) * scale, 57 * scale, 2], rel=1e-6)
    assert marks[6].tolist() == [0, 0, 0]


def test_a_picture_without_box(tmp_path: Path) -> None:
    root = inshop(tmp_path)
    write_list(root / "Anno/list_bbox_inshop.txt", "header", INSHOP_BOXES[1:])
    manifest, report = READ(root)
    assert manifest[-1].box is None
    assert manifest[-1].extra["pose"] == ""
    assert manifest[2].box == Box(65, 55, 206, 210)
    assert any(note.startswith("1 pictures have no box, group and pose") for note in report.notes)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "Eval/list_eval_partition.txt",
            [INSHOP_PARTS[0].replace("train", "dev")],
            "none of train",
        ),
        ("Eval/list_eval_partition.txt", ["img/a.jpg id_00000001 train"], "names no picture"),
        ("Eval/list_eval_partition.txt", ["a b"], "expected 3"),
        ("Anno/list_bbox_inshop.txt", [INSHOP_BOXES[0].replace(" 2 6", " 2 7")], "pose type '7'"),
    ],
)
def test_damaged(tmp_path: Path, name: str, rows: list[str], message: str) -> None:
    root = inshop(tmp_path)
    write_list(root / name, "header", rows)
    with pytest.raises(DataError, match=message):
        READ(root)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    root = inshop(tmp_path)
    (root / "Anno/list_description_inshop.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        READ(root)
    (root / "Anno/list_description_inshop.json").unlink()
    (root / "Anno/list_landmarks_inshop.txt").unlink()
    manifest, report = READ(root)
    assert "description" not in manifest.names
    assert any("no landmarks" in note for note in report.notes)
    (root / "Anno/list_bbox_inshop.txt").unlink()
    with pytest.raises(DataError, match="has no list_bbox_inshop.txt, nor have its folders"):
        READ(root)
