"""The sheet: the right rows, marks in the right place, words for a bad picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemline.data.garments import Garment, to_text
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError
from hemline.types import Box, Record
from hemline.views.cells import draw
from hemline.views.manifest import draw_sheet, pick, pick_pairs, write_sheet

GREY = np.full((100, 200, 3), 128, np.uint8)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    for k in range(40):
        cv2.imwrite(str(tmp_path / f"{k}.png"), GREY)
    records = [
        Record(f"{k}", f"{k}.png", f"item-{k // 2}", "street" if k % 2 else "shop", split="test")
        for k in range(40)
    ]
    return Manifest.from_records(records, tmp_path)


def test_pick(manifest: Manifest) -> None:
    assert len(pick(manifest)) == 24
    ids = pick(manifest, seed=1).column("image_id").tolist()
    assert ids == pick(manifest, seed=1).column("image_id").tolist()
    assert ids != pick(manifest, seed=2).column("image_id").tolist()
    street = pick(manifest, "street", "test", ("item-1", "item-2"))
    assert street.column("image_id").tolist() == ["3", "5"]
    for wrong, message in (
        ({"domain": "streets"}, "street or shop"),
        ({"split": "dev"}, "train, val or test"),
        ({"items": ("item_1",)}, "no item 'item_1'. Did you mean 'item-1'"),
        ({"split": "train"}, "no row"),
    ):
        with pytest.raises(UsageError, match=message):
            pick(manifest, **wrong)  # type: ignore[arg-type]


def test_marks_lie_where_they_belong() -> None:
    """A picture of 200x100 in a square of 100: everything is halved and moved down by 25."""
    marks = np.zeros((8, 3), np.float32)
    marks[0] = [100, 50, 2]
    marks[1] = [160, 50, 1]
    marks[2] = [60, 50, 0]
    drawn = draw(
        GREY, [Record("", "a", "1", "shop", box=Box(20, 20, 180, 80), landmarks=marks)], 100
    )
    assert drawn.shape == (100, 100, 3)
    assert (drawn[:25] == drawn[0, 0]).all()
    box, seen, hidden = (drawn[y, x].astype(int) for y, x in ((35, 40), (50, 50), (50, 75)))
    assert box[0] > box[1:].max() + 60  # the box's upper side is red
    assert seen[1] > seen[[0, 2]].max() + 60  # visible is green
    assert hidden[0] > hidden[1] > hidden[2] + 60  # occluded is orange
    assert drawn[50, 30].tolist() == [128] * 3  # absent


def test_occluded_is_hollow_and_the_legend_stands_below(manifest: Manifest) -> None:
    marks = np.zeros((8, 3), np.float32)
    marks[0], marks[7] = [60, 50, 2], [140, 50, 1]
    record = Record("", "0.png", "1", "shop", landmarks=marks)
    drawn = draw(GREY, [record], 200).astype(int)
    assert drawn[100, 60, 1] > drawn[100, 60, [0, 2]].max() + 60  # full
    assert drawn[100, 140].tolist() == [128] * 3  # hollow
    assert drawn[100, 135, 0] > drawn[100, 135, 2] + 60
    bare = Record("", "0.png", "1", "shop")
    with_legend, without = (
        draw_sheet(Manifest.from_records([one], manifest.root), 200).image for one in (record, bare)
    )
    assert len(with_legend) > len(without)


def test_garments_of_one_photo_are_drawn_on_one_picture(manifest: Manifest) -> None:
    boxes = (Box(10, 10, 90, 90), Box(110, 10, 190, 90))
    records = [
        Record(f"g{k}", "0.png", f"item-{k}", "street", box=box) for k, box in enumerate(boxes)
    ]
    both = draw_sheet(Manifest.from_records(records, manifest.root), 200)
    assert both.shown == 1
    first, second = both.image[8 + 60, 8 + 10].astype(int), both.image[8 + 60, 8 + 110].astype(int)
    assert first[0] > first[1:].max() + 60  # red
    assert second[2] > second[0] + 60  # blue
    picked = pick(Manifest.from_records(records, manifest.root), count=1)
    assert len(picked) == 2


def test_pairs_stand_item_by_item_street_before_shop(manifest: Manifest) -> None:
    chosen = pick_pairs(manifest, count=6, seed=1)
    items, domains = chosen.column("item_id").tolist(), chosen.column("domain").tolist()
    assert len(items) == 6
    assert items[::2] == items[1::2]
    assert len(set(items)) == 3
    assert domains == ["street", "shop"] * 3
    sheet = draw_sheet(chosen, 64, pairs=True)
    assert sheet.shown == 6
    with pytest.raises(UsageError, match="leave the domain out"):
        pick_pairs(manifest, "street")
    with pytest.raises(UsageError, match="no item of that split"):
        pick_pairs(manifest.select(manifest.column("domain") == "shop"))


def test_the_sheet(manifest: Manifest, tmp_path: Path) -> None:
    few = manifest.select(range(6))
    path = tmp_path / "new" / "sheet.png"
    written = write_sheet(few, path, 64)
    assert (written.shown, written.skipped) == (6, [])
    sheet = draw_sheet(few, 64, columns=3).image
    assert sheet.shape[1] == 3 * 64 + 4 * 8
    assert open_image(path).shape[2] == 3
    for left in (8, 80, 152):
        assert (sheet[8 + 16 : 8 + 48, left : left + 64] == 128).all()
    assert (sheet == 128).all(axis=2).sum() >= 6 * 64 * 32


def test_long_and_foreign_words_stay_in_their_cell(manifest: Manifest) -> None:
    tags = tuple(f"namé{k}=" + "x" * 60 for k in range(3))
    record = Record("", "0.png", "衣" * 50, "shop", "c" * 80, tags=tags)
    narrow = draw_sheet(Manifest.from_records([record], manifest.root), 64).image
    assert narrow.shape[1] == 64 + 16
    assert (narrow[:, -8:] == narrow[0, 0]).all()


def test_what_cannot_be_drawn(manifest: Manifest, tmp_path: Path) -> None:
    mixed = Manifest.from_records(
        [Record("", "none.png", "1", "shop"), Record("", "0.png", "1", "shop")], manifest.root
    )
    skipped = draw_sheet(mixed).skipped
    assert len(skipped) == 1
    assert "none.png does not exist" in skipped[0]
    with pytest.raises(DataError, match="none of the 1 pictures"):
        draw_sheet(mixed.select([0]))
    with pytest.raises(UsageError, match=r"\.png or \.jpg"):
        write_sheet(mixed, tmp_path / "sheet.pdf")


def test_what_else_is_worn_has_thin_boxes() -> None:
    others = to_text(
        [
            Garment("shirt", Box(20, 20, 180, 80), role="product"),
            Garment("jeans", Box(40, 30, 100, 90), role="worn"),
        ]
    )
    plain = Record("", "a", "1", "shop", box=Box(20, 20, 180, 80))
    drawn = draw(GREY, [plain], 100)
    more = draw(GREY, [replace(plain, extra={"garments": others})], 100)
    changed = np.argwhere((drawn != more).any(axis=2))
    assert len(changed) > 40
    assert (changed.min(axis=0) >= (39, 19)).all(), "only around the jeans"
    assert (more[50, 20] == (100, 100, 100)).all()
