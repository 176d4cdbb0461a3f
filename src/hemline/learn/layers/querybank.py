"""Querybank normalisation: shop images that resemble every photo (hubs) lose that advantage.

A score becomes s(q, g) = q·g - (h(g) - centre), with the hubness of a shop image

    h(g) = share / sharpness · log (mean over the bank's photos b of exp(sharpness · b·g)).

It is the inverted softmax (Smith et al., ICLR 2017, https://arxiv.org/abs/1702.03859) of a bank of
training photos (Bogolin et al., CVPR 2022, https://arxiv.org/abs/2112.12777), with ``share`` = 1 in
both; so the bank needs no labels. Two further numbers carry it, and embeddings keep length 1:

    photo       (q, √bound, 0) / √(1 + bound)
    shop image  (g, -(h - centre) / √bound, √(bound - (h - centre)² / bound)) / √(1 + bound)

whose inner product is s / (1 + bound). So whatever searches by inner products stays as it is. The
last numbers of two shop images differ little, and hardly change the order of similar items.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hemline.learn.model_config import ModelConfig

#: Numbers that an embedding gets.
FURTHER = 2
_SEED = 20220315


class QuerybankConfig(ModelConfig):
    """A bank of training photos.

    Attributes:
        photos: K, in the bank; each source (``data.batch_by``) gives as many, some of them several
            times where it has fewer.
        sharpness: of the softmax; at a low one all photos count, at a high one the nearest.
        share: of the hubness that is taken off.
    """

    photos: int = Field(default=2000, ge=1)
    sharpness: float = Field(default=14.0, gt=0)
    share: float = Field(default=0.6, gt=0, le=1)


class Querybank(nn.Module):
    """Adds the two numbers to embeddings (B, D).

    Args:
        config: see there.
        dim: D.
    """

    bank: Tensor
    centre: Tensor
    bound: Tensor

    def __init__(self, config: QuerybankConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bank", torch.zeros(config.photos, dim))
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("bound", torch.ones(()))

    @torch.no_grad()
    def fit(self, photos: Tensor, sources: Tensor, shop: Tensor) -> None:
        """Fills the bank.

        Args:
            photos: (N, D) embeddings of training photos, of length 1.
            sources: (N,) the source of each.
            shop: (M, D) embeddings of shop images, whose hubness gives centre and bound.
        """
        self.bank.copy_(photos[chosen(sources, len(self.bank))])
        hubness = self.hubness(shop)
        self.centre.copy_(hubness.mean())
        self.bound.copy_((hubness - self.centre).abs().max().clamp(min=1e-3))

    def hubness(self, shop: Tensor) -> Tensor:
        """(B, D) of length 1 → (B,)."""
        sharp = self.config.sharpness
        near = torch.logsumexp(sharp * (shop @ self.bank.T), dim=1) - math.log(len(self.bank))
        return self.config.share / sharp * near

    def street(self, vectors: Tensor) -> Tensor:
        """(B, D) of any length → (B, D + 2)."""
        photos = functional.normalize(vectors, dim=1)
        ones = torch.ones_like(photos[:, :1])
        return torch.cat([photos, ones * self.bound.sqrt(), 0 * ones], dim=1)

    def shop(self, vectors: Tensor) -> Tensor:
        """(B, D) of any length → (B, D + 2)."""
        goods = functional.normalize(vectors, dim=1)
        # Beyond the bound are images unlike the training's.
        over = (self.hubness(goods) - self.centre)[:, None].clamp(-self.bound, self.bound)
        rest = (self.bound - over.square() / self.bound).clamp(min=0).sqrt()
        return torch.cat([goods, -over / self.bound.sqrt(), rest], dim=1)


def chosen(sources: Tensor, count: int) -> Tensor:
    """(N,) the source of each row → (count,) rows, as many of each source; the same every time."""
    draw = torch.Generator().manual_seed(_SEED)
    each = [torch.nonzero(sources == source)[:, 0] for source in torch.unique(sources)]
    parts = []
    for number, rows in enumerate(each):
        wanted = count * (number + 1) // len(each) - count * number // len(each)
        mixed = rows[torch.randperm(len(rows), generator=draw)]
        parts.append(mixed.repeat(-(-wanted // len(mixed)))[:wanted])
    return torch.cat(parts)
