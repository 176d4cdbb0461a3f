"""Adapter: a residual bottleneck for each domain on top of a shared backbone.

N. Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", ICML 2019,
https://arxiv.org/abs/1902.00751.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """x + up(gelu(down(norm(x)))) at every location; the identity before training.

    Args:
        channels: C.
        width: of the bottleneck.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.down, self.up = nn.Linear(channels, width), nn.Linear(width, channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, local: Tensor) -> Tensor:
        """(B, C, L) → (B, C, L)."""
        rows = self.norm(local.transpose(1, 2))
        residual: Tensor = self.up(torch.nn.functional.gelu(self.down(rows)))
        return local + residual.transpose(1, 2)
