"""The hourglasses: shapes, every location hears of every other, the published size."""

from __future__ import annotations

import pytest
import torch

from hemline.learn.layers.hourglass import Hourglass, Residual, StackedHourglass


def test_the_published_size() -> None:
    """256 px in, 64×64 maps out; Newell's network of four has some 13 million parameters."""
    with torch.device("meta"):
        network = StackedHourglass(8)
        found = network(torch.empty(1, 3, 256, 256))
    assert found.features.shape == (1, 256, 64, 64)
    assert found.heatmaps.shape == (4, 1, 8, 64, 64)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(13.0e6, rel=0.03)


def test_an_hourglass_keeps_the_size_and_looks_everywhere() -> None:
    torch.manual_seed(0)
    glass = Hourglass(2, 32).eval()
    image = torch.randn(1, 32, 8, 8, requires_grad=True)
    out = glass(image)
    assert out.shape == image.shape
    out[0, :, 0, 0].sum().backward()
    assert image.grad is not None
    assert float(image.grad[0, :, 7, 7].abs().sum()) > 0


def test_a_residual_starts_from_what_came_in() -> None:
    block = Residual(4, 4).eval()
    for parameter in block.body[-1].parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(image), image)


def test_each_glass_hears_of_the_maps_before_it() -> None:
    torch.manual_seed(0)
    network = StackedHourglass(3, channels=8, stacks=2, depth=1).eval()
    image = torch.randn(1, 3, 32, 32)
    before = network(image).heatmaps[1]
    torch.nn.init.constant_(network.maps[0].bias, 5.0)
    assert not torch.equal(before, network(image).heatmaps[1])
