"""The products of a query in their order: each once, with its best picture.

The nearest pictures are taken in growing depths. What a smaller depth has put in order stays as it
is, and what a larger one brings comes after it; so page after page of one query fits together, and
a page costs no more than the depth that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hemline.catalog.similarity import ranked
from hemline.catalog.store import Ids, Neighbours, Store
from hemline.catalog.where.expression import Where
from hemline.encoding import Encoder
from hemline.ranking.rerank import Scores, rescore_together
from hemline.search.clock import Clock
from hemline.types import FloatArray

#: The first depth, in pictures; each further one is `_GROWTH` times as deep.
DEPTH = 256
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched with.

    Attributes:
        embeddings: (Q, D), L2-normalised: of one photo, or of several of the same product.
        local: (Q, C, L) local features where the model re-ranks, else None.
    """

    embeddings: FloatArray
    local: FloatArray | None = None


class Product(NamedTuple):
    """A product by its best picture: that one's row, its score, and the row of its weights."""

    id: int
    score: float
    weights: FloatArray | None


Fusion = Callable[[Store, FloatArray, int, Where | None], Neighbours]


def nearest_mean(store: Store, embeddings: FloatArray, k: int, where: Where | None) -> Neighbours:
    """The pictures nearest to the direction between all photos."""
    if len(embeddings) == 1:
        return store.search(embeddings[0], k, where)
    middle = embeddings.sum(axis=0)
    length = np.linalg.norm(middle)
    return store.search(np.asarray(middle / max(length, 1e-12), np.float32), k, where)


def nearest_max(store: Store, embeddings: FloatArray, k: int, where: Where | None) -> Neighbours:
    """The pictures nearest to any of the photos."""
    if len(embeddings) == 1:
        return store.search(embeddings[0], k, where)
    found = store.search_many(embeddings, k, where)
    ids = np.concatenate([near.ids for near in found])
    similarity = np.concatenate([near.similarity for near in found])
    order = np.lexsort((-similarity, ids))
    first = np.ones(len(ids), bool)
    first[1:] = ids[order][1:] != ids[order][:-1]
    best = order[first]
    near = ranked(ids[best], similarity[best])
    return Neighbours(near.ids[:k], near.similarity[:k])


#: How several photos of one product are one query; `benchmarks/several_photos.py` compares them.
FUSIONS: Mapping[str, Fusion] = {"mean": nearest_mean, "max": nearest_max}


class Ranking:
    """The order of one query's products, as far as it was asked for."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        query: Query,
        where: Where | None,
        top: int,
        fusion: str,
    ) -> None:
        self._store, self._encoder, self._query, self._where = store, encoder, query, where
        self._top = top if query.local is not None else 0
        self._fusion = fusion
        self._nearest = FUSIONS[fusion]
        self._depth = max(self._top, DEPTH)
        self._ended = False
        self._seen: Ids = np.zeros(0, np.int64)
        self._lowest = np.float32(np.inf)
        self._shift = np.float32(0.0)
        self.products: list[Product] = []

    def reach(self, count: int, clock: Clock) -> None:
        """Sees to it that ``count`` products are in order, if there are so many."""
        while len(self.products) < count and not self._ended:
            with clock.step("search"):
                near = self._nearest(self._store, self._query.embeddings, self._depth, self._where)
                self._ended = len(near.ids) < self._depth
                new = ~np.isin(near.ids, self._seen)
                near = Neighbours(near.ids[new], near.similarity[new])
            with clock.step("rerank"):
                scores = self._scores(near)
            with clock.step("search"):
                self._take(near.ids, scores)
            self._depth *= _GROWTH

    def _scores(self, near: Neighbours) -> Scores:
        """Scores (n,) of new pictures; the first of all are looked at again."""
        if not len(self._seen) and self._top and len(near.ids):
            assert self._query.local is not None
            vectors = self._store.vectors(near.ids[: self._top])
            contexts = vectors.embedding * vectors.norm[:, None]
            scores = rescore_together(
                self._encoder, self._query.local, contexts, near.similarity, self._fusion
            )
            rest = scores.score[len(contexts) :]
            if len(rest):
                self._shift = np.float32(near.similarity[len(contexts)] - rest[0])
            return scores
        if len(near.ids):
            over = np.float32(near.similarity[0] - self._lowest)
            self._shift = max(self._shift, over)
        return Scores(np.asarray(near.similarity - self._shift, np.float32), None)

    def _take(self, ids: Ids, scores: Scores) -> None:
        """Appends the products that are new, best first."""
        if not len(ids):
            return
        self._lowest = min(self._lowest, np.float32(scores.score.min()))
        self._seen = np.concatenate([self._seen, ids])
        order = np.argsort(-scores.score, kind="stable")
        before = np.array([product.id for product in self.products], np.int64)
        codes = self._store.item_codes(np.concatenate([before, ids[order]]))
        known = {int(code) for code in codes[: len(before)]} | {-1}
        for place, code in zip(order, codes[len(before) :], strict=True):
            if int(code) in known:
                continue
            known.add(int(code))
            seen = scores.weights is not None and place < len(scores.weights)
            weights = scores.weights[place] if seen and scores.weights is not None else None
            self.products.append(Product(int(ids[place]), float(scores.score[place]), weights))
