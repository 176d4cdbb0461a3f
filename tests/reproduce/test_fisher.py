"""Dense SIFT and Fisher vectors against the sums written out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hemline.errors import UsageError
from hemline.reproduce.fisher import (
    FisherEncoder,
    dense_sift,
)
from hemline.types import Image


def picture(seed: int, side: int = 96) -> Image:
    draw = np.random.default_rng(seed)
    rough = draw.integers(0, 256, (side // 6, side // 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="module")
def encoder() -> FisherEncoder:
    pictures = [picture(seed) for seed in range(8)]
    return FisherEncoder(gaussians=3, size=64, sample=600).fit(pictures, len(pictures))


def test_descriptors_stand_every_four_pixels_with_bins_of_eight() -> None:
    image = picture(0, 64)
    found = dense_sift(image, 64)
    side = (64 - 32) // 4 + 1
    assert found.shape == (side * side, 128)
    # A change outside the 32 pixels about a point leaves its descriptor as it is.
    other = image.copy()
    other[48:, 48:] = 0
    changed = np.abs(dense_sift(other, 64) - found).sum(axis=1).reshape(side, side)
    assert changed[0, 0] == 0
    assert changed[-1, -1] > 0


def test_the_published_lengths() -> None:
    assert FisherEncoder(64).embedding_dim == 8192
    assert FisherEncoder(128).embedding_dim == 16384


def test_the_vector_is_the_gradient_of_the_likelihood(encoder: FisherEncoder) -> None:
    """Perronnin et al.: (x - mu) / sigma and its square, weighed by who is responsible."""
    image = picture(3)
    pca, mixture = encoder._fitted()
    rows = pca.transform(dense_sift(image, 64))
    gamma = mixture.predict_proba(rows)
    first, second = [], []
    for k in range(3):
        scaled = (rows - mixture.means_[k]) / np.sqrt(mixture.covariances_[k])
        weight, share = mixture.weights_[k], gamma[:, k : k + 1]
        first.append((share * scaled).mean(axis=0) / np.sqrt(weight))
        # scikit-image turns this part's sign, which no distance sees.
        second.append((share * (1 - scaled**2)).mean(axis=0) / np.sqrt(2 * weight))
    wanted = np.concatenate([np.ravel(first), np.ravel(second)])
    wanted = np.sign(wanted) * np.sqrt(np.abs(wanted))
    wanted /= np.linalg.norm(wanted)
    found = encoder.vector(image)
    assert found.shape == (encoder.embedding_dim,) == (384,)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_blurred_picture_is_nearest_to_itself(encoder: FisherEncoder) -> None:
    pictures = [picture(seed) for seed in range(20, 28)]
    shop = encoder.encode_shop(pictures, [()] * 8)
    street = encoder.encode_street([cv2.GaussianBlur(p, (0, 0), 0.8) for p in pictures])
    assert (street.embedding @ shop.embedding.T).argmax(axis=1).tolist() == list(range(8))
    np.testing.assert_allclose(np.linalg.norm(shop.embedding, axis=1), 1, atol=1e-5)


def test_the_same_seed_fits_the_same_and_says_so(encoder: FisherEncoder) -> None:
    pictures = [picture(seed) for seed in range(8)]
    again = FisherEncoder(gaussians=3, size=64, sample=600).fit(pictures, len(pictures))
    assert again.fingerprint == encoder.fingerprint
    other = FisherEncoder(gaussians=3, size=64, sample=600, seed=1).fit(pictures, len(pictures))
    assert other.fingerprint != encoder.fingerprint


def test_what_is_missing_is_told() -> None:
    with pytest.raises(UsageError, match="fit"):
        FisherEncoder(3).encode_street([picture(0)])
    with pytest.raises(UsageError, match="32 px"):
        FisherEncoder(3, size=16)
    with pytest.raises(UsageError, match="no picture"):
        FisherEncoder(3).fit([], 0)
