"""Maps that were trained with the backbone, joined to the maps that are fitted after it.

A map in closed form (`hemline.learn.layers.domain_maps`) transfers to items that it hasn't seen;
one that was trained, on pictures in ever other crops and lights, is better at what resembles its
items. So a similarity is

    (1 - s) fitted + s trained,    s = share · n / (n + few)

for a source of n items, as few items are learned by heart. The joined embeddings are reduced to the
fitted ones' length by their principal axes, so that a catalogue grows by nothing. Ours, no paper's.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hemline.errors import DataError
from hemline.learn.layers.domain_maps import DomainMap, DomainMaps
from hemline.learn.model_config import ModelConfig


class JoinedMapConfig(ModelConfig):
    """How trained maps are joined to fitted ones.

    Attributes:
        share: of the trained maps' similarity, for a source of many items.
        few: items of a source at which it has half of that share.
    """

    share: float = Field(default=0.35, gt=0, lt=1)
    few: int = Field(default=300, ge=0)


class JoinedMaps(nn.Module):
    """The trained map of each domain, and its joining with the fitted embeddings.

    Before `begin` the fitted embeddings alone count.

    Args:
        channels: C.
        dim: D, of the fitted embeddings, of the trained and of the joined.
        experts: K, of the fitted maps.
    """

    trained: Tensor
    shares: Tensor
    axes: Tensor

    def __init__(self, channels: int, dim: int, experts: int) -> None:
        super().__init__()
        self.street = DomainMap(channels, dim)
        self.shop = DomainMap(channels, dim)
        self.register_buffer("trained", torch.zeros(1))  # a scalar is not taken over by start=
        self.register_buffer("shares", torch.zeros(experts))
        self.register_buffer("axes", torch.eye(dim, 2 * dim))

    @torch.no_grad()
    def begin(self, maps: DomainMaps) -> None:
        """Sets the maps from which a training begins; until `join` they alone count."""
        self.street.put(maps.street_weight, maps.street_bias)
        self.shop.put(maps.shop_weight, maps.shop_bias)
        self.trained.fill_(1.0)
        self.shares.fill_(1.0)
        self.axes.copy_(torch.eye(*self.axes.shape).roll(len(self.axes), dims=1))

    @torch.no_grad()
    def join(
        self,
        shares: Tensor,
        features: tuple[Tensor, Tensor],
        fitted: tuple[Tensor, Tensor],
        gates: tuple[Tensor, Tensor],
    ) -> None:
        """Sets the share (K,) of each expert, and the axes of the images.

        Args:
            features: (N, C) and (M, C) of the photos and of the shop images.
            fitted: (N, D) and (M, D), their fitted embeddings.
            gates: (N, K) and (M, K), the shares of the experts in each.

        Raises:
            DataError: there are no trained maps.
        """
        if not self.trained:
            raise DataError(
                "the stage Tune trains the maps that are joined, and was left out; start from a "
                "run that has trained them (start=RUN), or set model.config.joined=null"
            )
        self.shares.copy_(shares)
        moment = self.axes.new_zeros(2 * (self.axes.shape[1],), dtype=torch.float64)
        maps = self.street, self.shop
        for own, x, mapped, gate in zip(maps, features, fitted, gates, strict=True):
            both = self._both(mapped, own(x), gate).double()
            # Experts count alike, whatever their number of images.
            weight = (gate / gate.sum(dim=0).clamp(min=1e-6)).sum(dim=1)
            moment += (both * weight[:, None]).T @ both
        self.axes.copy_(torch.linalg.eigh(moment)[1].T.flip(0)[: len(self.axes)])

    def _both(self, fitted: Tensor, trained: Tensor, gate: Tensor) -> Tensor:
        """(B, D), (B, D) and (B, K) → (B, 2 D) of length 1."""
        share = (gate @ self.shares)[:, None]
        parts = functional.normalize(fitted, dim=1), functional.normalize(trained, dim=1)
        return torch.cat([(1 - share).sqrt() * parts[0], share.sqrt() * parts[1]], dim=1)

    def forward(self, fitted: Tensor, trained: Tensor, gate: Tensor) -> Tensor:
        """(B, D), (B, D) and (B, K) → (B, D)."""
        joined: Tensor = self._both(fitted, trained, gate) @ self.axes.T
        return joined


def shares_of(experts: Tensor, items: Tensor, count: int, config: JoinedMapConfig) -> Tensor:
    """(K,) the share of each expert, by the items that its photos show.

    Args:
        experts, items: (N,) of each photo.
        count: K.
    """
    shown = torch.zeros(count)
    for expert in torch.unique(experts).tolist():
        shown[expert] = len(torch.unique(items[experts == expert]))
    return config.share * shown / (shown + config.few).clamp(min=1)
