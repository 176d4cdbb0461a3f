from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.bundle import read_info
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.errors import BundleError, DataError, UsageError
from hemline.evaluation import calibrate as calibration
from hemline.evaluation.calibrate import calibrate, threshold
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.types import Box


def slow(scores: np.ndarray, right: np.ndarray, share: float) -> float | None:
    """Every score as a threshold, one after the other."""
    good = [
        s
        for s in sorted(set(scores.tolist()))
        if (scores >= s).sum() >= calibration.LEAST and right[scores >= s].mean() >= share
    ]
    return good[0] if good else None


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_is_the_least_that_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(400).round(2)
    right = rng.random(400) < scores**2
    for share in (0.3, 0.5, 0.8):
        assert threshold(scores, right, share) == slow(scores, right, share)
    assert threshold(scores, np.zeros(400, bool), 0.1) is None
    assert threshold(scores[:20], np.ones(20, bool), 0.1) is None  # too few to stand on


def test_a_bundle_is_told_what_its_scores_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LEAST", 5)
    bundle = make_tiny_bundle(tmp_path / "bundle")
    before = read_info(bundle)
    make_colour_shop(tmp_path / "shop", products=16, photos=2)
    words = ["calibrate", str(bundle), str(tmp_path / "shop"), "--split", "all", "--json"]
    assert main([*words, "--same", "0.1", "--similar", "0.05"]) == 0
    told = json.loads(capsys.readouterr().out)
    after = read_info(bundle)
    assert after.fingerprint == before.fingerprint
    assert after.alike is not None
    assert (after.alike.same, after.alike.similar) == (told["same"], told["similar"])
    assert told["similar"] <= told["same"]
    assert told["precision"]["same"] >= 0.1
    assert told["data"]["photos"] == 32
    assert told["data"]["absent"] >= 7  # every fifth photo's product, with its other photo
    assert told["data"]["gallery_products"] == 16 - told["data"]["absent"] // 2
    Bundle.open(bundle)

    assert main([*words, "--same", "0.999", "--similar", "0.9"]) == 1
    assert "no score has a share" in json.loads(capsys.readouterr().out)["error"]


def test_what_cant_be_measured(tmp_path: Path) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    shop = make_colour_shop(tmp_path / "shop", products=4)
    with pytest.raises(DataError, match="street rows"):
        calibrate(bundle, shop, split="val")
    with pytest.raises(UsageError, match="larger"):
        calibrate(bundle, shop, split="all", shares={"same": 0.2, "similar": 0.5})


@pytest.mark.parametrize("crop", calibration.CROPS)
def test_photos_and_pictures_are_cut_as_they_will_be(
    tmp_path: Path, crop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LEAST", 5)
    put_tiny_detector(make_tiny_bundle(tmp_path / "bundle"))
    shop = make_colour_shop(tmp_path / "shop", products=16, photos=2)
    manifest = Manifest.from_records(
        [replace(record, box=Box(2, 3, 14, 15)) for record in shop], shop.root
    )
    asked: set[tuple[object, ...]] = set()
    added: list[object] = []
    search, add = Engine.search, Catalog.add

    def spy_search(
        self: Engine, photo: object, k: int, box: object, detect: bool, every: bool
    ) -> object:
        asked.add((box, detect, every))
        return search(self, photo, k, box, detect=detect, every=every)  # type: ignore[arg-type]

    def spy_add(self: Catalog, rows: Manifest, crop: str) -> object:
        added.append(crop)
        return add(self, rows, crop=crop)

    monkeypatch.setattr(Engine, "search", spy_search)
    monkeypatch.setattr(Catalog, "add", spy_add)
    shares = {"same": 0.1, "similar": 0.05}
    bundle = Bundle.open(tmp_path / "bundle")
    found = calibrate(bundle, manifest, split="all", crop=crop, shares=shares)
    assert found.data["crop"] == crop
    box = Box(2, 3, 14, 15) if crop in ("query", "box") else None
    assert asked == {(box, crop == "detected-query", crop == "every")}
    assert added == ["box" if crop == "box" else "none"]


def test_a_crop_that_isnt_one_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    shop = make_colour_shop(tmp_path / "shop", products=16, photos=2)
    with pytest.raises(UsageError, match="Did you mean 'detected-query'"):
        calibrate(bundle, shop, split="all", crop="detected")
    with pytest.raises(BundleError, match="detector"):
        calibrate(bundle, shop, split="all", crop="detected-query")


def test_a_live_catalogue_is_measured_as_a_gallery_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LEAST", 5)
    shares = {"same": 0.1, "similar": 0.05}
    monkeypatch.setattr(calibration, "SHARES", shares)
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    manifest = make_colour_shop(tmp_path / "shop", products=16, photos=2)
    apart = calibrate(bundle, manifest, photos=32, split="all", shares=shares)
    with Catalog.in_memory(bundle) as catalog:
        catalog.add(manifest)
        live = calibration.calibrate_live(Engine(catalog), manifest, photos=32)
    assert live == apart
