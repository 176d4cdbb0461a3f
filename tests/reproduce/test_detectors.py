"""DARN's Table 2: what is kept of regions, what validation chooses, and the search behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hemline.evaluation.detected import boxed
from hemline.learn.backbones import BackboneConfig
from hemline.learn.detection.darn import detector
from hemline.learn.detection.darn.kept import KeptFeatures, KeptProposals, SomeColumns
from hemline.learn.detection.darn.proposals import ProposalSettings
from hemline.learn.detection.darn.regions import backbone_regions, faster
from hemline.progress import no_progress
from hemline.reproduce import region_training, source
from hemline.reproduce.pictures import pictures_of
from hemline.reproduce.run import TABLE, find, reproduce
from hemline.reproduce.scales import SCALES


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Counted:
    """Features of a region: its corners; counts how often it is asked."""

    name = "corners"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: np.ndarray, boxes: np.ndarray, mirrored: bool = False) -> np.ndarray:
        self.asked += 1
        return np.concatenate([boxes, -boxes], axis=1).astype(np.float32)


def test_proposals_and_features_are_computed_once(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    features = Counted()
    kept = KeptFeatures(features, tmp_path / "features")
    boxes = np.array([[0, 0, 16, 32.0], [4, 8, 60, 60]])
    first = kept(image, boxes)
    assert np.array_equal(kept(image, boxes), first)
    assert features.asked == 1
    kept(image, boxes, mirrored=True)
    kept(image[:, ::-1], boxes)
    assert features.asked == 3, "a mirrored region and another image are others"
    some = SomeColumns(kept, 4, "whole")
    assert np.array_equal(some(image, boxes), first[:, :4])
    assert some.name == "corners whole"
    propose = KeptProposals(ProposalSettings(side=64), tmp_path / "proposals")
    found = propose(image)
    assert len(list((tmp_path / "proposals").iterdir())) == 1
    assert np.array_equal(propose(image), found)


def test_the_traced_network_says_the_same_and_knows_its_whole() -> None:
    torch.manual_seed(0)
    features = backbone_regions(BackboneConfig(name="test_efficientnet"), 64)
    image = np.random.default_rng(1).integers(0, 255, (80, 60, 3)).astype(np.uint8)
    boxes = np.array([[0, 0, 30, 40.0], [10, 10, 60, 80]])
    quick = faster(features)
    plain = features(image, boxes)
    assert np.allclose(quick(image, boxes), plain, atol=1e-4)
    assert 0 < quick.whole == features.whole < plain.shape[1]
    assert np.allclose(np.linalg.norm(plain[:, : features.whole], axis=1), 1, atol=1e-4)


def test_boxes_of_a_manifest_are_replaced_and_taken_away(tmp_path: Path) -> None:
    made = source.drawn(find("darn-table2"), SCALES["smoke"], tmp_path, no_progress).manifest
    boxes = np.full((len(made), 4), np.nan)
    boxes[1] = 1, 2, 30, 40
    changed = boxed(made, boxes)
    assert changed[0].box is None
    assert tuple(changed[1].box or ()) == (1, 2, 30, 40)
    (picture,) = pictures_of(made, "train", "street", 1)
    assert made[picture.row].image_id == picture.record.image_id


def test_a_row_has_precision_search_and_time_and_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["AN + SVR", "whole pictures", "annotated boxes"]
    found = reproduce("darn-table2", tmp_path, scale="smoke", only=rows)
    first, given, whole = found["rows"]
    assert [one["name"] for one in (first, given, whole)] == sorted(rows)
    figures = first["protocols"]["synthetic"]
    assert set(figures["measured"]) == {"AP online", "AP offline", "recall@20"}
    assert set(figures["further"]) == {
        "AP online at IoU 0.5", "AP offline at IoU 0.5", "recall@20, nearest boxes",
        "processor's seconds of a picture",
    }  # fmt: skip
    assert figures["chosen"]["reads"] in ("whole", "whole and windows")
    assert figures["chosen"]["suppression"] in region_training.SUPPRESSION
    assert figures["chosen"]["cost"] in region_training.COSTS["svr"]
    assert given["protocols"]["synthetic"]["measured"]["AP online"]["value"] is None
    assert found["data"]["queries"] == found["data"]["gallery"] == 4
    assert not (tmp_path / "data" / "regions").exists(), "what was kept is taken away at the end"
    table = (tmp_path / "darn-table2-smoke" / TABLE).read_text("utf-8")
    assert "AN + SVR, chosen by validation: reads" in table
    monkeypatch.setattr(
        detector, "train_regions", lambda *_, **__: pytest.fail("it was measured before")
    )
    assert reproduce("darn-table2", tmp_path, scale="smoke", only=rows) == found


def test_the_detector_that_ships_stands_beside_them(tmp_path: Path) -> None:
    from hemline.runtime.bundle import shipped

    found = reproduce("darn-table2", tmp_path, scale="smoke", only=["the detector that ships"])
    (row,) = found["rows"]
    if len(shipped()) != 1:
        assert "bundle" in row["not_measured"]
        return
    figures = row["protocols"]["synthetic"]
    assert figures["measured"]["AP online"]["value"] > 0.3
    assert "chosen" not in figures or not figures["chosen"]
