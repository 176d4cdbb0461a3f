from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from hemline.errors import DataError
from hemline.learn.layers.pca import PrincipalComponents, principal_components


def rows(count: int = 60, channels: int = 7) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    scale = torch.arange(channels, 0, -1).float()
    return torch.randn(count, channels, generator=draw) * scale + 3.0


def test_as_scikit_learn_has_it_whatever_the_batches() -> None:
    data = rows()
    mean, directions = principal_components(data.split(13), 4)
    theirs = PCA(4).fit(data.double().numpy())
    np.testing.assert_allclose(mean, theirs.mean_, atol=1e-9)
    for own, other in zip(directions.numpy(), theirs.components_, strict=True):
        assert abs(float(own @ other)) == pytest.approx(1, abs=1e-9)
        assert own[np.abs(own).argmax()] > 0


def test_the_layer_applies_what_was_fitted() -> None:
    data = rows()
    layer = PrincipalComponents(7, 3)
    layer.fit([data])
    reduced = layer(data)
    theirs = PCA(3).fit_transform(data.double().numpy())
    np.testing.assert_allclose(np.abs(reduced.detach()), np.abs(theirs), atol=1e-4)
    # all components keep every distance
    full = PrincipalComponents(7, 7)
    full.fit([data])
    first, second = full(data), full(data).roll(1, dims=0)
    wanted = (data - data.roll(1, dims=0)).norm(dim=1)
    torch.testing.assert_close((first - second).norm(dim=1), wanted, atol=1e-4, rtol=1e-4)


def test_fewer_pictures_than_dimensions_leave_directions_that_carry_nothing() -> None:
    data = rows(count=3)
    layer = PrincipalComponents(7, 5)
    layer.fit([data])
    gram = layer.weight @ layer.weight.T
    torch.testing.assert_close(gram, torch.eye(5))
    assert layer(data)[:, 2:].abs().max() < 1e-5


def test_one_picture_is_refused() -> None:
    with pytest.raises(DataError, match="components of 1 images; at least two"):
        principal_components([rows(count=1)], 2)
    with pytest.raises(DataError, match="of 0 images"):
        principal_components([], 2)
