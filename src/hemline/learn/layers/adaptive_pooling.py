"""Adaptive max-pooling as slices, which export to ONNX for every size.

DARN, section 4.1: "the max-pooling layer is used to down-sample the response of the convolutional
layers into 3 × 3 × f_n". The windows are those of torch's ``adaptive_max_pool2d``.
"""

from __future__ import annotations

import torch
from torch import Tensor


def windows(length: int, count: int) -> list[tuple[int, int]]:
    """``count`` windows that cover 0 … length, as (first, past the last); they may overlap."""
    return [(n * length // count, -(-(n + 1) * length // count)) for n in range(count)]


def adaptive_max_pool(features: Tensor, count: int = 3) -> Tensor:
    """(B, C, H, W) → (B, C, count, count), the maximum of each window; H and W are fixed."""
    height, width = features.shape[-2:]
    rows = [features[:, :, a:b].amax(dim=2) for a, b in windows(height, count)]  # (B, C, W) each
    wide = torch.stack(rows, dim=2)  # (B, C, count, W)
    return torch.stack([wide[..., a:b].amax(dim=3) for a, b in windows(width, count)], dim=3)
