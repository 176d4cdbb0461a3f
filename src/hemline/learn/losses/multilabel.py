"""Tags as yes or no, many at once: which values of a row are known, and the loss over those.

A vocabulary of ``name=value`` tags falls into names. A row that has no value of a name says nothing
of that name (a shop that names no collar doesn't say there is none), so none of the name's values
gives it a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def name_numbers(vocabulary: Sequence[str]) -> Tensor:
    """(T,) the number of each tag's name, names numbered in the order they first come."""
    names = [tag.partition("=")[0] for tag in vocabulary]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([order[name] for name in names], dtype=torch.int64)


def known_values(tags: Tensor, names: Tensor) -> Tensor:
    """Which values a row speaks of: those of every name it has a value of.

    Args:
        tags: (B, T) multi-hot.
        names: (T,) of `name_numbers`.

    Returns:
        (B, T) of 0 and 1.
    """
    said = tags.new_zeros(len(tags), len(names))  # by the names' numbers, all below T
    where = names.expand(len(tags), -1)
    return said.scatter_reduce(1, where, tags, "amax").gather(1, where).gt(0).to(tags.dtype)


def guesses(names: Tensor) -> Tensor:
    """(T,) logits of guessing: one in as many as a name has values, from names (T,).

    As the initial biases of a tagger they keep it from first learning that most values are absent,
    which would overwrite an ImageNet backbone (https://arxiv.org/abs/1708.02002, section 3.3). Not
    in the AHBN paper.
    """
    # Not torch.bincount, which has no meta kernel: `hemline models` builds without memory.
    counts = torch.zeros_like(names).scatter_add(0, names, torch.ones_like(names))
    return -(counts[names].float() - 1).clamp(min=1).log()


def multilabel_loss(scores: Tensor, tags: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over what is known: Eq. 1 of AHBN, section III-B
    (https://arxiv.org/abs/2010.13357).

    Args:
        scores: (B, T) logits.
        tags: (B, T) multi-hot.
        known: (B, T) of 0 and 1.

    Returns:
        () loss; 0 where nothing is known.
    """
    each = functional.binary_cross_entropy_with_logits(scores, tags, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
