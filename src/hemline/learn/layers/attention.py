"""Attention over locations by tags (subnetwork IV) and by context (subnetwork V) of YNet.

X. Ji, W. Wang, M. Zhang, Y. Yang, "Cross-Domain Image Retrieval with Attention Modeling", ACM MM
2017, https://arxiv.org/abs/1709.01784

======== ===============================
equation here
======== ===============================
Eq. 1    `tag_scores`
Eq. 2, 5 the softmax of `attend`
Eq. 3, 6 the sum of `attend`
Eq. 4    `linear_scores`
======== ===============================

`inner_scores` is the alternative to Eq. 4 that the paper mentions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Alignment = Literal["linear", "inner"]

#: Standard deviation of the first weights (authors' code).
WEIGHT_STD = 0.008


def tag_scores(local: Tensor, tags: Tensor, weight: Tensor) -> Tensor:
    """⟨x_l, Wᵀt⟩: local (B, C, L), tags (B, T), weight (T, C) → scores (B, L)."""
    return torch.bmm((tags @ weight).unsqueeze(1), local).squeeze(1)  # Eq. 1


def linear_scores(local: Tensor, contexts: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """v·o_l + U_l·x: local (B, C, L), contexts (M, C), v (C,), u (L, C) → scores (B, M, L)."""
    own = torch.matmul(v, local)  # (B, L)
    return own.unsqueeze(1) + (contexts @ u.T).unsqueeze(0)  # Eq. 4


def inner_scores(local: Tensor, contexts: Tensor, scale: Tensor) -> Tensor:
    """β·cos(o_l, x): local (B, C, L), contexts (M, C), scale () → scores (B, M, L)."""
    return scale * torch.matmul(
        functional.normalize(contexts, dim=1), functional.normalize(local, dim=1)
    )


def attend(local: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over locations, then the weighted sum of the local features.

    Args:
        local: (B, C, L).
        scores: (B, L), or (B, M, L) for M candidates beside each.

    Returns:
        The vectors (B, C) or (B, M, C), and the attention, shaped like ``scores``.
    """
    attention = scores.softmax(dim=-1)  # Eq. 2, 5
    if attention.ndim == 2:
        return torch.bmm(local, attention.unsqueeze(2)).squeeze(2), attention  # Eq. 3
    return torch.bmm(attention, local.transpose(1, 2)), attention  # Eq. 6


class TagAttention(nn.Module):
    """Subnetwork IV: attention by tags. W ~ N(0, 0.008), no bias.

    Without known tags the attention is uniform.
    """

    def __init__(self, tags: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(tags, channels).normal_(0.0, WEIGHT_STD))

    def forward(self, local: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
        """local (B, C, L), tags (B, T) → vectors (B, C), attention (B, L)."""
        return attend(local, tag_scores(local, tags.to(local.dtype), self.weight))


class ContextAttention(nn.Module):
    """Subnetwork V: attention over the query's locations by the candidate.

    Args:
        channels: C.
        locations: L.
        alignment: ``linear`` (Eq. 4, the paper's choice) or ``inner``: a learned scale times the
            cosine of location and candidate, which compares the content of the two.
    """

    def __init__(self, channels: int, locations: int, alignment: Alignment = "linear") -> None:
        super().__init__()
        self.alignment = alignment
        if alignment == "linear":
            self.v = nn.Parameter(torch.empty(channels).normal_(0.0, WEIGHT_STD))
            self.u = nn.Parameter(torch.empty(locations, channels).normal_(0.0, WEIGHT_STD))
        else:
            self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, local: Tensor, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """local (B, C, L), contexts (M, C) → vectors (B, M, C), attention (B, M, L)."""
        if self.alignment == "linear":
            scores = linear_scores(local, contexts, self.v, self.u)
        else:
            scores = inner_scores(local, contexts, self.scale)
        return attend(local, scores)

    def beside(self, local: Tensor, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean distance of each query, attended to beside a candidate, to that candidate.

        Args:
            local: (B, C, L).
            contexts: (M, C) shop vectors before normalisation.

        Returns:
            distances (B, M), attention (B, M, L).
        """
        seen, attention = self(local, contexts)
        gap = functional.normalize(seen, dim=2) - functional.normalize(contexts, dim=1)
        return torch.linalg.vector_norm(gap, dim=2), attention
