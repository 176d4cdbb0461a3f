"""Landmarks as numbers: the loss of their locations and of their visibility.

FashionNet (https://liuziwei7.github.io/projects/DeepFashion.html), section 3.2:
Σ ‖v ⊙ (l − l̂)‖² over visible landmarks, and the softmax loss of visibility.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from hemline.learn.losses.heatmap import visible


def location_loss(where: Tensor, landmarks: Tensor, side: int) -> Tensor:
    """Mean squared distance of visible landmarks, in shares of the side.

    Args:
        where: (B, K, 2) x, y as shares of the side.
        landmarks: (B, K, 3) x, y in the square's pixels and visibility.
        side: of the square.

    Returns:
        () loss; 0 where no landmark is visible.
    """
    gap = (where - landmarks[..., :2] / side).square().sum(dim=2)
    seen = visible(landmarks)
    return (gap * seen).sum() / seen.sum().clamp(min=1)


def visibility_loss(scores: Tensor, landmarks: Tensor) -> Tensor:
    """Cross-entropy of absent (0), occluded (1), visible (2): scores (B, K, 3) → ()."""
    return functional.cross_entropy(scores.flatten(0, 1), landmarks[..., 2].flatten().long())
