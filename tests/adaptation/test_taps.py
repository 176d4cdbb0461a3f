from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hemline
from helpers.tiny_bundle import make_tiny_bundle
from hemline.adaptation.taps import read_nodes, with_features
from hemline.errors import BundleError
from hemline.runtime.bundle import Bundle, shipped

RNG = np.random.default_rng(0)


def images(side: int, count: int = 2) -> list[np.ndarray]:
    return [RNG.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def test_the_means_of_layers_become_an_output_and_the_others_stay(tmp_path: Path) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "tiny"))
    photos, tags = images(16), [["colour=red"], ["colour=blue"]]
    plain = hemline.load(bundle)
    with with_features(bundle) as (towers, blocks):
        encoder = hemline.load(towers)
        street = encoder.outputs(photos, "street")
        shop = encoder.outputs(photos, "shop", tags)
        place = towers.folder
    assert blocks == (8, 8)
    assert not place.exists()
    expected, goods = plain.encode_street(photos), plain.encode_shop(photos, tags)
    for found, own in ((street, expected), (shop, goods)):
        np.testing.assert_allclose(found["embedding"], own.embedding, atol=1e-6)
        np.testing.assert_allclose(found["features"][:, 8:], own.embedding, atol=1e-6)
    assert expected.local is not None
    np.testing.assert_allclose(street["local"], expected.local, atol=1e-6)
    # The layer is the convolution of both towers, which have the same weights.
    np.testing.assert_allclose(street["features"][:, :8], shop["features"][:, :8], atol=1e-5)
    assert np.ptp(street["features"][:, :8], axis=0).min() > 0


def test_the_bundle_that_ships_has_six_layers() -> None:
    (name,) = shipped()
    with with_features(Bundle.open(name)) as (towers, blocks):
        assert len(blocks) == 7
        assert blocks[-1] == towers.info.embedding_dim
        features = hemline.load(towers).outputs(images(64, 1), "street")["features"]
    assert features.shape == (1, sum(blocks))
    assert np.isfinite(features).all()


def test_the_nodes_of_a_graph_are_read_without_onnx(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "tiny")
    nodes = list(read_nodes((bundle / "street.onnx").read_bytes()))
    assert [node.op for node in nodes][:2] == ["Conv", "Tanh"]
    assert nodes[0].inputs == ("images", "conv", "bias")
    assert nodes[0].outputs == ("map",)
    with pytest.raises(BundleError, match="isn't an ONNX model"):
        list(read_nodes(b"\x3a\xff\x01abc"))
