from __future__ import annotations

import numpy as np
import pytest

from hemline.errors import UsageError
from hemline.ranking.distances import cosine_of_distance, euclidean_distances


def test_euclidean_is_the_distance_and_refuses_what_is_not_finite() -> None:
    rng = np.random.default_rng(6)
    q, g = rng.normal(size=(7, 4)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    slow = [[np.linalg.norm(a - b) for b in g] for a in q]
    assert np.allclose(euclidean_distances(q, g), slow, atol=1e-5)
    g[0, 0] = np.nan
    with pytest.raises(UsageError, match="NaN"):
        euclidean_distances(q, g)
    with pytest.raises(UsageError, match="can't be compared"):
        euclidean_distances(q, q[:, :2])


def test_the_cosine_of_unit_vectors() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    distance = np.array([np.linalg.norm(a - b)], np.float32)
    assert cosine_of_distance(distance)[0] == pytest.approx(float(a @ b), abs=1e-6)
