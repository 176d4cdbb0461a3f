"""Binary cross-entropy of tags, over the values that a row is labelled for.

A vocabulary of ``name=value`` tags falls into names. A row without a value of a name is unlabelled
for it (a shop that names no collar doesn't say that there is none), so no value of that name gives
it a gradient.

H. Su et al., "Where to Look and How to Describe", IEEE TCSVT 2021,
https://arxiv.org/abs/2010.13357, section III-B.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hemline.learn.loss import LossSpec


def name_numbers(vocabulary: Sequence[str]) -> Tensor:
    """(T,) the number of each tag's name; names are numbered in order of first appearance."""
    names = [tag.partition("=")[0] for tag in vocabulary]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([order[name] for name in names], dtype=torch.int64)


def known_values(tags: Tensor, names: Tensor) -> Tensor:
    """Which values a row is labelled for: all values of the names it has a value of.

    Args:
        tags: (B, T) multi-hot.
        names: (T,) of `name_numbers`.

    Returns:
        (B, T) of 0 and 1.
    """
    labelled = tags.new_zeros(len(tags), len(names))  # by the names' numbers, all below T
    where = names.expand(len(tags), -1)
    return labelled.scatter_reduce(1, where, tags, "amax").gather(1, where).gt(0).to(tags.dtype)


def prior_logits(names: Tensor) -> Tensor:
    """(T,) logits of the uniform guess among the values of each name, from names (T,).

    As the initial biases of a tagger they keep it from first learning that most values are absent,
    which would overwrite an ImageNet backbone (https://arxiv.org/abs/1708.02002, section 3.3). Not
    in the AHBN paper.
    """
    # Not torch.bincount, which has no meta kernel: `hemline models` builds without memory.
    counts = torch.zeros_like(names).scatter_add(0, names, torch.ones_like(names))
    return -(counts[names].float() - 1).clamp(min=1).log()


def multilabel_loss(scores: Tensor, tags: Tensor, known: Tensor) -> Tensor:
    """Eq. 1: binary cross-entropy, the mean over the known values.

    Args:
        scores: (B, T) logits.
        tags: (B, T) multi-hot.
        known: (B, T) of 0 and 1.

    Returns:
        () loss; 0 where nothing is known.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> scores = torch.tensor([[2.0, -2.0, 5.0]])  # of color=red, color=blue, collar=polo
        >>> tags = torch.tensor([[1.0, 0.0, 0.0]])  # red; the collar is unlabelled
        >>> names = name_numbers(["color=red", "color=blue", "collar=polo"])
        >>> multilabel_loss(scores, tags, known_values(tags, names))
        tensor(0.1269)
    """
    each = functional.binary_cross_entropy_with_logits(scores, tags, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


LOSSES = {"multilabel": LossSpec(multilabel_loss, "labels")}
