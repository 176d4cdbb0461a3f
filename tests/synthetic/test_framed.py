"""Garments of street photos without masks, on photos drawn here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.errors import UsageError
from hemline.synthetic.framed import framed, mean_shapes
from hemline.synthetic.pair_rows import PairSettings
from hemline.synthetic.pairs import Unmasked, make_pairs
from hemline.types import Box, Detection, Image

GROUND, SHIRT, TROUSERS = (150, 160, 150), (200, 30, 40), (40, 50, 90)
SHIRT_BOX, TROUSERS_BOX = Box(30, 40, 90, 110), Box(35, 110, 85, 190)


def person(root: Path, name: str, *, masked: bool) -> None:
    """A noisy photo of a person in a shirt whose lower corners are round, and trousers."""
    rng = np.random.default_rng(int(name))
    mask = np.zeros((200, 120), np.uint8)
    cv2.ellipse(mask, (60, 72), (30, 38), 0, 0, 360, (38,), -1)
    mask[40:72, 30:90] = 38
    mask[110:190, 35:85] = 31
    photo = np.full((200, 120, 3), GROUND, np.uint8)
    photo[mask == 38], photo[mask == 31] = SHIRT, TROUSERS
    photo = np.clip(photo + rng.normal(0, 8, photo.shape), 0, 255).astype(np.uint8)
    cv2.imwrite(str(root / f"photos/{name}.jpg"), photo[..., ::-1])
    if masked:
        cv2.imwrite(str(root / f"masks/{name}.png"), mask)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("street")
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    (root / "labels.txt").write_text("0 null\n31 pants\n38 shirt\n")
    for number in range(1, 15):
        person(root, f"{number:04d}", masked=number < 13)
    return root


@pytest.fixture(scope="module")
def street(root: Path) -> Manifest:
    manifest, _ = READERS["co-parsing"].read(root)
    return manifest


def finds(photo: Image) -> list[Detection]:
    """The shirt, the trousers with a low score, and a bag."""
    return [
        Detection(SHIRT_BOX, "shirt", 0.9),
        Detection(Box(90, 90, 115, 120), "bag", 0.8),
        Detection(TROUSERS_BOX, "trousers", 0.3),
    ]


def test_photos_without_masks_give_worn_garments(
    root: Path, street: Manifest, tmp_path: Path
) -> None:
    settings = PairSettings(cutouts=2)
    further = Unmasked(root / "photos", finds)
    path = make_pairs(tmp_path / "pairs", street, None, settings, unmasked=further)
    made = Manifest.read(path)
    found = [record for record in made if "-found" in record.item_id]
    assert {record.item_id for record in found} == {"worn-0013-found0", "worn-0014-found0"}
    street_rows = [record for record in found if record.domain == "street"]
    assert [record.box for record in street_rows] == [SHIRT_BOX] * 2
    assert {record.category for record in found} == {"shirt"}
    assert not any(record.tags for record in found), "a detector's word is no label"
    assert len(found) == 2 * (1 + settings.cutouts)
    assert {record.split for record in found} == {"train"}
    alone = Manifest.read(make_pairs(tmp_path / "alone", street, None, settings))
    assert [r.image_id for r in made][: len(alone)] == [r.image_id for r in alone]


def test_what_is_cut_out_is_the_garment(root: Path) -> None:
    photo = cv2.imread(str(root / "photos/0013.jpg"))[..., ::-1]
    mask = cv2.imread(str(root / "masks/0001.png"), cv2.IMREAD_GRAYSCALE)[40:110, 30:90] == 38
    shapes = mean_shapes([("shirt", mask)] * 3 + [("pants", np.ones((80, 50), bool))] * 2)
    assert set(shapes) == {"upper"}, "two masks are too few for a mean"
    cut = framed(np.ascontiguousarray(photo), SHIRT_BOX, shapes["upper"])
    assert cut is not None
    assert cut.shape == mask.shape
    assert (cut & mask).sum() / (cut | mask).sum() > 0.95


def test_what_cannot_be_told_from_the_rest_is_left_out() -> None:
    plain = np.full((200, 120, 3), 128, np.uint8)
    shape = np.zeros((64, 64), np.float32)
    shape[16:48, 16:48] = 0.6
    assert framed(plain, Box(30, 40, 40, 50), shape) is None, "too small"
    stripes = plain.copy()
    stripes[40:110, 56:64] = (250, 0, 0)  # far less than the mean mask holds
    assert framed(stripes, SHIRT_BOX, shape) is None


def test_a_folder_without_further_photos(street: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no photo"):
        make_pairs(tmp_path / "p", street, None, PairSettings(), unmasked=Unmasked(tmp_path, finds))
    with pytest.raises(UsageError, match="holds no photo"):
        make_pairs(
            tmp_path / "p", street, None, PairSettings(),
            unmasked=Unmasked(tmp_path / "missing", finds),
        )  # fmt: skip
