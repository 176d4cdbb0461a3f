"""Pairs from real photos, on photos drawn here: labels, splits, and what changes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.datasets.co_parsing import split_of
from hemline.errors import DataError, UsageError
from hemline.synthetic.alter import SIDE, altered_cutout, altered_photo
from hemline.synthetic.dress import dressed
from hemline.synthetic.pair_rows import PairSettings
from hemline.synthetic.pairs import make_pairs
from hemline.types import Box

LABELS = {0: "null", 14: "dress", 19: "hair", 41: "skin", 38: "shirt", 31: "pants"}
RED, GREEN = (200, 30, 40), (30, 160, 60)


def person(root: Path, name: str) -> None:
    """A photo of a person in a red shirt and trousers, with its mask."""
    photo = np.full((200, 120, 3), 150, np.uint8)
    mask = np.zeros((200, 120), np.uint8)
    for code, top, low, left, right, color in (
        (41, 10, 40, 45, 75, (220, 180, 160)),
        (38, 40, 110, 30, 90, RED),
        (31, 110, 190, 35, 85, (40, 50, 90)),
    ):
        photo[top:low, left:right] = color
        mask[top:low, left:right] = code
    cv2.imwrite(str(root / f"photos/{name}.jpg"), photo[..., ::-1])
    cv2.imwrite(str(root / f"masks/{name}.png"), mask)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("street")
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    (root / "labels.txt").write_text("".join(f"{code} {name}\n" for code, name in LABELS.items()))
    for number in range(1, 9):
        person(root, f"{number:04d}")
    manifest, _ = READERS["co-parsing"].read(root)
    return manifest


@pytest.fixture(scope="module")
def clothing(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("clothing")
    (root / "images").mkdir()
    lines = ["image,sender_id,label,kids"]
    for number, label in enumerate(("T-Shirt", "Shoes")):
        photo = np.full((240, 240, 3), 235, np.uint8)
        cv2.rectangle(photo, (60, 40), (180, 200), GREEN, -1)
        cv2.imwrite(str(root / f"images/g{number}.jpg"), photo[..., ::-1])
        lines.append(f"g{number},no-such-sender,{label},False")
    (root / "images.csv").write_text("\n".join(lines) + "\n")
    manifest, _ = READERS["clothing"].read(root)
    return manifest


def test_pairs(street: Manifest, clothing: Manifest, tmp_path: Path) -> None:
    settings = PairSettings(cutouts=2, scenes=1, photos=1, retakes=1, others=5)
    path = make_pairs(tmp_path / "pairs", street, clothing, settings)
    made = Manifest.read(path)
    domain, source = made.column("domain"), made.column("source")
    photos = {record.path for record in street if record.split == "train"}
    worn = made.select(source == "worn")
    assert {Path(r.path).name for r in worn if r.domain == "street"} == {
        Path(photo).name for photo in photos
    }
    first = worn[0]
    assert first.box is not None
    assert first.category in ("shirt", "pants")
    assert first.tags == (f"category={first.category}",)
    # Each garment has one framed photo and two changed cut-outs.
    items, counts = np.unique(worn.column("item_id").astype(str), return_counts=True)
    assert len(items) == 2 * len(photos)
    assert set(counts) == {3}
    # Shoes are photographed again, but never worn; the shirt is worn once.
    scenes = made.select((source == "dressed") & (domain == "street"))
    assert scenes.column("item_id").tolist() == ["dressed-g0"]
    assert (source == "other").sum() == 1
    assert (source == "retaken").sum() == 2
    assert set(made.column("split")) == {"train"}
    scene = open_image(scenes.file(0))
    box = scenes[0].box
    assert box is not None
    x, y = int((box.x1 + box.x2) / 2), int((box.y1 + box.y2) / 2)
    assert scene[y, x].argmax() == 1  # green where it was red


def test_the_same_seed_makes_the_same_pairs(street: Manifest, tmp_path: Path) -> None:
    made = [
        Manifest.read(make_pairs(tmp_path / name, street, None, PairSettings(seed=seed, cutouts=1)))
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    shop = [np.flatnonzero(m.column("domain") == "shop") for m in made]
    first, again, other = (
        m.file(int(rows[0])).read_bytes() for m, rows in zip(made, shop, strict=True)
    )
    assert first == again
    assert first != other


def test_what_cannot_be_paired(street: Manifest, clothing: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the split is one of"):
        make_pairs(tmp_path / "p", street, None, PairSettings(split="night"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UsageError, match="isn't empty"):
        make_pairs(tmp_path / "full", street, None, PairSettings())
    with pytest.raises(DataError, match="no masks"):
        make_pairs(tmp_path / "p", clothing, None, PairSettings())
    none = street.select(street.column("split") == "train")
    with pytest.raises(DataError, match="nothing to pair"):
        make_pairs(tmp_path / "p", none, None, PairSettings(split="test"))


def test_an_altered_cutout_keeps_its_garment_and_not_its_pixels() -> None:
    image = np.full((100, 80, 3), GREEN, np.uint8)
    alpha = np.full((100, 80), 255, np.uint8)
    made = [altered_cutout(image, alpha, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert made[0].shape == (SIDE, SIDE, 3)
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    plain = altered_cutout(image, alpha, np.random.default_rng(3), strength=0)
    middle = plain[SIDE // 2 - 9 : SIDE // 2 + 9, SIDE // 2 - 9 : SIDE // 2 + 9].mean((0, 1))
    assert middle.argmax() == 1
    assert np.abs(middle - np.array(GREEN)).max() < 40


def test_an_altered_photo_of_any_shape_is_square() -> None:
    photo = np.tile(np.arange(300, dtype=np.uint8)[None, :, None], (120, 1, 3))
    made = altered_photo(photo, np.random.default_rng(0))
    assert made.shape == (SIDE, SIDE, 3)
    assert not np.array_equal(made, altered_photo(photo, np.random.default_rng(1)))


def test_dressed_where_the_mask_has_no_such_place() -> None:
    scene, mask = np.zeros((60, 40, 3), np.uint8), np.zeros((60, 40), np.uint8)
    garment = np.full((20, 20, 3), GREEN, np.uint8), np.full((20, 20), 255, np.uint8)
    rng = np.random.default_rng(0)
    assert dressed(scene, mask, LABELS, garment, "upper", rng) is None
    mask[10:50, 5:35] = 38
    made = dressed(scene, mask, LABELS, garment, "upper", rng)
    assert made is not None
    assert isinstance(made.box, Box)
    mask[10:50, 5:35] = 19  # hair in front of nearly everything
    for y, x in ((10, 5), (10, 31), (46, 5), (46, 31)):
        mask[y : y + 4, x : x + 4] = 38
    assert dressed(scene, mask, LABELS, garment, "upper", rng) is None


def test_splits_of_photos_are_fixed() -> None:
    assert [split_of(f"{number:04d}") for number in range(1, 9)].count("train") >= 2
    assert split_of("0001") == split_of("0001")
