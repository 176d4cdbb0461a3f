"""Landmarks as coordinates: losses of their location and visibility.

Z. Liu, P. Luo, S. Qiu, X. Wang, X. Tang, "DeepFashion", CVPR 2016,
https://liuziwei7.github.io/projects/DeepFashion.html, section 3.2:
Σ ‖v ⊙ (l − l̂)‖² over visible landmarks, and the softmax loss of visibility.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from hemline.learn.loss import LossSpec
from hemline.learn.losses.heatmap import visible


def location_loss(where: Tensor, landmarks: Tensor, side: int) -> Tensor:
    """Mean squared distance ‖l − l̂‖² of visible landmarks, in fractions of the side.

    Args:
        where: (B, K, 2) x, y in fractions of the side, 0 to 1.
        landmarks: (B, K, 3) x, y in pixels of the square image and visibility (2 is visible).
        side: of the square, in pixels.

    Returns:
        () loss; 0 where no landmark is visible.

    Raises:
        RuntimeError: the numbers of landmarks differ.

    Example:
        >>> import torch
        >>> where = torch.tensor([[[0.5, 0.5]]])
        >>> landmarks = torch.tensor([[[4.0, 6.0, 2.0]]])  # one, visible, in an image of 8 pixels
        >>> location_loss(where, landmarks, side=8)
        tensor(0.0625)
    """
    gap = (where - landmarks[..., :2] / side).square().sum(dim=2)
    seen = visible(landmarks)
    return (gap * seen).sum() / seen.sum().clamp(min=1)


def visibility_loss(scores: Tensor, landmarks: Tensor) -> Tensor:
    """Softmax cross-entropy of each landmark's visibility.

    Args:
        scores: (B, K, 3) of absent (0), occluded (1) and visible (2).
        landmarks: (B, K, 3) x, y, visibility.

    Returns:
        () loss.

    Raises:
        IndexError: a visibility that isn't 0, 1 or 2.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[[0.0, 0.0, 2.0]]])
        >>> visibility_loss(scores, torch.tensor([[[4.0, 6.0, 2.0]]]))
        tensor(0.2395)
    """
    return functional.cross_entropy(scores.flatten(0, 1), landmarks[..., 2].flatten().long())


LOSSES = {
    "landmark_location": LossSpec(location_loss, "labels"),
    "landmark_visibility": LossSpec(visibility_loss, "labels"),
}
