"""Cross-entropy of several attributes at once, where each may be missing.

J. Huang et al., "Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network", ICCV
2015, section 4.1: "the cross-entropy loss is used in each branch … the values of some attributes
may be missing … the gradients from the corresponding branches are simply set to zero".
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def attribute_loss(logits: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    """Σ over attributes of −log p(value), the mean over the rows; a missing value counts 0.

    Each row weighs 1 / B, whichever others lack a value, so that its gradient is its own. A row
    with several values of an attribute asks for any of them: −log of the sum of their p.

    Args:
        logits: (B, V_a) for each attribute.
        values: (B, V_a) one-hot for each attribute; a row of zeros has no value.

    Returns:
        () loss.

    Raises:
        ValueError: not as many values as logits, or of another shape.
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
