"""Retrieval on the validation split after an epoch: does the model find the right product?

The same measure as `hemline evaluate`'s (product-level recall at k); `hemline.learn` can't import
`hemline.evaluation`, so the few lines stand here too; a test compares them with a slow reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hemline.data.preprocess import Preprocessing
from hemline.learn.losses.multilabel import name_numbers
from hemline.learn.model import RetrievalModel
from hemline.learn.training.batches import normalise
from hemline.learn.training.images import Pictures
from hemline.learn.training.labels import Labels
from hemline.learn.training.rows import Parts, Rows

KS = (1, 5, 20, 50)
RERANK_TOP = 256


class Validation:
    """Queries and gallery of a manifest, encoded anew at each call.

    Args:
        pictures, parts: what is asked and searched.
        items: (N,) item number of every manifest row.
        tags: (N, T) multi-hot of every row.
        vocabulary: the T tags, for models that predict them.
    """

    def __init__(
        self,
        pictures: Pictures,
        parts: Parts,
        items: Rows,
        tags: npt.NDArray[np.uint8],
        spec: Preprocessing,
        vocabulary: Sequence[str] = (),
        batch_size: int = 64,
    ) -> None:
        self.pictures, self.items, self.tags = pictures, items, tags
        self.names = name_numbers(vocabulary)
        self.spec, self.batch_size = spec, batch_size
        self.gallery = np.array([r for r in parts.gallery if pictures[r] is not None], np.int64)
        answers = np.unique(items[self.gallery])
        self.queries = np.array(
            [r for r in parts.queries if items[r] in answers and pictures[r] is not None], np.int64
        )

    @torch.inference_mode()
    def __call__(
        self, model: RetrievalModel, device: torch.device, rerank: bool = False
    ) -> dict[str, float]:
        """``recall@k`` and ``mrr`` in [0, 1]; with ``first_recall@k`` before re-ranking; and, of a
        model that predicts tags or landmarks, the figures of `Labels`."""
        was = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            street, local = self._street(model, device)
            shop, contexts = self._shop(model, device)
            labels = self._labels(model, device)
            items = torch.from_numpy(self.items[self.gallery]).to(device)
            wanted = torch.from_numpy(self.items[self.queries]).to(device)
            result: dict[str, float] = {}
            if rerank and local is not None:
                first = ranks(street, shop, wanted, items)
                result.update({f"first_{k}": v for k, v in summary(first).items()})
                second = reranked(model, street, local, shop, contexts, wanted, items)
                result.update(summary(second))
            else:
                result.update(summary(ranks(street, shop, wanted, items)))
            return result | labels
        finally:
            for module, training in was:
                module.training = training

    def _labels(self, model: RetrievalModel, device: torch.device) -> dict[str, float]:
        """How well it predicts the tags and landmarks of queries and gallery, if it does."""
        if type(model).predict is RetrievalModel.predict:
            return {}
        found = Labels(self.names, self.spec.size)
        for rows, street in ((self.queries, True), (self.gallery, False)):
            for start in range(0, len(rows), self.batch_size):
                part = rows[start : start + self.batch_size].tolist()
                images = normalise(
                    self._squares(part).to(device), self.spec, "street" if street else "shop"
                )
                points = np.stack([self.pictures.landmarks(row) for row in part])
                found.add(
                    model.predict(images, street),
                    torch.from_numpy(self.tags[part]),
                    torch.from_numpy(points),
                )
        return found.figures()

    def _squares(self, rows: Sequence[int]) -> Tensor:
        found = [self.pictures[row] for row in rows]
        return torch.from_numpy(np.stack([square for square in found if square is not None]))

    def _street(
        self, model: RetrievalModel, device: torch.device
    ) -> tuple[Tensor, list[Tensor] | None]:
        embeddings, local = [], []
        for start in range(0, len(self.queries), self.batch_size):
            rows = self.queries[start : start + self.batch_size].tolist()
            images = normalise(self._squares(rows).to(device), self.spec, "street")
            out = model.encode_street(images)
            embeddings.append(out.embedding.float())
            if out.local is not None:
                local.append(out.local.float())
        return torch.cat(embeddings), local or None

    def _shop(self, model: RetrievalModel, device: torch.device) -> tuple[Tensor, Tensor]:
        embeddings, contexts = [], []
        for start in range(0, len(self.gallery), self.batch_size):
            rows = self.gallery[start : start + self.batch_size].tolist()
            images = normalise(self._squares(rows).to(device), self.spec, "shop")
            tags = torch.from_numpy(self.tags[rows]).to(device).float()
            out = model.encode_shop(images, tags)
            embeddings.append(out.embedding.float())
            contexts.append(out.embedding.float() * out.norm.float()[:, None])
        return torch.cat(embeddings), torch.cat(contexts)


def ranks(street: Tensor, shop: Tensor, wanted: Tensor, items: Tensor) -> Tensor:
    """Rank of each query's item among all items, from 1; items equally near count as before it.

    Args:
        street: (Q, D) embeddings, L2-normalised.
        shop: (G, D) embeddings, L2-normalised.
        wanted: (Q,) item numbers.
        items: (G,) item numbers; an item's distance is its nearest picture's.
    """
    unique, column = torch.unique(items, return_inverse=True)
    at = torch.searchsorted(unique, wanted)
    result = []
    for queries, goal in zip(torch.split(street, 1024), torch.split(at, 1024), strict=True):
        similarity = queries @ shop.T
        best = similarity.new_full((len(queries), len(unique)), -torch.inf)
        best.scatter_reduce_(1, column.expand_as(similarity), similarity, "amax")
        own = best.gather(1, goal[:, None])
        result.append((best >= own).sum(dim=1))
    return torch.cat(result)


def reranked(
    model: RetrievalModel,
    street: Tensor,
    local: list[Tensor],
    shop: Tensor,
    contexts: Tensor,
    wanted: Tensor,
    items: Tensor,
    top: int = RERANK_TOP,
) -> Tensor:
    """Rank of each query's item after the first ``top`` pictures were re-ranked.

    An item whose pictures all lie behind them keeps its place behind all that were re-ranked.
    """
    first = ranks(street, shop, wanted, items)
    result = first.clone()
    number = 0
    for part in local:
        for query in part:
            similarity = street[number] @ shop.T
            near = similarity.topk(min(top, len(shop))).indices
            distance = model.rerank(query, contexts[near]).distance.float()
            own = items[near] == wanted[number]
            if bool(own.any()):
                closer = distance <= distance[own].min()
                result[number] = len(torch.unique(items[near[closer]]))
            number += 1
    return result


def summary(rank: Tensor) -> dict[str, float]:
    """recall@k: share of queries whose item is among the first k; mrr: the mean of 1 / rank."""
    values = rank.double()
    figures = {f"recall@{k}": float((values <= k).double().mean()) for k in KS}
    figures["mrr"] = float((1 / values).mean())
    return figures
