"""Domain centering: subtracts each domain's running mean from its features.

Street and shop images differ by an offset that doesn't depend on the item. Attention sums to 1 over
locations, so attended and averaged vectors are centred equally.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DomainCentering(nn.Module):
    """x − μ, μ the running mean over images and locations of a domain's features.

    In training μ is the mean of all batches at first, and later of about the last 1 / ``momentum``.
    No gradient flows through μ. In evaluation μ is fixed.

    Args:
        channels: C.
        momentum: least weight of a batch.
    """

    mean: Tensor
    batches: Tensor

    def __init__(self, channels: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        if self.training:
            with torch.no_grad():
                self.batches += 1
                weight = (1.0 / self.batches).clamp(min=self.momentum)
                now = features.mean(dim=(0, 2, 3)).to(self.mean.dtype)
                self.mean.lerp_(now, weight.to(self.mean.dtype))
        return features - self.mean.to(features.dtype).view(-1, 1, 1)
