"""Depthwise convolutions in float32 while a network trains in bfloat16 on a processor."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


class _Float32Convolution(nn.Module):
    """Mixed into a convolution: computes in float32 under the processor's autocast."""

    def forward(self, features: Tensor) -> Tensor:
        if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            plain: Tensor = super().forward(features)
            return plain
        with torch.autocast("cpu", enabled=False):
            exact: Tensor = super().forward(features.float())
        return exact.to(features.dtype)


@cache
def _in_float32(kind: type[nn.Module]) -> type[nn.Module]:
    return type(f"Float32{kind.__name__}", (_Float32Convolution, kind), {})


def keep_float32(network: nn.Module) -> int:
    """Lets depthwise convolutions compute in float32 where they are slow in bfloat16.

    oneDNN has no fast backward pass for those of a stride above 1 or of filters wider than 3 × 3 in
    bfloat16: one of stride 2 took 170 ms where float32 takes 10, and an EfficientNet-Lite2 spent
    three quarters of a training step in them. Parameters and their names stay as they are.

    Returns:
        The number of convolutions that it changed.
    """
    slow = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels > 1
        and (max(module.kernel_size) > 3 or max(module.stride) > 1)
        and not isinstance(module, _Float32Convolution)
    ]
    for module in slow:
        changed: Any = module
        changed.__class__ = _in_float32(changed.__class__)
    return len(slow)
