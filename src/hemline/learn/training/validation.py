"""Retrieval on the validation split after an epoch, by the metrics of `hemline evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hemline.data.preprocess import Preprocessing
from hemline.learn.losses.multilabel import name_numbers
from hemline.learn.model import RetrievalModel
from hemline.learn.training.batches import normalise
from hemline.learn.training.images import ImageCache
from hemline.learn.training.labels import Labels
from hemline.learn.training.rows import Rows, TrainingRows
from hemline.ranking.distances import block_rows, euclidean_distances
from hemline.ranking.merge import Reranker, rerank_distances
from hemline.ranking.metrics import item_distances, item_ranks, mean_reciprocal_rank, recalls_at
from hemline.types import Domain, FloatArray


class Validation:
    """Queries and gallery of a manifest, encoded again at each call.

    Args:
        images: at the model's size.
        rows: with the queries and the gallery; unreadable ones are left out.
        items: (N,) item number of every manifest row.
        tags: (N, T) multi-hot of every row.
        vocabulary: the T tags, for models that predict them.
        known: (N, T) whether each row is labelled for each tag, or None.
    """

    def __init__(
        self,
        images: ImageCache,
        rows: TrainingRows,
        items: Rows,
        tags: npt.NDArray[np.uint8],
        spec: Preprocessing,
        vocabulary: Sequence[str] = (),
        batch_size: int = 64,
        known: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self.known = known
        self.images, self.items, self.tags = images, items, tags
        self.names = name_numbers(vocabulary)
        self.spec, self.batch_size = spec, batch_size
        self.gallery = np.array([r for r in rows.gallery if images[r] is not None], np.int64)
        found = np.unique(items[self.gallery])
        self.queries = np.array(
            [r for r in rows.queries if items[r] in found and images[r] is not None], np.int64
        )

    @torch.inference_mode()
    def __call__(
        self, model: RetrievalModel, device: torch.device, rerank: bool = False
    ) -> dict[str, float]:
        """``recall@k`` and ``mrr`` in [0, 1]; with ``first_recall@k`` before re-ranking; and, of a
        model that predicts tags or landmarks, the metrics of `Labels`."""
        was = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            street, local = self._street(model, device)
            shop, contexts = self._shop(model, device)
            labels = self._labels(model, device)
            first, served = ranks(
                _array(street),
                _array(shop),
                self.items[self.queries],
                self.items[self.gallery],
                _reranker(model, local, contexts) if rerank and local else None,
            )
            result = summary(served)
            if rerank and local:
                result |= {f"first_{name}": value for name, value in summary(first).items()}
            return result | labels
        finally:
            for module, training in was:
                module.training = training

    def _batches(
        self, rows: Rows, domain: Domain, device: torch.device
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Rows, and their normalised images (B, 3, S, S)."""
        for start in range(0, len(rows), self.batch_size):
            part = rows[start : start + self.batch_size].tolist()
            squares = np.stack([square for row in part if (square := self.images[row]) is not None])
            yield part, normalise(torch.from_numpy(squares).to(device), self.spec, domain)

    def _labels(self, model: RetrievalModel, device: torch.device) -> dict[str, float]:
        """Metrics of the tags and landmarks that the model predicts, if it does."""
        if type(model).predict is RetrievalModel.predict:
            return {}
        found = Labels(self.names, self.spec.size)
        domains: tuple[tuple[Rows, Domain], ...] = (
            (self.queries, "street"),
            (self.gallery, "shop"),
        )
        for rows, domain in domains:
            for part, images in self._batches(rows, domain, device):
                predicted = model.predict(images, domain == "street")
                points = np.stack([self.images.landmarks(row) for row in part])
                tags = torch.from_numpy(self.tags[part])
                known = None if self.known is None else torch.from_numpy(self.known[part])
                found.add(predicted, tags, torch.from_numpy(points), known)
        return found.figures()

    def _street(self, model: RetrievalModel, device: torch.device) -> tuple[Tensor, list[Tensor]]:
        """Embeddings (Q, D), and local features (C, L) of each query where the model re-ranks."""
        embeddings: list[Tensor] = []
        local: list[Tensor] = []
        for _, images in self._batches(self.queries, "street", device):
            out = model.encode_street(images)
            embeddings.append(out.embedding.float())
            if out.local is not None:
                local.extend(out.local.float())
        return torch.cat(embeddings), local

    def _shop(self, model: RetrievalModel, device: torch.device) -> tuple[Tensor, Tensor]:
        """Embeddings (G, D), and the contexts (G, D) of re-ranking."""
        embeddings, contexts = [], []
        for part, images in self._batches(self.gallery, "shop", device):
            tags = torch.from_numpy(self.tags[part]).to(device).float()
            out = model.encode_shop(images, tags)
            embeddings.append(out.embedding.float())
            contexts.append(out.embedding.float() * out.norm.float()[:, None])
        return torch.cat(embeddings), torch.cat(contexts)


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.float().cpu().numpy(), np.float32)


def _reranker(model: RetrievalModel, local: Sequence[Tensor], contexts: Tensor) -> Reranker:
    """The model's re-ranker over ``contexts`` (G, D)."""

    def rerank(query: int, places: Rows) -> FloatArray:
        near = contexts[torch.from_numpy(places).to(contexts.device)]
        return _array(model.rerank(local[query], near).distance)

    return rerank


def ranks(
    street: FloatArray, shop: FloatArray, targets: Rows, items: Rows, rerank: Reranker | None = None
) -> tuple[Rows, Rows]:
    """Item rank of each query in the first search, and after re-ranking; as `hemline evaluate`.

    Args:
        street: (Q, D) embeddings, L2-normalised.
        shop: (G, D) embeddings, L2-normalised.
        targets: (Q,) item number of each query.
        items: (G,) item number of each gallery image.
        rerank: of the first `RERANK_TOP` images of a query; None leaves the first search.

    Returns:
        (Q,), (Q,) from 1; `hemline.ranking.metrics.MISS` where the gallery lacks the item.
    """
    names, columns = np.unique(items, return_inverse=True)
    places = np.searchsorted(names, targets).clip(max=max(0, len(names) - 1))
    right = [
        frozenset((int(place),)) if names[place] == item else frozenset[int]()
        for place, item in zip(places, targets, strict=True)
    ]
    first, served = np.zeros(len(street), np.int64), np.zeros(len(street), np.int64)
    step = block_rows(len(shop))
    for start in range(0, len(street), step):
        rows = slice(start, start + step)
        far = euclidean_distances(street[rows], shop)
        first[rows] = item_ranks(item_distances(far, columns, len(names)), right[rows])
        served[rows] = first[rows]
        if rerank is not None:
            again = rerank_distances(far, rerank, start=start)
            served[rows] = item_ranks(item_distances(again, columns, len(names)), right[rows])
    return first, served


def summary(rank: Rows) -> dict[str, float]:
    """``recall@k`` and ``mrr``, each 0-1."""
    return {**recalls_at(rank), "mrr": mean_reciprocal_rank(rank)}
