"""Losses against something that stands for each training item: a proxy or a centroid.

- ``proxy_anchor``: S. Kim, D. Kim, M. Cho, M. Kwak, "Proxy Anchor Loss for Deep Metric Learning",
  CVPR 2020, https://arxiv.org/abs/2003.13911; by pytorch-metric-learning. Its proxies are drawn at
  random. With a few pictures of each item they don't come near their items before the training
  ends, so here a proxy begins where its item is first seen.
- ``centroid``: M. Wieczorek, B. Rychalska, J. Dąbrowski, "On the Unreasonable Effectiveness of
  Centroids in Image Retrieval", 2021, https://arxiv.org/abs/2104.13643: a photo is compared with
  the mean of its item's shop pictures and of others'. Here the means run along the training, and a
  softmax stands in place of the triplet.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from hemline.learn.layers.item_table import ItemTable


class ProxyAnchor(ItemTable):
    """A learned proxy for each item; zero until its item is seen.

    Args:
        dim: D of the embeddings.
        margin, alpha: of the loss.
    """

    def __init__(self, dim: int, margin: float = 0.1, alpha: float = 32) -> None:
        super().__init__(dim)
        self.margin, self.alpha = margin, alpha
        self.proxies = nn.Parameter(torch.zeros(0, dim))

    def make(self, count: int) -> None:
        self.proxies = nn.Parameter(torch.zeros(count, self.dim, device=self.proxies.device))

    def forward(self, embeddings: Tensor, items: Tensor) -> Tensor:
        """(B, D) unit embeddings of (B,) items → () loss over the proxies of items seen so far.

        Unknown items count for nothing. In training, items that are seen for the first time get
        their proxy: the mean of their embeddings.
        """
        from pytorch_metric_learning.losses import ProxyAnchorLoss

        place, known = self.places(items)
        if self.training:
            self._begin(embeddings.detach()[known], place[known])
        seen = self.proxies.detach().any(dim=1)
        counted = known & seen[place]
        if not bool(counted.any()):
            return embeddings.sum() * 0.0
        number = torch.cumsum(seen, dim=0) - 1  # of a proxy among those that were seen
        loss = ProxyAnchorLoss(int(seen.sum()), self.dim, margin=self.margin, alpha=self.alpha)
        del loss.proxies  # its own, drawn ones
        loss.proxies = self.proxies[seen]
        value: Tensor = loss(embeddings[counted], number[place[counted]])
        return value

    @torch.no_grad()
    def _begin(self, embeddings: Tensor, place: Tensor) -> None:
        """The same in every process where several train together."""
        begun = torch.zeros_like(self.proxies).index_add(0, place, embeddings.to(self.proxies))
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(begun)
        unseen = ~self.proxies.any(dim=1, keepdim=True)
        self.proxies.add_(unseen * functional.normalize(begun, dim=1))


class Centroids(ItemTable):
    """The running mean of each item's shop embeddings.

    Args:
        dim: D of the embeddings.
        temperature: of the softmax.
        momentum: share of what a mean was that it keeps when a picture comes.
    """

    means: Tensor

    def __init__(self, dim: int, temperature: float = 0.07, momentum: float = 0.5) -> None:
        super().__init__(dim)
        self.temperature, self.momentum = temperature, momentum
        self.register_buffer("means", torch.zeros(0, dim))

    def make(self, count: int) -> None:
        self.means = self.means.new_zeros(count, self.dim)

    def forward(
        self, street: Tensor, street_items: Tensor, shop: Tensor, shop_items: Tensor
    ) -> Tensor:
        """−log of the softmax over the means seen so far, the batch's own with their gradient.

        Args:
            street, shop: (B, D) and (M, D) unit embeddings.
            street_items, shop_items: (B,) and (M,).

        Returns:
            () loss.
        """
        place, known = self.places(shop_items)
        means = self.means.clone()
        for row in torch.unique(place[known]).tolist():
            fresh = shop[known & (place == row)].mean(dim=0)
            old = self.means[row]
            kept = self.momentum if bool(old.any()) else 0.0
            means[row] = kept * old + (1 - kept) * fresh
        if self.training:
            self.means.copy_(means.detach())
        target, asked = self.places(street_items)
        there = means.detach().any(dim=1)
        asked = asked & there[target]
        if not bool(asked.any()):
            return street.sum() * 0.0 + shop.sum() * 0.0
        logits = street[asked] @ functional.normalize(means, dim=1, eps=1e-6).T / self.temperature
        logits = logits.masked_fill(~there, float("-inf"))
        return functional.cross_entropy(logits, target[asked])
