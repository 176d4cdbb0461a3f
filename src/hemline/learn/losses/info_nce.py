"""InfoNCE: a softmax over the batch, in which each photo picks its item among all shop images.

A. van den Oord, Y. Li, O. Vinyals, "Representation Learning with Contrastive Predictive Coding",
2018, https://arxiv.org/abs/1807.03748. Our option beside the papers' triplet losses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hemline.learn.loss import LossSpec, RankingInputs, RankingLoss, RankingOptions


def info_nce_loss(
    distances: Tensor,
    street_items: Tensor,
    shop_items: Tensor,
    temperature: float = 0.07,
    symmetric: bool = True,
) -> Tensor:
    """−log(e^{s_p} / (e^{s_p} + Σ_q e^{s_q})), the mean over all pairs of one item.

    s = (1 − d²/2) / temperature, the cosine of unit vectors. q runs over images of other items
    only, so several positives never push each other away.

    Args:
        distances: (B, M) Euclidean, between unit vectors.
        street_items: (B,) integer item numbers.
        shop_items: (M,) integer item numbers.
        temperature: of the softmax.
        symmetric: the mean of street → shop and shop → street.

    Returns:
        () loss; 0 where no street row has a shop row of its item.

    Raises:
        RuntimeError: the numbers of items don't fit the distances.

    Example:
        >>> import torch
        >>> items = torch.tensor([3, 7])
        >>> distances = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # 2 photos, 2 shop images
        >>> info_nce_loss(distances, items, items, temperature=1.0)
        tensor(0.4741)
    """
    logits = (1.0 - 0.5 * distances.square()) / temperature
    same = street_items.unsqueeze(1) == shop_items.unsqueeze(0)
    loss = _one_way(logits, same)
    return 0.5 * (loss + _one_way(logits.T, same.T)) if symmetric else loss


def _one_way(logits: Tensor, same: Tensor) -> Tensor:
    negatives = logits.masked_fill(same, float("-inf")).logsumexp(dim=1, keepdim=True)
    loss = (torch.logaddexp(logits, negatives) - logits)[same]  # (pairs,)
    return loss.mean() if loss.numel() else logits.sum() * 0.0


class InfoNCELoss(RankingLoss):
    """`info_nce_loss` as a module."""

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, inputs: RankingInputs) -> Tensor:
        items = (inputs.street_items, inputs.shop_items)
        return info_nce_loss(inputs.distances, *items, self.temperature)


def _build(options: RankingOptions) -> InfoNCELoss:
    return InfoNCELoss(options.temperature)


LOSSES = {"infonce": LossSpec(info_nce_loss, "distances", _build)}
