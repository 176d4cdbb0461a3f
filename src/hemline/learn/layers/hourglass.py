"""Stacked hourglasses: a fully convolutional network that predicts heat maps of landmarks.

A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016,
https://arxiv.org/abs/1603.06937. The landmark branch of AHBN (section III-C): "a convolution and
four hourglass blocks".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Located(NamedTuple):
    """Output of a stack of hourglasses for (B, 3, S, S) images.

    Attributes:
        features: (B, C, S/4, S/4), the last ones before the heat maps.
        heatmaps: (N, B, K, S/4, S/4), the maps of each of the N hourglasses; the last are the best.
    """

    features: Tensor
    heatmaps: Tensor


class Residual(nn.Module):
    """The bottleneck of the paper's figure 4: 1×1 to half, 3×3, 1×1 back, each after norm and ReLU.

    Args:
        inputs, outputs: channels; where they differ a 1×1 convolution carries the input over.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, outputs, 1),
        )
        self.carry: nn.Module = (
            nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.carry(features) + self.body(features)
        return out


class Hourglass(nn.Module):
    """``depth`` max poolings, then nearest-neighbour upsampling with skip connections:
    (B, C, H, W) → (B, C, H, W).
    """

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.across = Residual(channels, channels)
        self.down = Residual(channels, channels)
        self.inner: nn.Module = (
            Hourglass(depth - 1, channels) if depth > 1 else Residual(channels, channels)
        )
        self.up = Residual(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        small = self.up(self.inner(self.down(functional.max_pool2d(features, 2))))
        grown = functional.interpolate(small, size=features.shape[-2:], mode="nearest")
        across: Tensor = self.across(features)
        return across + grown


class StackedHourglass(nn.Module):
    """A convolution and a chain of hourglasses, each with its own heat maps.

    Args:
        points: K landmarks.
        channels: of all features (the papers' 256).
        stacks: number of hourglasses (AHBN has four).
        depth: number of times that each halves its maps (4).
    """

    def __init__(self, points: int, channels: int = 256, stacks: int = 4, depth: int = 4) -> None:
        super().__init__()
        self.channels = channels
        quarter, half = max(channels // 4, 2), max(channels // 2, 2)
        self.stem = nn.Sequential(
            nn.Conv2d(3, quarter, 7, stride=2, padding=3),
            nn.BatchNorm2d(quarter),
            nn.ReLU(),
            Residual(quarter, half),
            nn.MaxPool2d(2),
            Residual(half, half),
            Residual(half, channels),
        )
        self.glasses = nn.ModuleList(Hourglass(depth, channels) for _ in range(stacks))
        self.tops = nn.ModuleList(
            nn.Sequential(
                Residual(channels, channels),
                nn.Conv2d(channels, channels, 1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
            for _ in range(stacks)
        )
        self.maps = nn.ModuleList(nn.Conv2d(channels, points, 1) for _ in range(stacks))
        self.back = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(stacks - 1))
        self.told = nn.ModuleList(nn.Conv2d(points, channels, 1) for _ in range(stacks - 1))

    def forward(self, images: Tensor) -> Located:
        """(B, 3, S, S) → `Located` at a quarter of the side."""
        features = self.stem(images)
        heatmaps = []
        for number, (glass, top, maps) in enumerate(
            zip(self.glasses, self.tops, self.maps, strict=True)
        ):
            seen = top(glass(features))
            heatmaps.append(maps(seen))
            if number < len(self.back):
                features = features + self.back[number](seen) + self.told[number](heatmaps[-1])
        return Located(seen, torch.stack(heatmaps))
