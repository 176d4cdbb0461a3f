"""Bilinear pooling of two branches: in full, and compact by count sketch.

Y. Gao, O. Beijbom, N. Zhang, T. Darrell, "Compact Bilinear Pooling", CVPR 2016,
https://arxiv.org/abs/1511.06062; as AHBN (https://arxiv.org/abs/2010.13357) uses it, Eqs. 9-11.

At each location the count sketch of the outer product of two vectors is the circular convolution of
their sketches, so the paper multiplies in the frequency domain. The sketch is linear: averaged over
locations it is the sketch of the averaged outer product, a matrix product and a scatter. Both give
the same numbers (a test compares them); the second exports to plain operators.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def outer_mean(first: Tensor, second: Tensor) -> Tensor:
    """The outer product of two vectors, averaged over locations.

    (B, C₁, L), (B, C₂, L) → (B, C₁, C₂).
    """
    return torch.bmm(first, second.transpose(1, 2)) / first.shape[2]


def count_sketch(vectors: Tensor, buckets: Tensor, signs: Tensor, size: int) -> Tensor:
    """Each number, times its sign, added into its bucket. Eq. 9.

    Args:
        vectors: (B, C).
        buckets: (C,) from 0 to ``size`` - 1.
        signs: (C,) of 1 and -1.

    Returns:
        (B, size).
    """
    empty = vectors.new_zeros(vectors.shape[0], size)
    return empty.scatter_add(1, buckets.expand(vectors.shape[0], -1), vectors * signs)


class CompactBilinear(nn.Module):
    """The count sketch of the averaged outer product. Eqs. 10 and 11, averaged over locations.

    Buckets and signs are drawn at random when it is built, and are part of the state.

    Args:
        first, second: channels C₁ and C₂.
        size: of the sketch; usual are 8,000 to 16,000.
    """

    first_buckets: Tensor
    first_signs: Tensor
    second_buckets: Tensor
    second_signs: Tensor

    def __init__(self, first: int, second: int, size: int = 8192) -> None:
        super().__init__()
        self.size = size
        for name, channels in (("first", first), ("second", second)):
            self.register_buffer(f"{name}_buckets", torch.randint(size, (channels,)))
            self.register_buffer(f"{name}_signs", torch.randint(2, (channels,)).float() * 2 - 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, C₁, L), (B, C₂, L) → (B, size)."""
        buckets = (self.first_buckets[:, None] + self.second_buckets[None, :]) % self.size
        signs = self.first_signs[:, None] * self.second_signs[None, :]
        product = outer_mean(first, second).flatten(1)
        return count_sketch(product, buckets.flatten(), signs.flatten(), self.size)


class FullBilinear(nn.Module):
    """The averaged outer product itself, C₁ × C₂ numbers (Table I's "BP")."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.size = first * second

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, C₁, L), (B, C₂, L) → (B, C₁ × C₂)."""
        return outer_mean(first, second).flatten(1)


def signed_root(vectors: Tensor) -> Tensor:
    """sign(x)·√|x|, whose gradient stays finite at 0."""
    return vectors.sign() * (vectors.abs() + 1e-12).sqrt()
