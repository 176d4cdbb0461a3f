"""DeepFashion Consumer-to-Shop: the published format and each of its traps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.published import (
    C2S_BOXES,
    C2S_CLOTH,
    C2S_ITEMS,
    C2S_MARKS,
    C2S_PAIRS,
    DRESS,
    PANTS,
    SUMMER,
    consumer2shop,
    plant,
    write_list,
)
from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.errors import DataError
from hemline.types import Box, Record

READ = READERS["consumer2shop"].read


def marks(*given: tuple[int, int, int, int]) -> np.ndarray:
    """Slot, x, y, visibility of some landmarks; the others are absent."""
    eight = np.zeros((8, 3), np.float32)
    for slot, x, y, seen in given:
        eight[slot] = x, y, seen
    return eight


def test_counts_first_and_last(tmp_path: Path) -> None:
    manifest, report = READ(consumer2shop(tmp_path))
    assert (report.listed, report.found, report.missing, report.broken) == (7, 7, 0, 0)
    assert report.published == {
        "images": (239_557, 7),
        "items": (33_881, 3),
        "pairs": (195_540, 5),
        "attributes": (303, 5),
    }
    assert report.differences()[0] == "images: 7 here, 239,557 published"
    first, last = manifest[0], manifest[-1]
    # From Python 3.13 on an array is compared even with itself.
    assert replace(first, landmarks=None) == Record(
        image_id=f"{PANTS}/shop_01.jpg",
        path="TROUSERS/Pants/id_00000012/shop_01.jpg",
        item_id="id_00000012",
        domain="shop",
        category="TROUSERS/Pants",
        box=Box(9, 1, 200, 300),
        tags=("length of upper-body clothes=Regular length (51-65cm)",),
        split="train",
        extra={
            "group": "lower",
            "pairs": 1,
            "variation": "normal pose",
            "known_types": ["length of upper-body clothes"],
        },
    )
    assert (last.image_id, last.domain, last.split) == (
        f"{DRESS}/comsumer_01.jpg",
        "street",
        "test",
    )
    assert last.category == "DRESSES/Lace_Dress"
    assert last.landmarks is None
    assert last.extra["variation"] == ""
    assert manifest.file(0) == (tmp_path / f"{PANTS}/shop_01.jpg").resolve()
    assert manifest.column("split").tolist() == ["train"] * 2 + ["val"] * 3 + ["test"] * 2
    assert manifest.column("domain").tolist() == [
        "shop", "street", "shop", "street", "street", "shop", "street",
    ]  # fmt: skip
    assert manifest.column("group").tolist() == ["lower"] * 2 + ["upper"] * 3 + ["full"] * 2


def test_a_consumer_picture_on_several_lines_is_one_row(tmp_path: Path) -> None:
    manifest, _ = READ(consumer2shop(tmp_path))
    pairs = dict(zip(manifest.column("image_id"), manifest.column("pairs"), strict=True))
    assert pairs[f"{SUMMER}/comsumer_01.jpg"] == 2
    assert pairs[f"{SUMMER}/comsumer_02.jpg"] == 1
    assert pairs[f"{SUMMER}/shop_01.jpg"] == 3


def test_landmarks_take_their_slots_and_our_meaning(tmp_path: Path) -> None:
    """0, 1, 2 are visible, occluded, cut off; the lists' left is the wearer's right."""
    manifest, _ = READ(consumer2shop(tmp_path))
    lower, upper, full = manifest[0].landmarks, manifest[2].landmarks, manifest[5].landmarks
    waist = [(5, 20, 30, 2), (4, 60, 31, 1)]
    assert np.array_equal(lower, marks(*waist, (6, 61, 231, 2)))
    assert np.array_equal(
        upper,
        marks((1, 10, 11, 2), (0, 20, 21, 2), (3, 30, 31, 1), (7, 50, 51, 2), (6, 60, 61, 2)),
    )
    assert full is not None
    assert full[:, 0].tolist() == [3, 1, 7, 5, 11, 9, 15, 13]
    assert full[:, 2].tolist() == [2, 2, 2, 2, 2, 2, 1, 2]


def test_unknown_is_told_from_no(tmp_path: Path) -> None:
    manifest, report = READ(consumer2shop(tmp_path))
    item = {r.item_id: r for r in manifest}
    assert item["id_00000020"].tags == ("texture of clothes=Lace", "type of collars=Round collar")
    assert item["id_00000020"].extra["known_types"] == [
        "length of upper-body clothes",
        "type of collars",
        "texture of clothes",
    ]
    assert item["id_00000031"].extra["known_types"] == ["type of collars", "texture of clothes"]
    assert any("5 attributes are 4 tags" in note for note in report.notes)
    assert any("known only in part" in note for note in report.notes)


def test_the_large_release(tmp_path: Path) -> None:
    """Its folder is Summer_Suit, and boxes are made for pictures of 300 pixels."""
    manifest, report = READ(consumer2shop(tmp_path, large=True))
    assert report.found == 7
    assert manifest[2].path == "CLOTHING/Summer_Suit/id_00000020/shop_01.jpg"
    assert manifest[2].image_id == f"{SUMMER}/shop_01.jpg"
    assert manifest[2].category == "CLOTHING/Summer_Wear"
    assert manifest[1].box == Box(20, 40, 220, 440)
    assert manifest[0].box == Box(18, 2, 400, 600)
    first = manifest[0].landmarks
    assert first is not None
    assert first[5].tolist() == [40, 60, 2]
    assert first[7].tolist() == [0, 0, 0]
    assert any("write CLOTHING/Summer_Wear/" in note for note in report.notes)
    assert any("scaled to each picture" in note for note in report.notes)
    manifest, report = READ(tmp_path, boxes="listed")
    assert manifest[1].box == Box(10, 20, 110, 220)


def test_other_spellings_and_places(tmp_path: Path) -> None:
    root = consumer2shop(tmp_path / "data")
    (root / "Img").mkdir()
    (root / "img").rename(root / "Img/img")
    for file in list(root.rglob("comsumer_*.jpg")):
        file.rename(file.with_name(file.name.replace("comsumer", "consumer")))
    for folder in ("Anno", "Eval"):
        for file in list((root / folder).iterdir()):
            file.rename(root / file.name)
    manifest, report = READ(root)
    assert report.found == 7
    assert manifest[1].path.endswith("/consumer_01.jpg")
    assert manifest[1].image_id.endswith("/comsumer_01.jpg")
    named, _ = READ(root, images="Img")
    assert named.files() == manifest.files()


def test_windows_lines_and_a_byte_order_mark_in_every_list(tmp_path: Path) -> None:
    plain, _ = READ(consumer2shop(tmp_path))
    for file in [*tmp_path.glob("Anno/*.txt"), *tmp_path.glob("Eval/*.txt")]:
        text = file.read_bytes().replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
        file.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert READ(tmp_path)[0].fingerprint() == plain.fingerprint()
    for file in [*tmp_path.glob("Anno/*.txt"), *tmp_path.glob("Eval/*.txt")]:
        file.write_bytes(file.read_bytes().replace(b"\r\n", b"\r"))
    assert READ(tmp_path)[0].fingerprint() == plain.fingerprint()


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    root = consumer2shop(tmp_path)
    (root / f"{DRESS}/shop_01.jpg").unlink()
    (root / f"{PANTS}/shop_01.jpg").write_bytes(b"")
    for name in ("list_landmarks_consumer2shop.txt", "list_attr_items.txt"):
        (root / "Anno" / name).unlink()
    write_list(root / "Eval/list_eval_partition.txt", "header", C2S_PAIRS[:-1])
    manifest, report = READ(root)
    assert (report.listed, report.found, report.missing, report.broken) == (7, 5, 1, 1)
    assert report.examples[0].endswith("TROUSERS/Pants/id_00000012/shop_01.jpg")
    assert any("no landmarks" in note for note in report.notes)
    assert any("no tags" in note for note in report.notes)
    assert "1 items are in no pair; their split is empty" in report.notes
    assert manifest[-1].split == ""
    assert manifest.tag_vocabulary() == ()


def test_a_list_that_was_cut_short_is_told(tmp_path: Path) -> None:
    root = consumer2shop(tmp_path)
    file = root / "Anno/list_bbox_consumer2shop.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:-2]))
    _, report = READ(root)
    assert "list_bbox_consumer2shop.txt says that it has 7 rows, and has 5" in report.notes
    assert any("consumer pictures of pairs have no box" in note for note in report.notes)


def test_absurd_boxes_stay_without_box(tmp_path: Path) -> None:
    root = consumer2shop(tmp_path)
    rows = list(C2S_BOXES)
    for k, box in enumerate(("10 10 5 50", "nan 1 2 3", "0 0 inf 5", "0 0 1e300 5", "a b c d")):
        rows[k] = " ".join([*rows[k].split()[:3], box])
    write_list(root / "Anno/list_bbox_consumer2shop.txt", "header", rows)
    manifest, report = READ(root)
    assert [record.box is None for record in manifest] == [True] * 5 + [False] * 2
    assert any(note.startswith("5 rows have a box without area") for note in report.notes)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("Anno/list_bbox_consumer2shop.txt", ["img/a/id_1/b.jpg 1 2 3"], "line 3.*expected 7"),
        ("Anno/list_bbox_consumer2shop.txt", ["../../etc/passwd 1 1 1 1 2 2"], "names no picture"),
        (
            "Anno/list_bbox_consumer2shop.txt",
            [C2S_BOXES[0].replace(" 2 1", " 4 1")],
            "clothes type",
        ),
        ("Anno/list_bbox_consumer2shop.txt", [C2S_BOXES[0].replace(" 2 1", " 2 3")], "source"),
        ("Anno/list_landmarks_consumer2shop.txt", [C2S_MARKS[0] + " 1"], "expected 15"),
        ("Eval/list_eval_partition.txt", ["a b c dev"], "line 3.*'dev', not train, val, test"),
        ("Anno/list_attr_items.txt", ["id_00000012 1 2 0 0 0"], "other than 1, 0, -1 in word 3"),
        ("Anno/list_attr_items.txt", ["id_00000012 1"], "an item and 5 attributes"),
        ("Anno/list_attr_cloth.txt", [*C2S_CLOTH[:-1], "花  Lace  9"], "type, 1 to 3"),
    ],
)
def test_damaged(tmp_path: Path, name: str, rows: list[str], message: str) -> None:
    root = consumer2shop(tmp_path)
    write_list(root / name, "header", rows)
    with pytest.raises(DataError, match=message):
        READ(root)


def test_names_that_leave_the_root(tmp_path: Path) -> None:
    root = consumer2shop(tmp_path / "data")
    plant(tmp_path, "out/id_00000099/shop_01.jpg")
    rows = [*C2S_BOXES, "img/../../out/id_00000099/shop_01.jpg 1 1 1 1 5 5"]
    write_list(root / "Anno/list_bbox_consumer2shop.txt", "header", rows)
    manifest, report = READ(root)
    assert (report.found, report.broken) == (7, 1)
    assert any("outside the data's folder" in note for note in report.notes)
    assert not any("out/" in path for path in manifest.column("path"))


def test_links_out_of_the_tree(tmp_path: Path) -> None:
    root = consumer2shop(tmp_path / "data")
    plant(tmp_path, "elsewhere/secret.jpg")
    victim = root / f"{PANTS}/shop_01.jpg"
    victim.unlink()
    victim.symlink_to(tmp_path / "elsewhere/secret.jpg")
    _, report = READ(root)
    assert (report.found, report.broken) == (6, 1)
    assert any("links=follow" in note for note in report.notes)
    _, report = READ(root, links="follow")
    assert report.found == 7
    (root / "img").rename(tmp_path / "disk")  # the folder of the pictures itself may be a link
    (root / "img").symlink_to(tmp_path / "disk")
    assert READ(root)[1].found == 6


def test_it_writes_and_comes_back(tmp_path: Path) -> None:
    manifest, _ = READ(consumer2shop(tmp_path))
    path = manifest.write(tmp_path / "m.parquet")
    again = Manifest.read(path)
    assert again.column("path")[0] == f"{PANTS}/shop_01.jpg"
    assert again.fingerprint() == manifest.fingerprint()
    assert len(C2S_ITEMS) == len(set(again.column("item_id")))
