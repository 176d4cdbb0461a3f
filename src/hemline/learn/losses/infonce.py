"""The softmax over the batch: each photo must pick its own item among all shop pictures.

A. van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018,
https://arxiv.org/abs/1807.03748. Our own option beside the papers' triplet losses.
"""

from __future__ import annotations

import torch
from torch import Tensor


def infonce_loss(
    distances: Tensor,
    street_items: Tensor,
    shop_items: Tensor,
    temperature: float = 0.07,
    symmetric: bool = True,
) -> Tensor:
    """−log(e^{s_p} / (e^{s_p} + Σ_q e^{s_q})), the mean over all pairs of one item.

    s = (1 − d²/2) / temperature, the cosine of unit vectors. q runs over pictures of other items
    only, so several positives never push each other away.

    Args:
        distances: (B, M) Euclidean, between unit vectors.
        street_items: (B,) item numbers.
        shop_items: (M,) item numbers.
        temperature: the softmax's.
        symmetric: the mean of street → shop and shop → street.

    Returns:
        () loss; 0 where no street row has a shop row of its item.
    """
    logits = (1.0 - 0.5 * distances.square()) / temperature
    same = street_items.unsqueeze(1) == shop_items.unsqueeze(0)
    loss = _one_way(logits, same)
    return 0.5 * (loss + _one_way(logits.T, same.T)) if symmetric else loss


def _one_way(logits: Tensor, same: Tensor) -> Tensor:
    negatives = logits.masked_fill(same, float("-inf")).logsumexp(dim=1, keepdim=True)
    loss = (torch.logaddexp(logits, negatives) - logits)[same]  # (pairs,)
    return loss.mean() if loss.numel() else logits.sum() * 0.0


LOSSES = {"infonce": infonce_loss}
