"""Distillation of features: what a frozen network knows stays readable in one that learns.

A linear layer predicts the frozen network's features from the learning one's (Romero et al.,
"FitNets: Hints for Thin Deep Nets", ICLR 2015, https://arxiv.org/abs/1412.6550). The learning
network may move its features freely, as long as nothing is lost that the frozen one's tell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureDistillation(nn.Module):
    """The share of a frozen network's variation that isn't predicted from a student's features.

    Args:
        channels: C, of both networks' features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.predict = nn.Linear(channels, channels)
        with torch.no_grad():
            nn.init.eye_(self.predict.weight)
            nn.init.zeros_(self.predict.bias)

    def forward(self, features: Tensor, frozen: Tensor) -> Tensor:
        """(B, C) the student's, (B, C) the frozen network's → () 1 − R², 0 for equal ones.

        Both are standardised over the batch, so that each channel counts alike.
        """
        wrong = self.predict(_standardised(features)) - _standardised(frozen)
        lost: Tensor = wrong.square().mean()
        return lost


def _standardised(features: Tensor) -> Tensor:
    return (features - features.mean(dim=0)) / (features.std(dim=0, correction=0) + 1e-4)
