"""DeepFashion2: the published format, its 294 landmarks in our eight slots, its traps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.published import deepfashion2, garment, plant
from hemline.datasets import READERS
from hemline.datasets._deepfashion2_marks import GARMENTS, eight
from hemline.errors import DataError
from hemline.types import Box

READ = READERS["deepfashion2"].read


def test_counts_first_and_last(tmp_path: Path) -> None:
    manifest, report = READ(deepfashion2(tmp_path))
    assert (report.listed, report.found, report.missing, report.broken) == (6, 6, 0, 0)
    assert report.published == {
        "train images": (191_961, 3),
        "validation images": (32_153, 1),
    }
    first, last = manifest[0], manifest[-1]
    assert (first.image_id, first.path) == ("train/image/000001.jpg",) * 2
    assert (first.item_id, first.domain, first.split) == ("1/1", "street", "train")
    assert first.category == "short sleeve top"
    assert first.box == Box(10, 20, 110, 220)
    assert first.extra == {"style": 1, "scale": 3, "occlusion": 1, "zoom_in": 1, "viewpoint": 2}
    assert (last.image_id, last.item_id, last.split) == (
        "validation/image/000001.jpg",
        "7/1",
        "val",
    )
    assert (last.category, last.domain) == ("sling dress", "street")
    assert manifest.column("image_id").tolist() == [
        "train/image/000001.jpg",
        "train/image/000001.jpg#2",
        "train/image/000002.jpg",
        "train/image/000003.jpg",
        "train/image/000003.jpg#2",
        "validation/image/000001.jpg",
    ]


def test_only_a_style_above_zero_matches(tmp_path: Path) -> None:
    manifest, _ = READ(deepfashion2(tmp_path))
    assert manifest.column("item_id").tolist() == [
        "1/1",
        "1/0/train-000001-2",
        "1/1",
        "1/2",
        "1/0/train-000003-2",
        "7/1",
    ]


def test_visibility_is_ours_already(tmp_path: Path) -> None:
    """2 visible, 1 occluded, 0 not labelled; landmark 9 is the cuff on the wearer's right."""
    manifest, _ = READ(deepfashion2(tmp_path))
    marks = manifest[0].landmarks
    assert marks is not None
    assert marks.tolist() == [
        [6, 106, 2], [2, 102, 2], [0, 0, 0], [9, 109, 1],
        [0, 0, 0], [0, 0, 0], [17, 117, 2], [15, 115, 2],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "slots"),
    [
        (1, [6, 2, 23, 9, 0, 0, 17, 15]),
        (2, [6, 2, 29, 11, 0, 0, 21, 19]),
        (3, [6, 4, 23, 9, 0, 0, 17, 15]),
        (4, [6, 2, 29, 11, 0, 0, 21, 19]),
        (5, [6, 2, 0, 0, 0, 0, 12, 10]),
        (6, [6, 2, 0, 0, 0, 0, 12, 10]),
        (7, [0, 0, 0, 0, 3, 1, 9, 5]),
        (8, [0, 0, 0, 0, 3, 1, 12, 6]),
        (9, [0, 0, 0, 0, 3, 1, 7, 5]),
        (10, [6, 2, 27, 9, 21, 15, 19, 17]),
        (11, [6, 2, 33, 11, 25, 19, 23, 21]),
        (12, [6, 2, 0, 0, 16, 10, 14, 12]),
        (13, [6, 2, 0, 0, 16, 10, 14, 12]),
    ],
)
def test_landmarks_of_each_category(kind: int, slots: list[int]) -> None:
    count = GARMENTS[kind].landmarks
    marks = eight(kind, garment(kind, 1, count)["landmarks"])
    assert marks is not None
    assert marks[:, 0].tolist() == slots
    assert marks[:, 1].tolist() == [100 + k if k else 0 for k in slots]
    assert eight(kind, garment(kind, 1, count + 1)["landmarks"]) is None


def test_there_are_294_landmarks() -> None:
    assert sum(one.landmarks for one in GARMENTS.values()) == 294


def test_one_split_is_enough(tmp_path: Path) -> None:
    root = deepfashion2(tmp_path)
    (root / "validation").rename(root / "later")
    manifest, report = READ(root)
    assert set(manifest.column("split")) == {"train"}
    assert set(report.published) == {"train images"}
    (root / "train").rename(root / "gone")
    with pytest.raises(DataError, match="neither train/annos nor validation/annos"):
        READ(root)


def change(root: Path, **fields: Any) -> None:
    file = root / "train/annos/000002.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    ("fields", "found", "note"),
    [
        ({"pair_id": None}, 5, "without source (user, shop) or pair_id"),
        ({"source": "web"}, 5, "without source (user, shop) or pair_id"),
        ({"item1": {}}, 5, "garments without category_id (1-13) or style"),
        ({"item1": 3}, 5, "annotations that hold no garments"),
        ({"item1": garment(14, 1, 8)}, 5, "garments without category_id (1-13) or style"),
        ({"item1": garment(1, 1, 8)}, 6, "landmarks aren't those of their category"),
        ({"item1": garment(1, 1, 25, bounding_box=[9, 9, 9, 20])}, 6, "box has no area"),
        ({"item1": garment(1, 1, 25, bounding_box=[1, 1, 1e300, 20])}, 6, "box has no area"),
        ({"item1": garment(1, 1, 25, bounding_box="x")}, 6, "box has no area"),
        ({"item1": garment(1, 1, 25, bounding_box=[None, 1, True, "2"])}, 6, "box has no area"),
    ],
)
def test_wrong_annotations_are_told(
    tmp_path: Path, fields: dict[str, Any], found: int, note: str
) -> None:
    root = deepfashion2(tmp_path)
    change(root, **fields)
    manifest, report = READ(root)
    assert len(manifest) == found
    told = [text for text in report.notes if note in text]
    assert len(told) == 1
    assert told[0].startswith("1 ")
    assert "train/000002.json" in told[0]


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{", "\ud83d", "[1]", '{"a": 1e999}', "7"])
def test_annotations_that_are_none(tmp_path: Path, text: str) -> None:
    root = deepfashion2(tmp_path)
    (root / "train/annos/000002.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    manifest, report = READ(root)
    assert len(manifest) == 5
    assert any("000002.json" in note for note in report.notes)


def test_an_item_in_both_splits_is_told(tmp_path: Path) -> None:
    root = deepfashion2(tmp_path)
    found = {"source": "user", "pair_id": 1, "item1": garment(1, 1, 25)}
    (root / "validation/annos/000009.json").write_text(json.dumps(found))
    plant(root, "validation/image/000009.jpg")
    _, report = READ(root)
    assert "1 items are in train and in val, as 1/1" in report.notes
