"""A trained run becomes a bundle whose numbers are torch's."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from helpers.drawn_pairs import make
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.bundle import read_info, verify
from hemline.cli import main
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.errors import TrainingError, UsageError
from hemline.learn.api import train
from hemline.learn.checkpoint import CheckpointEncoder, load_run
from hemline.learn.export import graphs
from hemline.learn.export import writer as exporting
from hemline.learn.export.run import export, without_folders
from hemline.learn.export.weights import _int8
from hemline.learn.export.writer import ExportOptions
from hemline.learn.recipe import parse
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

CONFIG = {"backbone": {"name": "test_efficientnet"}, "size": 64, "projection": 16}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.read(make(tmp_path_factory.mktemp("pairs"), items=8, val=2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    recipe = parse(
        {
            "name": "tiny",
            "model": {"name": "ctxynet", "config": CONFIG},
            "data": {"normalisation": "computed"},
            "batch_size": 6,
            "threads": 1,
            "stages": {"all": {"epochs": 1, "lr": 0.05}},
        }
    )
    train(recipe, manifest, folder)
    return folder


@pytest.fixture(scope="module")
def traced(run: Path) -> dict[str, Any]:
    return graphs.trace(load_run(run).model)


@pytest.fixture
def quick(traced: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports trace the model once for all tests."""
    monkeypatch.setattr(graphs, "trace", lambda model: copy.deepcopy(traced))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    export(run, folder)
    return folder


def test_the_bundle_serves_what_the_checkpoint_says(
    run: Path, bundle: Path, manifest: Manifest
) -> None:
    served, trained = BundleEncoder(Bundle.open(bundle)), CheckpointEncoder(run)
    images = [open_image(path) for path in manifest.files()[:9]]
    tags = [manifest[k].tags for k in range(9)]
    street, right = served.encode_street(images), trained.encode_street(images)
    np.testing.assert_allclose(street.embedding, right.embedding, atol=1e-4)
    assert street.local is not None
    assert right.local is not None
    np.testing.assert_allclose(street.local, right.local, atol=1e-4)
    shop, other = served.encode_shop(images, tags), trained.encode_shop(images, tags)
    np.testing.assert_allclose(shop.embedding, other.embedding, atol=1e-4)
    np.testing.assert_allclose(shop.norm, other.norm, rtol=1e-4)
    assert shop.attention is not None
    np.testing.assert_allclose(shop.attention, other.attention, atol=1e-4)
    untagged = served.encode_shop(images, [()] * 9)
    assert np.abs(untagged.embedding - shop.embedding).max() > 1e-7
    for count in (1, 9):
        contexts = (shop.embedding * shop.norm[:, None])[:count]
        found = served.rerank(street.local[0], contexts)
        expected = trained.rerank(street.local[0], contexts)
        np.testing.assert_allclose(found.distance, expected.distance, atol=1e-4)
        np.testing.assert_allclose(found.attention, expected.attention, atol=1e-4)
    assert served.embedding_dim == trained.embedding_dim == 16
    assert served.reranks
    assert trained.reranks


def test_the_description_says_what_it_is(run: Path, bundle: Path, manifest: Manifest) -> None:
    info = read_info(bundle)
    verify(bundle, info)
    assert info.preprocessing.street_mean != (0.5, 0.5, 0.5)
    assert info.preprocessing == load_run(run).model.preprocessing
    assert info.vocabulary == manifest.tag_vocabulary()
    assert info.training["data"]["fingerprint"] == manifest.fingerprint()
    assert info.training["recipe"]["seed"] == 0
    assert 0 <= info.quality[0]["recall@1"] <= 1
    assert info.training["started_from"] == "random weights"
    served, trained = BundleEncoder(Bundle.open(bundle)), CheckpointEncoder(run)
    assert served.seen is not None
    assert trained.seen is not None
    assert served.seen.digest == trained.seen.digest == info.training["seen"]["digest"]
    assert len(served.seen.items) == len(set(manifest.column("item_id"))) - 2  # of train
    assert info.grid is not None
    assert info.precision_loss["max_abs_error"] <= 1e-4
    card = (bundle / "README.md").read_text()
    assert "ACM MM 2017" in card
    assert manifest.fingerprint() in card


def test_a_bundle_names_files_without_the_folders_of_this_machine() -> None:
    recipe = {
        "start": "/home/me/runs/first",
        "model": {"config": {"nets": [{"weights": "/x/w.pth"}]}},
    }
    assert without_folders(recipe) == {
        "start": "first",
        "model": {"config": {"nets": [{"weights": "w.pth"}]}},
    }
    assert without_folders({"start": None, "threads": 1}) == {"start": None, "threads": 1}


def test_the_shared_backbone_is_stored_once(run: Path, bundle: Path) -> None:
    model = load_run(run).model
    own = sum(p.numel() for p in model.parameters()) * 4
    assert (bundle / "weights.bin").stat().st_size < 1.1 * own
    street, shop = (
        {
            e.value
            for t in onnx.load(
                str(bundle / f"{role}.onnx"), load_external_data=False
            ).graph.initializer
            for e in t.external_data
            if e.key == "offset"
        }
        for role in ("street", "shop")
    )
    assert street & shop
    assert street != shop


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("precision", "share"), [("float16", 0.6), ("int8", 0.45)])
def test_smaller_precisions_tell_their_loss(
    tmp_path: Path, run: Path, bundle: Path, manifest: Manifest, precision: str, share: float
) -> None:
    images = [open_image(path) for path in manifest.files()[:4]]
    info = export(run, tmp_path / "small", ExportOptions(precision, images))
    assert info.precision == precision
    assert info.fingerprint != read_info(bundle).fingerprint
    small = (tmp_path / "small" / "weights.bin").stat().st_size
    assert small < share * (bundle / "weights.bin").stat().st_size
    encoder, exact = BundleEncoder(Bundle.open(tmp_path / "small")), CheckpointEncoder(run)
    found, right = encoder.encode_street(images), exact.encode_street(images)
    cosine = (found.embedding * right.embedding).sum(axis=1).min()
    assert 0.9 < info.precision_loss["min_cosine"] <= cosine + 1e-5
    assert 1e-7 < info.precision_loss["max_abs_error"] < 0.5


@pytest.mark.usefixtures("quick")
def test_the_detector_of_another_bundle_is_taken(run: Path, tmp_path: Path) -> None:
    info = put_tiny_detector(make_tiny_bundle(tmp_path / "other"))
    words = ["export", str(run), "-o", str(tmp_path / "new"), "--detector"]
    assert main([*words, str(tmp_path / "nothing")]) == 1
    assert main([*words, str(tmp_path / "other")]) == 0
    new = Bundle.open(tmp_path / "new")
    assert new.info.detector == info.detector
    assert new.session("detector", 1)


def test_int8_is_the_nearest_of_255_levels_for_each_channel() -> None:
    values = np.random.default_rng(0).standard_normal((5, 7, 3)).astype(np.float32)
    for axis in (0, 2):
        levels, scale = _int8(values, axis)
        for channel in range(values.shape[axis]):
            own = values.take(channel, axis)
            step = np.abs(own).max() / 127
            np.testing.assert_allclose(scale.take(channel, axis), step, rtol=1e-6)
            back = levels.take(channel, axis).astype(np.float32) * step
            assert np.abs(back - own).max() <= step / 2 + 1e-6


def test_a_bundle_that_differs_is_not_written(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *_: {"max_abs_error": 2e-4, "min_cosine": 1.0})
    monkeypatch.setattr(graphs, "trace", lambda model: {})
    with pytest.raises(TrainingError, match="not written"):
        export(run, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_refusals(tmp_path: Path, run: Path, bundle: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        export(run, bundle)
    with pytest.raises(UsageError, match="Did you mean 'float16'"):
        export(run, tmp_path / "new", ExportOptions("float61"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="other things"):
        export(run, tmp_path / "other", ExportOptions(force=True))
    with pytest.raises(TrainingError, match="is no run"):
        export(tmp_path, tmp_path / "new")
    (run / "checkpoints" / "3-CtxYNet-best.safetensors").rename(tmp_path / "kept")
    try:
        assert load_run(run).stage == "TagYNet"
        (run / "checkpoints" / "3-CtxYNet-best.safetensors").write_bytes(b"\x08damaged")
        with pytest.raises(TrainingError, match="can't be read"):
            load_run(run)
    finally:
        (tmp_path / "kept").rename(run / "checkpoints" / "3-CtxYNet-best.safetensors")


def test_the_checkpoint_encoder_takes_no_pictures_and_many(run: Path) -> None:
    encoder = CheckpointEncoder(run, device="cpu", batch_size=2)
    assert encoder.encode_street([]).embedding.shape == (0, 16)
    assert encoder.encode_shop([], []).norm.shape == (0,)
    images = [np.full((20, 30, 3), 40 * k, np.uint8) for k in range(5)]
    many = encoder.encode_street(images).embedding
    single = np.concatenate([encoder.encode_street([image]).embedding for image in images])
    np.testing.assert_allclose(many, single, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    assert encoder.fingerprint == CheckpointEncoder(run).fingerprint
