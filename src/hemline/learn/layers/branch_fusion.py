"""Fusion of two branches: weighted by channel, resampled to one grid, pooled.

AHBN (https://arxiv.org/abs/2010.13357), section III-D, and the variants of its Table I.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.learn.layers.bilinear import CompactBilinear, FullBilinear, signed_root
from hemline.learn.layers.channel_attention import CoAttention, Gate, weigh

Fusion = Literal["compact", "bilinear", "concat", "product", "sum"]
Attention = Literal["co", "separate", "none"]


class BranchFusion(nn.Module):
    """(B, C₁, H, W) and (B, C₂, H', W') → (B, P).

    Args:
        first, second: channels C₁ and C₂.
        grid: (H, W) that both are resampled to.
        fusion: ``compact`` or full ``bilinear`` pooling, ``concat``, ``product`` or ``sum``.
        sketch: size of the count sketch.
        width: channels that ``product`` and ``sum`` project both branches to.
        attention: of channels: ``co``, ``separate`` or ``none``.
        gate, hidden: of the attention, see `hemline.learn.layers.channel_attention`.

    Attributes:
        size: P.
        unit: whether the output has length 1.
    """

    def __init__(
        self,
        first: int,
        second: int,
        grid: tuple[int, int],
        fusion: Fusion = "compact",
        sketch: int = 8192,
        width: int = 512,
        attention: Attention = "co",
        gate: Gate = "sigmoid",
        hidden: int = 512,
    ) -> None:
        super().__init__()
        self.grid, self.fusion = grid, fusion
        self.attention: nn.Module | None = None
        if attention != "none":
            self.attention = CoAttention(first, second, hidden, attention == "co", gate)
        self.pooling: nn.Module | None = None
        self.unit = fusion in ("compact", "bilinear")
        if fusion == "compact":
            self.pooling, self.size = CompactBilinear(first, second, sketch), sketch
        elif fusion == "bilinear":
            self.pooling, self.size = FullBilinear(first, second), first * second
        elif fusion == "concat":
            self.size = first + second
        else:
            self.size = width
            self.first = nn.Conv1d(first, width, 1, bias=False)
            self.second = nn.Conv1d(second, width, 1, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        if self.attention is not None:
            one, two = self.attention(first, second)
            first, second = weigh(first, one), weigh(second, two)  # Eq. 7, 8
        left = resampled(first, self.grid).flatten(2)
        right = resampled(second, self.grid).flatten(2)
        if self.pooling is not None:  # Eq. 9-11, then signed square root and L2
            return functional.normalize(signed_root(self.pooling(left, right)), dim=1)
        if self.fusion == "concat":
            return torch.cat([left, right], dim=1).mean(dim=2)
        left, right = self.first(left), self.second(right)
        joined: Tensor = left * right if self.fusion == "product" else left + right
        return joined.mean(dim=2)


def resampled(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """To (H, W) ``grid``: averaged where it is smaller, interpolated where it is larger."""
    if maps.shape[-2] < grid[0] or maps.shape[-1] < grid[1]:
        return functional.interpolate(maps, size=grid, mode="bilinear", align_corners=False)
    return functional.adaptive_avg_pool2d(maps, grid)
