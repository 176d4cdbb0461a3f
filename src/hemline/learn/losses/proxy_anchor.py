"""Proxy-anchor loss: every training item has a learned proxy that embeddings are compared with.

S. Kim, D. Kim, M. Cho, S. Kwak, "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020,
https://arxiv.org/abs/2003.13911; computed by pytorch-metric-learning.

Differs from the paper: there proxies start at random. With a few images of each item random proxies
don't come near their items before the training ends, so here a proxy starts at the mean of its
item's embeddings, in the batch that first shows the item.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from hemline.learn.layers.item_table import ItemTable
from hemline.learn.loss import LossSpec, RankingInputs, RankingLoss, RankingOptions


def proxy_anchor_loss(
    embeddings: Tensor, rows: Tensor, proxies: Tensor, margin: float = 0.1, alpha: float = 32
) -> Tensor:
    """Eq. 4: the mean over proxies of log(1 + Σ e^{∓α(s ∓ δ)}), s the cosine to the proxy.

    Args:
        embeddings: (B, D).
        rows: (B,) which proxy is each embedding's own, from 0 to P - 1.
        proxies: (P, D).
        margin: δ, in units of the cosine.
        alpha: α, the scale.

    Returns:
        () loss.

    Raises:
        IndexError: a row that has no proxy.

    Example:
        >>> import torch
        >>> embeddings, rows = torch.eye(2), torch.tensor([0, 1])
        >>> proxy_anchor_loss(embeddings, rows, torch.eye(2), margin=0.0, alpha=1.0)
        tensor(1.0064)
    """
    from pytorch_metric_learning.losses import ProxyAnchorLoss as Published

    loss = Published(len(proxies), proxies.shape[1], margin=margin, alpha=alpha)
    del loss.proxies  # its own, drawn at random
    loss.proxies = proxies
    value: Tensor = loss(embeddings, rows)
    return value


class ProxyAnchorLoss(ItemTable, RankingLoss):
    """A learned proxy for each item; zero until its item is seen.

    Args:
        dim: D of the embeddings.
        margin, alpha: see `proxy_anchor_loss`.
    """

    def __init__(self, dim: int, margin: float = 0.1, alpha: float = 32) -> None:
        super().__init__(dim)
        self.margin, self.alpha = margin, alpha
        self.proxies = nn.Parameter(torch.zeros(0, dim))

    def make(self, count: int) -> None:
        self.proxies = nn.Parameter(torch.zeros(count, self.dim, device=self.proxies.device))

    def forward(self, inputs: RankingInputs) -> Tensor:
        """() loss of all embeddings over the proxies of items seen so far; unknown items are left
        out. In training, items that are seen for the first time get their proxy."""
        embeddings = torch.cat([inputs.street, inputs.shop])
        place, known = self.places(torch.cat([inputs.street_items, inputs.shop_items]))
        if self.training:
            self._begin(embeddings.detach()[known], place[known])
        seen = self.proxies.detach().any(dim=1)
        counted = known & seen[place]
        if not bool(counted.any()):
            return embeddings.sum() * 0.0
        number = torch.cumsum(seen, dim=0) - 1  # of a proxy among those that were seen
        rows = number[place[counted]]
        return proxy_anchor_loss(
            embeddings[counted], rows, self.proxies[seen], self.margin, self.alpha
        )

    @torch.no_grad()
    def _begin(self, embeddings: Tensor, place: Tensor) -> None:
        """The same in every process where several train together."""
        begun = torch.zeros_like(self.proxies).index_add(0, place, embeddings.to(self.proxies))
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(begun)
        unseen = ~self.proxies.any(dim=1, keepdim=True)
        self.proxies.add_(unseen * functional.normalize(begun, dim=1))


def _build(options: RankingOptions) -> ProxyAnchorLoss:
    return ProxyAnchorLoss(options.dim)


LOSSES = {"proxy_anchor": LossSpec(proxy_anchor_loss, "embeddings", _build)}
