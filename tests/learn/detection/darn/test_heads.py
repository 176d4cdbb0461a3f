from __future__ import annotations

import numpy as np
import pytest

from helpers.learning import SEED, learned
from hemline.learn.detection.darn.heads import Heads, fit_heads


# Twenty seeds: errors 0.055 to 0.071, offsets to 0.00003, margins from 0.96 and to -0.86.
def data(count: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The overlap is one direction of the features, the offsets are others."""
    rng = np.random.default_rng(SEED)
    overlap = np.round(rng.random(count) * 10) / 10
    by = rng.normal(0, 0.2, (count, 4))
    hidden = np.concatenate([overlap[:, None], by, rng.normal(0, 1, (count, 3))], axis=1)
    turned = np.linalg.qr(rng.normal(0, 1, (8, 8)))[0]
    features = hidden @ turned + 3
    return features.astype(np.float32), overlap, by


def test_svr_finds_the_overlap_and_the_way() -> None:
    features, overlap, by = data()
    heads = fit_heads(features, overlap, by, "svr", cost=1.0, ridge=1e-3)
    learned("worst error", float(np.abs(heads.raw(features) - overlap).max()), most=0.1)
    near = overlap >= 0.6
    gap = np.abs(heads.offsets(features[near]) - by[near])
    learned("worst offset", float(gap.max()), most=0.001)


def test_svm_parts_garments_from_background() -> None:
    features, overlap, by = data()
    heads = fit_heads(features, overlap, by, "svm", cost=1.0, ridge=1.0)
    raw = heads.raw(features)
    learned("lowest garment", float(raw[overlap == 1].min()), least=0.5)
    learned("highest background", float(raw[overlap < 0.3].max()), most=-0.5)


@pytest.mark.parametrize("kind", ["svr", "svm"])
def test_scores_lie_between_0_and_1_in_the_order_of_the_raw_ones(kind: str) -> None:
    one = np.ones(1, np.float32)
    box = np.zeros((4, 1), np.float32)
    heads = Heads(0 * one, one, one, np.float32(0), box, np.zeros(4, np.float32), kind)
    raw = np.linspace(-1, 2, 200, dtype=np.float32)[:, None]
    scores = heads.scores(raw)
    assert (np.diff(scores) > 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1
    if kind == "svr":
        middle = (raw[:, 0] > 0.1) & (raw[:, 0] < 0.9)
        np.testing.assert_allclose(scores[middle], raw[middle, 0], atol=1e-6)
