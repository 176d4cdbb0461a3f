from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from hemline.data.preprocess import Preprocessing, prepare, resize_square


def test_each_domain_has_its_own_mean_and_deviation() -> None:
    image = np.full((8, 8, 3), 255, np.uint8)
    image[..., 2] = 0
    spec = Preprocessing(size=8, street_mean=(0.5, 0.25, 0.0), street_std=(0.5, 0.25, 1.0))
    street = prepare(image, spec, "street")
    assert street.shape == (3, 8, 8)
    assert street.dtype == np.float32
    np.testing.assert_allclose(street[:, 0, 0], [1.0, 3.0, 0.0])
    np.testing.assert_allclose(prepare(image, spec, "shop")[:, 0, 0], [1.0, 1.0, -1.0])


def test_padding_keeps_proportions_and_stretching_does_not() -> None:
    image = np.full((40, 20, 3), 200, np.uint8)
    image[10:30, 5:15] = 10
    padded = resize_square(image, 40, "pad")
    assert padded.shape == (40, 40, 3)
    dark = padded[..., 0] < 100
    assert (dark.any(axis=0).sum(), dark.any(axis=1).sum()) == (10, 20)
    assert (padded[0, 0] == 200).all()
    dark = resize_square(image, 40, "stretch")[..., 0] < 100
    assert (dark.any(axis=0).sum(), dark.any(axis=1).sum()) == (20, 20)


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(ValidationError):
        Preprocessing(resize="crop")
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"side": 224})
