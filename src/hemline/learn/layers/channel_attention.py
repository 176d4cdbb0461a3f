"""Channel attention: the co-attention of AHBN, and the two variants it is compared with.

H. Su, P. Wang, L. Liu, H. Li, Z. Li, Y. Zhang, "Where to Look and How to Describe: Fashion Image
Retrieval with an Attentional Heterogeneous Bilinear Network", IEEE TCSVT 31(8), 2021,
https://arxiv.org/abs/2010.13357. Eqs. 3-8.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Gate = Literal["sigmoid", "softmax"]


class CoAttention(nn.Module):
    """Channel weights of two branches, each computed from both.

    Args:
        first, second: channels C₁ and C₂ of the branches.
        hidden: projection dimensions of the two perceptrons (open in the paper).
        together: False computes each branch's weights from itself alone ("Sepa. Atten.", two
            squeeze-and-excitation blocks).
        gate: ``sigmoid`` (the paper's) or ``softmax`` over the channels.
    """

    def __init__(
        self,
        first: int,
        second: int,
        hidden: int = 512,
        together: bool = True,
        gate: Gate = "sigmoid",
    ) -> None:
        super().__init__()
        self.together, self.gate = together, gate
        both = first + second
        self.first = _perceptron(both if together else first, hidden, first)
        self.second = _perceptron(both if together else second, hidden, second)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C₁, H, W), (B, C₂, H', W') → their channel weights (B, C₁) and (B, C₂)."""
        one, two = first.mean(dim=(2, 3)), second.mean(dim=(2, 3))  # Eq. 3, 4
        if self.together:
            one = two = torch.cat([one, two], dim=1)
        return self._gated(self.first(one)), self._gated(self.second(two))  # Eq. 5, 6

    def _gated(self, scores: Tensor) -> Tensor:
        return scores.sigmoid() if self.gate == "sigmoid" else scores.softmax(dim=1)


def weigh(features: Tensor, weights: Tensor) -> Tensor:
    """Each channel times its weight: (B, C, H, W), (B, C) → (B, C, H, W). Eq. 7, 8."""
    return features * weights[:, :, None, None]


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear maps without biases ("biases are omitted here") and a ReLU between them."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, outputs, bias=False)
    )
