"""Centroid loss: a photo is compared with the mean shop embedding of its item and of others.

M. Wieczorek, B. Rychalska, J. Dąbrowski, "On the Unreasonable Effectiveness of Centroids in Image
Retrieval", 2021, https://arxiv.org/abs/2104.13643.

Differs from the paper: the means run along the training, and a softmax replaces the triplet.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hemline.learn.layers.item_table import ItemTable
from hemline.learn.loss import LossSpec, RankingInputs, RankingLoss, RankingOptions


def centroid_loss(street: Tensor, rows: Tensor, means: Tensor, temperature: float = 0.07) -> Tensor:
    """−log of the softmax of cos(photo, mean) / temperature at the photo's item, over all means.

    Args:
        street: (B, D) unit embeddings of photos.
        rows: (B,) the row of each photo's item in ``means``.
        means: (P, D); rows of zeros are left out.
        temperature: of the softmax.

    Returns:
        () loss.

    Raises:
        IndexError: a row that ``means`` lacks.

    Example:
        >>> import torch
        >>> photos, rows = torch.eye(2), torch.tensor([0, 1])
        >>> centroid_loss(photos, rows, means=2 * torch.eye(2), temperature=1.0)
        tensor(0.3133)
    """
    logits = street @ functional.normalize(means, dim=1, eps=1e-6).T / temperature
    logits = logits.masked_fill(~means.detach().any(dim=1), float("-inf"))
    return functional.cross_entropy(logits, rows)


class CentroidLoss(ItemTable, RankingLoss):
    """`centroid_loss` over the running mean of each item's shop embeddings.

    Args:
        dim: D of the embeddings.
        temperature: of the softmax.
        momentum: share that a mean keeps when a batch shows its item.
    """

    means: Tensor

    def __init__(self, dim: int, temperature: float = 0.07, momentum: float = 0.5) -> None:
        super().__init__(dim)
        self.temperature, self.momentum = temperature, momentum
        self.register_buffer("means", torch.zeros(0, dim))

    def make(self, count: int) -> None:
        self.means = self.means.new_zeros(count, self.dim)

    def forward(self, inputs: RankingInputs) -> Tensor:
        """() loss over the means seen so far, with the gradient of the batch's part of them."""
        place, known = self.places(inputs.shop_items)
        means = self.means.clone()
        for row in torch.unique(place[known]).tolist():
            fresh = inputs.shop[known & (place == row)].mean(dim=0)
            old = self.means[row]
            kept = self.momentum if bool(old.any()) else 0.0
            means[row] = kept * old + (1 - kept) * fresh
        if self.training:
            self.means.copy_(means.detach())
        target, counted = self.places(inputs.street_items)
        counted = counted & means.detach().any(dim=1)[target]
        if not bool(counted.any()):
            return inputs.street.sum() * 0.0 + inputs.shop.sum() * 0.0
        return centroid_loss(inputs.street[counted], target[counted], means, self.temperature)


def _build(options: RankingOptions) -> CentroidLoss:
    return CentroidLoss(options.dim, options.temperature)


LOSSES = {"centroid": LossSpec(centroid_loss, "embeddings", _build)}
