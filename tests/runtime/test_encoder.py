from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import CHANNELS, LOCATIONS, SIZE, make_tiny_bundle, weights
from hemline.data.preprocess import prepare
from hemline.errors import UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


def pictures(count: int, seed: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8) for i in range(count)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> BundleEncoder:
    folder = make_tiny_bundle(tmp_path_factory.mktemp("b") / "bundle")
    return BundleEncoder(Bundle.open(folder), threads=1, batch=2)


def slow_local(encoder: BundleEncoder, image: np.ndarray) -> np.ndarray:
    """(C, L) of the tiny model by plain loops."""
    w = weights()
    pixels = prepare(image, encoder.bundle.info.preprocessing, "street")
    mapped = np.tanh(
        np.einsum("oc,chw->ohw", w["conv"][:, :, 0, 0], pixels) + w["bias"][:, None, None]
    )
    half = SIZE // 2
    corners = [(y, x) for y in (0, half) for x in (0, half)]
    quarters = [mapped[:, y : y + half, x : x + half].mean(axis=(1, 2)) for y, x in corners]
    return np.stack(quarters, axis=1)


def test_street_equals_the_slow_way_over_several_batches(encoder: BundleEncoder) -> None:
    images = pictures(5)
    got = encoder.encode_street(images)
    assert got.embedding.shape == (5, CHANNELS)
    assert got.local is not None
    for i, image in enumerate(images):
        local = slow_local(encoder, image)
        np.testing.assert_allclose(got.local[i], local, atol=1e-5)
        mean = local.mean(axis=1)
        np.testing.assert_allclose(got.embedding[i], mean / np.linalg.norm(mean), atol=1e-5)


def test_shop_attends_by_its_own_tags(encoder: BundleEncoder) -> None:
    images = pictures(3)
    tags = [["colour=red"], [], ["pattern=floral", "colour=blue"]]
    got = encoder.encode_shop(images, tags)
    assert got.attention is not None
    assert got.attention.shape == (3, LOCATIONS)
    attention = weights()["attention"]
    for i, logits in enumerate([attention[1], np.zeros(LOCATIONS), attention[0] + attention[2]]):
        share = np.exp(logits) / np.exp(logits).sum()
        vector = slow_local(encoder, images[i]) @ share
        np.testing.assert_allclose(got.attention[i], share, atol=1e-5)
        np.testing.assert_allclose(got.norm[i], np.linalg.norm(vector), atol=1e-5)
        np.testing.assert_allclose(got.embedding[i] * got.norm[i], vector, atol=1e-5)


def test_unknown_tags_are_counted_and_ignored(encoder: BundleEncoder) -> None:
    encoder.unknown_tags.clear()
    known = encoder.encode_shop(pictures(1), [["colour=red"]])
    both = encoder.encode_shop(pictures(1), [["colour=red", "fit=loose"]])
    np.testing.assert_array_equal(known.embedding, both.embedding)
    assert encoder.unknown_tags == {"fit=loose": 1}


def test_rerank_equals_the_slow_way(encoder: BundleEncoder) -> None:
    rng = np.random.default_rng(0)
    local = rng.normal(size=(CHANNELS, LOCATIONS)).astype(np.float32)
    contexts = rng.normal(size=(7, CHANNELS)).astype(np.float32)
    got = encoder.rerank(local, contexts)
    for k, context in enumerate(contexts):
        share = np.exp(context @ local)
        share /= share.sum()
        query = local @ share
        gap = query / np.linalg.norm(query) - context / np.linalg.norm(context)
        np.testing.assert_allclose(got.attention[k], share, atol=1e-5)
        np.testing.assert_allclose(got.distance[k], np.linalg.norm(gap), atol=1e-5)
    assert encoder.rerank(local, contexts[:0]).attention.shape == (0, LOCATIONS)


def test_a_model_without_tags_and_reranking(tmp_path: Path) -> None:
    folder = make_tiny_bundle(tmp_path / "plain", tags=False, reranks=False)
    plain = BundleEncoder(Bundle.open(folder), threads=1)
    assert plain.encode_street(pictures(2)).local is None
    shop = plain.encode_shop(pictures(2), [["colour=red"], []])
    assert shop.attention is None
    np.testing.assert_allclose(
        shop.embedding, plain.encode_street(pictures(2)).embedding, atol=1e-6
    )
    with pytest.raises(UsageError, match="doesn't re-rank"):
        plain.rerank(np.zeros((8, 4), np.float32), np.zeros((1, 8), np.float32))


def test_no_pictures_give_empty_arrays(encoder: BundleEncoder) -> None:
    assert encoder.encode_street([]).embedding.shape == (0, CHANNELS)
    assert encoder.encode_shop([], []).norm.shape == (0,)


def test_bad_use_is_refused(encoder: BundleEncoder) -> None:
    with pytest.raises(UsageError, match="as many lists of tags"):
        encoder.encode_shop(pictures(2), [[]])
    with pytest.raises(UsageError, match="at least 1"):
        BundleEncoder(encoder.bundle, batch=0)
