from __future__ import annotations

import pytest
import torch

from hemline.learn.layers.adaptive_pooling import adaptive_max_pool, windows


@pytest.mark.parametrize(("height", "width"), [(6, 6), (13, 13), (5, 7), (3, 3), (2, 1)])
def test_as_torch_has_it(height: int, width: int) -> None:
    features = torch.randn(2, 4, height, width, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.adaptive_max_pool2d(features, 3)
    assert torch.equal(adaptive_max_pool(features, 3), wanted)


def test_by_hand() -> None:
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert adaptive_max_pool(features, 2).tolist() == [[[[5, 7], [13, 15]]]]
    assert windows(6, 3) == [(0, 2), (2, 4), (4, 6)]


def test_the_gradient_goes_to_the_maximum_of_each_window() -> None:
    features = torch.arange(36.0).reshape(1, 1, 6, 6).requires_grad_()
    adaptive_max_pool(features, 3).sum().backward()
    rows = {7, 9, 11, 19, 21, 23, 31, 33, 35}
    assert features.grad is not None
    assert set(features.grad.flatten().nonzero().flatten().tolist()) == rows
