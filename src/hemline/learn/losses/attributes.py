"""Cross-entropy of several attributes at once, where each may be missing.

J. Huang et al., "Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network", ICCV
2015, https://arxiv.org/abs/1505.07922, section 4.1: "the cross-entropy loss is used in each branch
… the values of some attributes may be missing … the gradients from the corresponding branches are
simply set to zero".
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from hemline.learn.loss import LossSpec


def attribute_loss(logits: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    """Σ over attributes of −log p(value), the mean over the rows; a missing value counts 0.

    Each row weighs 1 / B, however many others lack a value. For a row with several values of an
    attribute any of them is right: −log of the sum of their p.

    Args:
        logits: (B, V_a) for each attribute.
        values: (B, V_a) one-hot for each attribute; a row of zeros has no value.

    Returns:
        () loss.

    Raises:
        ValueError: not as many values as logits, or of another shape.

    Example:
        >>> import torch
        >>> colour = torch.tensor([[2.0, 0.0], [0.0, 0.0]])  # scores of red and blue, 2 images
        >>> values = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # the first is red, the second unknown
        >>> attribute_loss([colour], [values])
        tensor(0.0635)
    """
    total = logits[0].new_zeros(())
    for scores, hot in zip(logits, values, strict=True):
        if scores.shape != hot.shape:
            raise ValueError(f"values of shape {tuple(hot.shape)} for {tuple(scores.shape)} scores")
        named = hot > 0
        known = named.any(dim=1)
        chances = functional.log_softmax(scores[known].float(), dim=1)  # (N, V_a)
        right = chances.masked_fill(~named[known], float("-inf")).logsumexp(dim=1)
        total = total - right.sum() / len(scores)
    return total


LOSSES = {"attributes": LossSpec(attribute_loss, "labels")}
