"""Several maps for each domain, mixed by what an image resembles: a mixture of experts.

One linear map can't serve sources that vary in different ways: packages on a shelf under all
lights, garments on people, drawings. Here each source of training images (``data.batch_by``) has
a map of its own, fitted as in `hemline.learn.layers.domain_maps`, and a gate mixes them:

    y = Σ_k g_k(x) (W_k (f ∘ x) + b_k),    g(x) = softmax (A x + a)

after Jacobs, Jordan, Nowlan and Hinton, *Adaptive mixtures of local experts* (Neural Computation
1991), with everything in closed form: the gate is the linear discriminant of the sources, each
domain's own. So an image needs no label of its source. Ours, not the papers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.errors import DataError
from hemline.learn.layers.domain_maps import (
    DomainImages,
    DomainMapConfig,
    item_directions,
    kind_directions,
    paired,
    standardised,
)

#: Share of the mean variance within sources that the gate adds to every direction.
GATE_SHRINKAGE = 0.3
#: The gate's bias of an expert without images.
_NEVER = -1e4


class Mixture(NamedTuple):
    """One domain's experts: factor f (C,), weight W (K, D, C), bias b (K, D), the gate's weight A
    (K, C) and bias a (K,)."""

    factor: Tensor
    weight: Tensor
    bias: Tensor
    gate_weight: Tensor
    gate_bias: Tensor


def fit_mixture(
    street: DomainImages,
    shop: DomainImages,
    blocks: Sequence[int],
    config: DomainMapConfig,
    kinds: tuple[Tensor, Tensor] | None = None,
) -> tuple[Mixture, Mixture]:
    """The experts of both domains, computed in double precision; their weights W are equal.

    1. Each domain's features are standardised as for one map, and one map is fitted for all.
    2. The images of sources that share items have one expert: the directions of its own items,
       fewer than those, about its own mean in each domain, scaled to a mean length of 1 and turned
       onto the map for all (orthogonal Procrustes), so that two experts' embeddings can be
       compared.
    3. ``config.kinds`` directions, the same for all experts, follow; they are 0 for an expert none
       of whose images has a kind, whose items they would only blur.
    4. The gate of each domain is the linear discriminant analysis of its images' experts, each as
       likely as the others beforehand.

    Args:
        street, shop: with ``sources``, the source of each image.
        blocks: channels of each layer, adding up to C.
        config: with ``experts``.
        kinds: (N,) and (M,) the kind of each photo and shop image, -1 where it has none.

    Raises:
        DataError: more sources than experts, or a source of which fewer than two items have both
            photos and shop images.
    """
    x, y, *standard = standardised(street.features, shop.features, blocks)
    sides = DomainImages(x, *street[1:]), DomainImages(y, *shop[1:])
    labels = experts_of(*sides, config.experts)
    common = item_directions(*paired(*sides), config.model_copy(update={"strength": 0.0}))  # (D, C)
    weight = x.new_zeros(config.experts, config.rank + config.kinds, x.shape[1])
    bias = x.new_zeros(2, *weight.shape[:2])
    for expert in range(int(labels[0].max()) + 1):
        own = [
            DomainImages(*(column[of == expert] for column in side))
            for side, of in zip(sides, labels, strict=True)
        ]
        rows = _aligned(own[0], own[1], common, config)
        weight[expert, : len(rows)] = rows
        for domain, side in enumerate(own):
            bias[domain, expert, : len(rows)] = -rows @ side.features.mean(dim=0)
    if config.kinds:
        rows = kind_directions(torch.cat([x, y]), kinds, common, config)
        length = (x @ common.T).norm(dim=1).mean()
        named = torch.unique(torch.cat(labels)[torch.cat(kinds or ()) >= 0])
        weight[named, config.rank : config.rank + len(rows)] = rows / length
    street_map, shop_map = (
        _of_domain(side.features, of, weight, own_bias, mean, factor)
        for side, of, own_bias, (mean, factor) in zip(sides, labels, bias, standard, strict=True)
    )
    return street_map, shop_map


def experts_of(street: DomainImages, shop: DomainImages, most: int) -> tuple[Tensor, Tensor]:
    """(N,) and (M,) the expert of each image: sources that share items are one.

    Raises:
        DataError: more than ``most``.
    """
    sources, numbers = torch.unique(torch.cat([street.sources, shop.sources]), return_inverse=True)
    items = torch.unique(torch.cat([street.items, shop.items]), return_inverse=True)[1]
    shown = torch.zeros(int(items.max()) + 1, len(sources), dtype=torch.bool)
    shown[items, numbers] = True
    near = (shown.float().T @ shown.float()) > 0  # (S, S)
    for _ in range(len(sources)):
        near = (near.float() @ near.float()) > 0
    firsts = near.int().argmax(dim=1)  # the first source of each one's set
    names, experts = torch.unique(firsts, return_inverse=True)
    if len(names) > most:
        raise DataError(
            f"the training images have {len(names)} sources that share no items, and "
            f"fitted.experts is {most}; set model.config.fitted.experts={len(names)}, or 1 for one "
            f"map for all"
        )
    own = experts[numbers]
    return own[: len(street.items)], own[len(street.items) :]


def _aligned(
    street: DomainImages, shop: DomainImages, common: Tensor, config: DomainMapConfig
) -> Tensor:
    """(D, C) an expert's directions, of mean length 1, turned onto those for all (D, C)."""
    centred = [
        side._replace(features=side.features - side.features.mean(0)) for side in (street, shop)
    ]
    pairs = paired(*centred)
    # Items fewer than directions: the further ones tell their shop images from their photos.
    rank = min(config.rank, int(pairs[0].items.max()))
    matrix = item_directions(*pairs, config.model_copy(update={"rank": rank}))
    own = [side.features @ matrix.T for side in centred]
    all_of = [side.features @ common.T for side in (street, shop)]
    lengths = own[0].norm(dim=1).mean()
    alike = sum(
        functional.normalize(there, dim=1).T @ functional.normalize(here, dim=1)
        for there, here in zip(all_of, own, strict=True)
    )
    left, _, right = torch.linalg.svd(alike, full_matrices=False)
    turned: Tensor = left @ right @ matrix / lengths
    return turned


def _of_domain(
    x: Tensor, experts: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, factor: Tensor
) -> Mixture:
    """The mixture of features as they come, from maps of standardised ones."""
    gate_weight, gate_bias = _gate(x, experts, len(weight))
    shift = mean * factor
    return Mixture(
        factor.float(),
        weight.float(),
        (bias - weight @ shift).float(),
        (gate_weight * factor).float(),
        (gate_bias - gate_weight @ shift).float(),
    )


def _gate(x: Tensor, experts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Weight (K, C) and bias (K,) of the linear discriminant analysis of (N,) experts."""
    weight, bias = x.new_zeros(count, x.shape[1]), x.new_full((count,), _NEVER)
    present = torch.unique(experts)
    means = torch.stack([x[experts == expert].mean(dim=0) for expert in present])  # (P, C)
    within = x - means[torch.searchsorted(present, experts)]
    spread = torch.stack(
        [part.T @ part / len(part) for part in (within[experts == own] for own in present)]
    ).mean(dim=0)
    spread.diagonal().add_(GATE_SHRINKAGE * float(spread.trace()) / len(spread) + 1e-12)
    rows = torch.linalg.solve(spread, means.T).T  # (P, C)
    weight[present] = rows
    bias[present] = -(rows * means).sum(dim=1) / 2
    return weight, bias


class MapMixture(nn.Module):
    """A domain's experts and their gate; fitted, and trained further by a stage with epochs.

    Args:
        channels: C.
        rank: D.
        experts: K.
    """

    def __init__(self, channels: int, rank: int, experts: int) -> None:
        super().__init__()
        start = torch.zeros(rank, channels)
        start[: min(rank, channels)].fill_diagonal_(1.0)
        self.factor = nn.Parameter(torch.ones(channels))
        self.weight = nn.Parameter(start.repeat(experts, 1, 1))
        self.bias = nn.Parameter(torch.zeros(experts, rank))
        self.gate_weight = nn.Parameter(torch.zeros(experts, channels))
        self.gate_bias = nn.Parameter(torch.zeros(experts))

    @torch.no_grad()
    def put(self, fitted: Mixture) -> None:
        """Sets fitted experts."""
        for name, values in fitted._asdict().items():
            getattr(self, name).copy_(values)

    def gate(self, features: Tensor) -> Tensor:
        """(B, C) → (B, K) share of each expert."""
        return torch.softmax(features @ self.gate_weight.T + self.gate_bias, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) → (B, D)."""
        share = self.gate(features)
        experts, rank, _ = self.weight.shape
        each = (features * self.factor) @ self.weight.flatten(0, 1).T  # (B, K · D)
        each = each.view(-1, experts, rank) + self.bias
        mapped: Tensor = (share[:, :, None] * each).sum(dim=1)
        return mapped
