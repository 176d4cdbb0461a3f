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
        rank: D, dimensions that are kept; at most items + shop images - 1, and with ``experts``
            at most the source's items - 1.
        strength: power of each direction's strength (the deviation of items along it, whitened) in
            its length; 0 for equal lengths. What hardly tells items apart then counts less.
        kinds: K, further dimensions in which kinds of items differ (their categories, say); 0 for
            none.
        kinds_weight: length of those beside 1 for the others.
        kinds_shrinkage: as ``shrinkage``, for the kinds.
        balance: how far sources of images (``data.batch_by``) count alike, whatever their number of
            images: 0 for every image alike, 1 for every source alike.
        experts: at most so many maps for each domain, one for each source; sources that share items
            share one (`hemline.learn.layers.map_mixture`). 1 for one map for all.
    """

    shrinkage: float = Field(default=1.0, gt=0)
    shift: float = Field(default=0.1, ge=0)
    rank: int = Field(default=120, ge=1)
    strength: float = Field(default=0.0, ge=0, le=2)
    kinds: int = Field(default=0, ge=0)
    kinds_weight: float = Field(default=1.0, gt=0)
    kinds_shrinkage: float = Field(default=3.0, gt=0)
    balance: float = Field(default=0.0, ge=0, le=1)
    experts: int = Field(default=1, ge=1, le=64)


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
    kinds: tuple[Tensor, Tensor] | None = None,
    groups: tuple[Tensor, Tensor] | None = None,
) -> DomainMaps:
    """The maps of both domains, computed in double precision.

    1. Each domain's features are standardised; a block of n channels (a layer) weighs 1 / sqrt(n),
       so that all layers have equal weight.
    2. S = mean of (x - item's mean)² over photos, and over shop images of items that have
       several, + ``shift`` · mean of (item's mean - its shop
       image)² over items + ``shrinkage`` · (trace S / C) · 1.
    3. x → S^(-1/2) x, then onto the first ``rank`` principal directions of the items' street means
       and shop images, each of a length by its ``strength``.
    4. With ``kinds``: further rows, of unit length over the training images as the first ones
       together times ``kinds_weight``, from the linear discriminant analysis of the kinds.

    With ``balance`` b, each image and item of a source of n counts n^-b in 2 and 3.

    Args:
        street: (N, C) features of photos. street_items: (N,) their items.
        shop: (M, C) features of shop images. shop_items: (M,) their items.
        blocks: channels of each layer, adding up to C.
        config: see there.
        kinds: (N,) and (M,) the kind of each photo and shop image, -1 where it has none; needed
            where the configuration has ``kinds``.
        groups: (N,) and (M,) the source of each photo and shop image; needed where the
            configuration has ``balance``. An item is of its photos' source.

    Raises:
        DataError: fewer than two items have both photos and shop images.
    """
    x, y, (street_mean, street_factor), (shop_mean, shop_factor) = standardised(
        street, shop, blocks
    )
    sources = _sources(groups, (x, y), config)
    photos, goods = paired(
        DomainImages(x, street_items, sources[0]), DomainImages(y, shop_items, sources[1])
    )
    matrix = item_directions(photos, goods, config)
    if config.kinds:
        matrix = torch.cat([matrix, kind_directions(torch.cat([x, y]), kinds, matrix, config)])
    street_weight, shop_weight = matrix * street_factor, matrix * shop_factor
    return DomainMaps(
        street_weight.float(),
        -(street_weight @ street_mean).float(),
        shop_weight.float(),
        -(shop_weight @ shop_mean).float(),
    )


class DomainImages(NamedTuple):
    """Features (N, C) of one domain's images, (N,) their items, (N,) their sources."""

    features: Tensor
    items: Tensor
    sources: Tensor


def _sources(
    groups: tuple[Tensor, Tensor] | None, images: tuple[Tensor, Tensor], config: DomainMapConfig
) -> tuple[Tensor, Tensor]:
    """The source of each photo and of each shop image; one source without balance."""
    if not config.balance:
        street, shop = (torch.zeros(len(x), dtype=torch.int64) for x in images)
        return street, shop
    if groups is None:
        raise DataError("the images' sources aren't given; set fitted.balance to 0")
    return groups


def paired(street: DomainImages, shop: DomainImages) -> tuple[DomainImages, DomainImages]:
    """The images of items that both domains show, and their items numbered from 0 on.

    Raises:
        DataError: fewer than two such items.
    """
    items = torch.unique(street.items[torch.isin(street.items, shop.items)])
    if len(items) < 2:
        raise DataError(
            f"{len(items)} items have both street and shop images; fitting needs at least two"
        )
    photos, goods = (
        DomainImages(
            side.features[kept], torch.searchsorted(items, side.items[kept]), side.sources[kept]
        )
        for side in (street, shop)
        for kept in (torch.isin(side.items, items),)
    )
    return photos, goods


def item_directions(street: DomainImages, shop: DomainImages, config: DomainMapConfig) -> Tensor:
    """(D, C) directions in which items differ, where photos of one item don't."""
    photos, within = _centred(street.features, street.items)
    goods, among = _centred(shop.features, shop.items)
    several = among.abs().sum(dim=1) > 0
    sources = torch.zeros(len(photos), dtype=torch.int64)
    sources[street.items] = street.sources
    images = _weights(torch.cat([street.sources, shop.sources[several]]), config.balance)
    items = _weights(sources, config.balance)
    spread = _covariance(torch.cat([within, among[several]]), images)
    spread = spread + config.shift * _covariance(photos - goods, items)
    centres, weights = torch.cat([photos, goods]), torch.cat([items, items])[:, None]
    mean = (centres * weights).mean(dim=0)
    centres = mean + (centres - mean) * weights.sqrt()
    return _discriminant(spread, centres, config.shrinkage, config.rank, config.strength)


def _weights(sources: Tensor, balance: float) -> Tensor:
    """(N,) weight of each row, n^-balance for n rows of its source, with a mean of 1."""
    weights = torch.bincount(sources).double()[sources] ** -balance
    return weights / weights.mean()


def _covariance(x: Tensor, weights: Tensor) -> Tensor:
    """(N, C), (N,) of mean 1 → (C, C), about zero."""
    return (x * weights[:, None]).T @ x / len(x)


def kind_directions(
    x: Tensor, labels: tuple[Tensor, Tensor] | None, matrix: Tensor, config: DomainMapConfig
) -> Tensor:
    """(K, C) directions in which kinds differ, scaled beside those of ``matrix`` (D, C)."""
    if labels is None:
        raise DataError("the images have no kinds to fit to; set fitted.kinds to 0")
    kinds = torch.cat(labels)
    x, kinds = x[kinds >= 0], kinds[kinds >= 0]
    names, numbers = torch.unique(kinds, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"{len(names)} kinds have images; fitting to kinds needs at least two")
    centres, within = _centred(x, numbers)
    weights = torch.bincount(numbers).double().sqrt()[:, None]  # a kind counts by its images
    spread = within.T @ within / len(within)
    mean = (centres * weights**2).sum(dim=0) / weights.square().sum()
    rows = _discriminant(
        spread, mean + (centres - mean) * weights, config.kinds_shrinkage, config.kinds
    )
    lengths = [(x @ part.T).square().sum(dim=1).mean().sqrt() for part in (matrix, rows)]
    return rows * (config.kinds_weight * lengths[0] / lengths[1])


def _centred(x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each group (G, C), and (N, C) less the mean of its group."""
    sums = x.new_zeros(int(numbers.max()) + 1, x.shape[1]).index_add_(0, numbers, x)
    means = sums / torch.bincount(numbers, minlength=len(sums))[:, None]
    return means, x - means[numbers]


def _discriminant(
    spread: Tensor, centres: Tensor, shrinkage: float, rank: int, power: float = 0.0
) -> Tensor:
    """(D, C): the ``spread`` (C, C), shrunk, whitened, then the directions of ``centres``; each as
    long as its strength beside the first one's, to ``power``."""
    spread.diagonal().add_(shrinkage * float(spread.trace()) / len(spread))
    lower = torch.linalg.cholesky(spread)
    white = torch.linalg.solve_triangular(lower, centres.T, upper=False).T  # (2I, C)
    white = white - white.mean(dim=0)
    if len(white) > white.shape[1]:  # a tenth of the time, with thousands of items
        strength, axes = torch.linalg.eigh(white.T @ white)
        strength, directions = strength.flip(0).clamp(min=0).sqrt(), axes.T.flip(0)
    else:
        _, strength, directions = torch.linalg.svd(white, full_matrices=False)
    kept = int((strength > strength[0] * 1e-7).sum())
    axes = directions[: min(rank, kept)]  # (D, C)
    rows: Tensor = torch.linalg.solve_triangular(lower.T, axes.T, upper=True).T  # (D, C)
    scaled: Tensor = rows * ((strength[: len(rows)] / strength[0]) ** power)[:, None]
    return scaled


def standardised(
    street: Tensor, shop: Tensor, blocks: Sequence[int]
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Both domains' features in double precision, less their mean, times a factor for each channel.

    A block of n channels (a layer) weighs 1 / sqrt(n), so that all layers have equal weight.

    Args:
        street: (N, C). shop: (M, C). blocks: channels of each layer, adding up to C.

    Returns:
        (N, C), (M, C), then mean (C,) and factor (C,) of each domain.
    """
    scale = torch.cat([torch.full((n,), n**-0.5, dtype=torch.float64) for n in blocks])
    x, y = street.double(), shop.double()
    means = x.mean(dim=0), y.mean(dim=0)
    factors = tuple(scale / (side.std(dim=0, correction=0) + 1e-6) for side in (x, y))
    return (
        (x - means[0]) * factors[0],
        (y - means[1]) * factors[1],
        (means[0], factors[0]),
        (means[1], factors[1]),
    )


class DomainMap(nn.Module):
    """y = weight @ x + bias; fitted, and trained further by a stage with epochs.

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

    def gate(self, features: Tensor) -> Tensor:
        """(B, C) → (B, 1): the one map's share."""
        return torch.ones_like(features[:, :1])

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) → (B, D)."""
        mapped: Tensor = features @ self.weight.T + self.bias
        return mapped
