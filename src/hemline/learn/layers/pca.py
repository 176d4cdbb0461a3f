"""Principal component analysis as a layer, fitted on training features."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hemline.errors import DataError


def principal_components(batches: Iterable[Tensor], dimensions: int) -> tuple[Tensor, Tensor]:
    """The mean and the directions of largest variance, in double precision.

    Only sums are kept: C × C doubles, however many images there are.

    Args:
        batches: (B, C) features each.
        dimensions: D ≤ C; directions without variance fill the rest.

    Returns:
        mean (C,) and directions (D, C), orthonormal, largest variance first; the largest component
        of each is positive.

    Raises:
        DataError: fewer than two rows.
    """
    count, total, products = 0, None, None
    for batch in batches:
        rows = batch.double()
        if total is None or products is None:
            total, products = rows.sum(dim=0), rows.T @ rows
        else:
            total += rows.sum(dim=0)
            products += rows.T @ rows
        count += len(rows)
    if total is None or products is None or count < 2:
        raise DataError(f"principal components of {count} images; at least two are needed")
    mean = total / count
    covariance = products / count - torch.outer(mean, mean)
    _, vectors = torch.linalg.eigh(covariance)  # ascending
    directions = vectors.flip(1)[:, :dimensions].T  # (D, C)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return mean, directions * largest.sign()


class PrincipalComponents(nn.Module):
    """y = weight @ (x - mean): (B, C) → (B, D); fitted, and trained further by a stage with epochs.

    Args:
        channels: C.
        dimensions: D ≤ C.
    """

    mean: Tensor

    def __init__(self, channels: int, dimensions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dimensions, channels))
        self.register_buffer("mean", torch.zeros(channels))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Sets the components of (B, C) features."""
        mean, directions = principal_components(batches, len(self.weight))
        self.mean.copy_(mean)
        self.weight.copy_(directions)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) @ self.weight.T
