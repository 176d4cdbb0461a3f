"""DARN: the published format and each of its traps."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.published import DARN_ROWS, darn
from hemline.datasets import PROTOCOLS, READERS
from hemline.errors import DataError, UsageError
from hemline.types import Record

READ = READERS["darn"].read
TAGS = (
    "category=7",
    "color=4",
    "shape=0",
    "collar=7",
    "pattern=0",
    "sleeve_shape=1",
    "sleeve_length=0",
    "button=2",
    "length=4",
)


def test_counts_first_and_last(tmp_path: Path) -> None:
    manifest, report = READ(darn(tmp_path))
    assert (report.listed, report.found, report.missing, report.broken) == (5, 5, 0, 0)
    assert report.published["shop pictures"] == (453_983, 2)
    assert report.published["pairs"] == (91_390, 3)
    assert report.published["values of color"] == (56, 2)
    assert [there for there, _ in report.published.values()][2:] == [
        20, 56, 10, 25, 27, 16, 7, 12, 6,
    ]  # fmt: skip
    assert manifest[0] == Record(
        image_id="52040006/0000_47_012_002_U.jpg",
        path="52040006/0000_47_012_002_U.jpg",
        item_id="52040006/0000_47",
        domain="street",
        category="7",
        tags=TAGS,
    )
    last = manifest[-1]
    assert (last.path, last.domain) == ("52040007/0001_01_001_001_P.jpg", "shop")
    assert (last.category, last.split) == ("", "")


def test_minus_one_is_missing(tmp_path: Path) -> None:
    manifest, report = READ(darn(tmp_path))
    assert manifest[-1].tags == ("color=55", "length=5")
    assert "25.9% of the attribute values are missing" in report.notes


def test_a_shop_picture_on_two_lines_is_one_row(tmp_path: Path) -> None:
    manifest, _ = READ(darn(tmp_path))
    paths = manifest.column("path").tolist()
    assert len(paths) == len(set(paths)) == 5
    assert manifest.column("domain").tolist() == ["street", "shop", "street", "street", "shop"]


def test_names_of_values(tmp_path: Path) -> None:
    root = darn(tmp_path)
    (root / "names.csv").write_text("attribute,number,name\ncolor,4,light blue\ncategory,7,coat\n")
    manifest, _ = READ(root, names="names.csv")
    assert manifest[0].tags[:3] == ("category=coat", "color=light blue", "shape=0")
    assert manifest[0].category == "coat"
    assert manifest[-1].tags == ("color=55", "length=5")
    (root / "names.csv").write_text("attribute,number,name\ncolour,4,blue\n")
    with pytest.raises(DataError, match="line 2.*attribute, number, name"):
        READ(root, names="names.csv")


def test_lists_and_places(tmp_path: Path) -> None:
    root = darn(tmp_path)
    (root / "more.txt").write_text(DARN_ROWS[0].replace("52040006", "7") + "\n")
    assert READ(root)[1].listed == 7
    assert READ(root, list="pairs.txt")[1].listed == 5
    (root / "images").rename(root / "shots")
    assert READ(root, list="pairs.txt", images="shots")[1].found == 5
    with pytest.raises(UsageError, match="there is no folder"):
        READ(root, images="none")
    with pytest.raises(DataError, match="there is no"):
        READ(root, list="none.txt")


def test_a_picture_under_two_items_is_told(tmp_path: Path) -> None:
    root = darn(tmp_path)
    again = DARN_ROWS[0].replace("_U.jpg", "_V.jpg").replace("0000_47 7", "0000_48 7")
    (root / "pairs.txt").write_text(f"{DARN_ROWS[0]}\n{again}\n")
    manifest, report = READ(root)
    assert any("stands under another item than at first" in note for note in report.notes)
    assert manifest[1].item_id == "52040006/0000_47"


def test_values_beyond_the_vocabulary_are_told(tmp_path: Path) -> None:
    root = darn(tmp_path)
    (root / "pairs.txt").write_text(DARN_ROWS[0].replace(" 2 4", " 2 6"))
    _, report = READ(root)
    assert "values of length go up to 6; published are 6, from 0" in report.notes


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (DARN_ROWS[0] + " 1", "13 words; expected 12"),
        (DARN_ROWS[0].replace(" 2 4", " 2 x"), "no number in word 12"),
        (DARN_ROWS[0].replace(" 2 4", " 2 -2"), "no number in word 12"),
        (DARN_ROWS[0].replace(" 2 4", " 2 99999999"), "the largest list has 56"),
    ],
)
def test_damaged(tmp_path: Path, row: str, message: str) -> None:
    root = darn(tmp_path)
    (root / "pairs.txt").write_text(f"{DARN_ROWS[1]}\n{row}\n")
    with pytest.raises(DataError, match=message):
        READ(root)


def test_only_the_release_is_kept_out_of_training_by_itself(tmp_path: Path) -> None:
    """Drawn data has tags of the same names, and half of it must not go to DARN's protocol."""
    release, _ = READ(darn(tmp_path / "darn"))
    for name in ("darn", "darn-ynet"):
        meant = PROTOCOLS[name].made_for
        assert meant is not None
        assert meant(release)
        assert not meant(release.with_column("item_id", [f"p{n}" for n in range(len(release))]))
        assert not meant(release.with_column("tags", [["colour=red"]] * len(release)))
