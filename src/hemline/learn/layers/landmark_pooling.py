"""Landmark pooling: local features at landmarks, gated by their visibility.

Z. Liu, P. Luo, S. Qiu, X. Wang, X. Tang, "DeepFashion: Powering Robust Clothes Recognition and
Retrieval with Rich Annotations", CVPR 2016, section 3.1: the landmark branch gives locations and
visibility; features of an earlier convolution are max-pooled about each location, and those of
landmarks that aren't visible are set to zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LandmarkBranch(nn.Module):
    """Locations and visibility of landmarks.

    Args:
        inputs: length of the flattened features.
        hidden: of the fully connected layer.
        points: K.
    """

    def __init__(self, inputs: int, hidden: int, points: int) -> None:
        super().__init__()
        self.points = points
        self.hidden = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU())
        self.where = nn.Linear(hidden, points * 2)
        self.seen = nn.Linear(hidden, points * 3)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) → locations (B, K, 2) in fractions of the side, scores (B, K, 3) of absent,
        occluded and visible."""
        hidden = self.hidden(features.flatten(1))
        where = self.where(hidden).sigmoid().view(-1, self.points, 2)
        return where, self.seen(hidden).view(-1, self.points, 3)


def pool_at_landmarks(features: Tensor, where: Tensor, visible: Tensor, window: int = 3) -> Tensor:
    """The maximum over a window of cells at each landmark, times its visibility.

    Args:
        features: (B, C, H, W).
        where: (B, K, 2) x, y in fractions of the side.
        visible: (B, K) from 0 to 1.
        window: side in cells; values between cells are interpolated, those outside are zero.

    Returns:
        (B, K, C).
    """
    height, width = features.shape[-2:]
    step = torch.arange(window, device=features.device, dtype=features.dtype) - (window - 1) / 2
    down, across = step.repeat_interleave(window) / height, step.repeat(window) / width
    offsets = torch.stack([across, down], dim=1)  # (window², 2)
    places = (where.unsqueeze(2) + offsets) * 2 - 1  # (B, K, window², 2)
    found = functional.grid_sample(features, places, align_corners=False)  # (B, C, K, window²)
    return found.amax(dim=3).transpose(1, 2) * visible.unsqueeze(2)
