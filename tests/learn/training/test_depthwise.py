"""Depthwise convolutions that stay in float32 under the processor's autocast."""

from __future__ import annotations

import copy

import timm
import torch
from torch import nn

from hemline.learn.training.depthwise import keep_float32


def test_only_wide_and_strided_depthwise_convolutions_change() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 5, groups=8),
        nn.Conv2d(8, 8, 3, stride=2, groups=8),
        nn.Conv2d(8, 8, 5, groups=2),
    )
    names = list(network.state_dict())
    assert keep_float32(network) == 2
    assert keep_float32(network) == 0
    assert [isinstance(layer, nn.Conv2d) for layer in network] == [True] * 5
    assert list(network.state_dict()) == names


def test_they_give_the_same_outside_autocast_and_float32_gradients_inside() -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=4).eval()
    plain = copy.deepcopy(network)
    assert keep_float32(network) > 0
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(images), plain(images))
    layer = next(m for m in network.modules() if type(m).__name__.startswith("Float32"))
    own = copy.deepcopy(layer)
    features = torch.randn(1, layer.in_channels, 9, 9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(features)
        # A copy has weights of its own.
        own.weight.data.zero_()
        assert float(own(features).detach().abs().max()) == 0
    assert found.dtype == torch.bfloat16
    exact = layer(features.float())
    assert torch.equal(found, exact.bfloat16())
    found.float().sum().backward()
    got = layer.weight.grad
    layer.weight.grad = None
    exact.sum().backward()
    assert torch.allclose(got, layer.weight.grad, atol=1e-5)
