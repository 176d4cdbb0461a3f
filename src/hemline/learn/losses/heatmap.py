"""Landmarks as heat maps: target maps, their loss, and landmarks from maps.

AHBN (https://arxiv.org/abs/2010.13357), Eq. 2: Σ_j v_j·‖ŷ_j − y_j‖² / N over the annotated
landmarks, v_j their visibility. The maps are Gaussians as in Newell et al., ECCV 2016.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from hemline.learn.loss import LossSpec


def target_maps(landmarks: Tensor, side: int, cells: int, sigma: float = 1.0) -> Tensor:
    """A Gaussian of height 1 around each landmark.

    Args:
        landmarks: (B, K, 3) x, y in pixels of the square image and visibility (2 is visible).
        side: of the square, in pixels.
        cells: H = W of the maps.
        sigma: in cells.

    Returns:
        (B, K, cells, cells).
    """
    axis = torch.arange(cells, device=landmarks.device, dtype=landmarks.dtype) + 0.5
    scale = cells / side
    x = (axis - landmarks[..., 0:1] * scale).square()  # (B, K, cells)
    y = (axis - landmarks[..., 1:2] * scale).square()
    distance = y.unsqueeze(3) + x.unsqueeze(2)
    return torch.exp(-distance / (2 * sigma * sigma))


def visible(landmarks: Tensor) -> Tensor:
    """(B, K, 3) → (B, K) of 0 and 1: visible, not occluded and not absent."""
    return landmarks[..., 2].ge(2).to(landmarks.dtype)


def heatmap_loss(
    heatmaps: Tensor,
    landmarks: Tensor,
    side: int,
    sigma: float = 1.0,
    over: Literal["visible", "annotated"] = "visible",
) -> Tensor:
    """Squared error of the maps of visible landmarks, the mean over every hourglass. Eq. 2.

    Args:
        heatmaps: (N, B, K, H, H) of N hourglasses.
        landmarks: (B, K, 3) x, y in pixels of the square image and visibility (2 is visible).
        side: of the square, in pixels.
        sigma: of the target Gaussians, in cells.
        over: the sum of the visible landmarks' errors is divided by the number of ``visible`` ones
            of the batch, or, as in Eq. 2, by that of the ``annotated`` ones of each image (visible
            or occluded), and averaged over the images that have any.

    Returns:
        () the mean over landmarks and hourglasses of the map's summed squared error; 0 where no
        landmark is visible.

    Raises:
        RuntimeError: the numbers of landmarks and maps differ.

    Example:
        >>> landmarks = torch.tensor([[[2.0, 6.0, 2.0]]])  # one, visible, in an image of 8 pixels
        >>> maps = target_maps(landmarks, side=8, cells=4)
        >>> heatmap_loss(maps.unsqueeze(0) + 0.5, landmarks, side=8)
        tensor(4.0000)
    """
    target = target_maps(landmarks, side, heatmaps.shape[-1], sigma)
    error = (heatmaps - target).square().sum(dim=(3, 4)).mean(dim=0)  # (B, K)
    seen = visible(landmarks)
    if over == "visible":
        return (error * seen).sum() / seen.sum().clamp(min=1)
    annotated = landmarks[..., 2].ge(1).to(error.dtype).sum(dim=1)  # (B,), N of Eq. 2
    each = (error * seen).sum(dim=1) / annotated.clamp(min=1)
    return each.sum() / annotated.gt(0).sum().clamp(min=1)


def points_of(heatmaps: Tensor, side: int) -> Tensor:
    """Landmarks from maps: the centre of the highest cell, moved a quarter of a cell towards its
    higher neighbour.

    Args:
        heatmaps: (B, K, H, W).
        side: of the square, in pixels.

    Returns:
        (B, K, 2) x, y in pixels of the square image.
    """
    rows, points, height, width = heatmaps.shape
    best = heatmaps.flatten(2).argmax(dim=2)
    y, x = best // width, best % width

    def at(dy: int, dx: int) -> Tensor:
        place = (y + dy).clamp(0, height - 1) * width + (x + dx).clamp(0, width - 1)
        return heatmaps.flatten(2).gather(2, place.unsqueeze(2)).squeeze(2)

    shift = torch.stack([at(0, 1) - at(0, -1), at(1, 0) - at(-1, 0)], dim=2).sign() * 0.25
    cells = torch.stack([x, y], dim=2).to(heatmaps.dtype) + 0.5 + shift
    scale = torch.tensor([side / width, side / height], device=heatmaps.device)
    return (cells * scale).view(rows, points, 2)


LOSSES = {"heatmap": LossSpec(heatmap_loss, "labels")}
