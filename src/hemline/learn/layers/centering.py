"""Takes each domain's own mean out of its features.

Phone photos and shop pictures differ on the whole before they differ in what they show; a running
mean of each domain, subtracted at the end of its branch, removes that offset. Weights over
locations sum to 1, so attended and averaged vectors are centred alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DomainCentering(nn.Module):
    """x − μ, μ the running mean of the evenly averaged features of a domain.

    While training each batch moves μ: the plain mean of all batches at first, of the last
    1 / ``momentum`` or so later. No gradient flows through μ. In evaluation μ is fixed.

    Args:
        channels: C.
        momentum: the least weight of a batch.
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
