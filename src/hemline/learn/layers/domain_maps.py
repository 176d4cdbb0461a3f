"""One linear map for each domain, fitted in closed form on the features of training images.

Gradient training on few items overfits them. This metric only models how photos of one item vary,
and how its shop image differs: it whitens that variation and keeps the directions in which items
differ. It is the within-class covariance normalisation of speaker recognition (Hatch, Kajarekar and
Stolcke, Interspeech 2006), extended by the shift between domains; ours, not the papers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from hemline.errors import DataError
from hemline.learn.model_config import ModelConfig


class DomainMapConfig(ModelConfig):
    """How the maps are fitted.

    Attributes:
        shrinkage: share of the mean variance that is added to every direction; more regularises
            more.
        shift: weight of the street-to-shop difference of each item beside the variation of its
            photos.
        rank: D, dimensions that are kept; at most items + shop images - 1.
    """

    shrinkage: float = Field(default=1.0, gt=0)
    shift: float = Field(default=0.1, ge=0)
    rank: int = Field(default=120, ge=1)


class DomainMaps(NamedTuple):
    """street and shop: weight (D, C) and bias (D,) of y = weight @ x + bias."""

    street_weight: Tensor
    street_bias: Tensor
    shop_weight: Tensor
    shop_bias: Tensor


def fit_maps(
    street: Tensor,
    street_items: Tensor,
    shop: Tensor,
    shop_items: Tensor,
    blocks: Sequence[int],
    config: DomainMapConfig,
) -> DomainMaps:
    """The maps of both domains, computed in double precision.

    1. Each domain's features are standardised; a block of n channels (a layer) weighs 1 / sqrt(n),
       so that all layers have equal weight.
    2. S = mean of (x - item's mean)² over photos + ``shift`` · mean of (item's mean - its shop
       image)² over items + ``shrinkage`` · (trace S / C) · 1.
    3. x → S^(-1/2) x, then onto the first ``rank`` principal directions of the items' street means
       and shop images.

    Args:
        street: (N, C) features of photos. street_items: (N,) their items.
        shop: (M, C) features of shop images. shop_items: (M,) their items.
        blocks: channels of each layer, adding up to C.
        config: see there.

    Raises:
        DataError: fewer than two items have both photos and shop images.
    """
    street, shop = street.double(), shop.double()
    scale = torch.cat([torch.full((n,), n**-0.5, dtype=torch.float64) for n in blocks])
    x, street_mean, street_factor = _standardised(street, scale)
    y, shop_mean, shop_factor = _standardised(shop, scale)
    items = [int(i) for i in torch.unique(street_items) if bool((shop_items == i).any())]
    if len(items) < 2:
        raise DataError(
            f"{len(items)} items have both street and shop images; fitting needs at least two"
        )
    photos = torch.stack([x[street_items == i].mean(dim=0) for i in items])  # (I, C)
    goods = torch.stack([y[shop_items == i].mean(dim=0) for i in items])  # (I, C)
    within = torch.cat([x[street_items == i] - m for i, m in zip(items, photos, strict=True)])
    gap = photos - goods
    spread = within.T @ within / len(within) + config.shift * (gap.T @ gap) / len(gap)
    spread.diagonal().add_(config.shrinkage * float(spread.trace()) / len(spread))
    lower = torch.linalg.cholesky(spread)
    centres = torch.cat([photos, goods])
    white = torch.linalg.solve_triangular(lower, centres.T, upper=False).T  # (2I, C)
    _, strength, directions = torch.linalg.svd(white - white.mean(dim=0), full_matrices=False)
    kept = int((strength > strength[0] * 1e-9).sum())
    axes = directions[: min(config.rank, kept)]  # (D, C)
    matrix = torch.linalg.solve_triangular(lower.T, axes.T, upper=True).T  # (D, C)
    street_weight, shop_weight = matrix * street_factor, matrix * shop_factor
    return DomainMaps(
        street_weight.float(),
        -(street_weight @ street_mean).float(),
        shop_weight.float(),
        -(shop_weight @ shop_mean).float(),
    )


def _standardised(x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean = x.mean(dim=0)
    factor = scale / (x.std(dim=0, correction=0) + 1e-6)
    return (x - mean) * factor, mean, factor


class DomainMap(nn.Module):
    """y = weight @ x + bias at every location; fitted, and trained further by a stage with epochs.

    Attention sums to 1 over locations, so it may stand before or after pooling.

    Args:
        channels: C.
        rank: D.
    """

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        start = torch.zeros(rank, channels)
        start[: min(rank, channels)].fill_diagonal_(1.0)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(rank))

    @torch.no_grad()
    def put(self, weight: Tensor, bias: Tensor) -> None:
        """Sets a fitted map; rows beyond its rank stay zero."""
        self.weight.zero_()
        self.bias.zero_()
        self.weight[: len(weight)] = weight
        self.bias[: len(bias)] = bias

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, L) → (B, D, L)."""
        mapped: Tensor = torch.matmul(self.weight, features) + self.bias[:, None]
        return mapped
