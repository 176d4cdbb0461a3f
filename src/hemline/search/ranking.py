"""The items of a query in their order: each once, with its best image.

The nearest images are taken in growing depths. What a smaller depth has put in order stays as it
is, and what a larger one brings comes after it; so page after page of one query fits together, and
a page costs no more than the depth that it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hemline.catalog.store import Ids, Neighbours, Store
from hemline.catalog.where.expression import Where
from hemline.encoding import Encoder
from hemline.ranking.distances import cosine_of_distance
from hemline.ranking.fusion import fuse_embeddings, fuse_lists, fuse_scores
from hemline.ranking.merge import RERANK_TOP, first_of_each, merge_reranked
from hemline.search.clock import Clock
from hemline.types import FloatArray

#: The first depth, in images, of several photos and of re-ranking; each further one is `_GROWTH`
#: times as deep. One photo's order doesn't depend on it: so many images for each item will do.
DEPTH = RERANK_TOP
_GROWTH = _FOR_EACH = 4


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched with.

    Attributes:
        embeddings: (Q, D), L2-normalised: of one photo, of several of the same item, or of parts of
            one photo.
        local: (Q, C, L) local features where the model re-ranks, else None.
        fusion: of several, one of `hemline.ranking.fusion.FUSIONS`; None for the engine's own.
    """

    embeddings: FloatArray
    local: FloatArray | None = None
    fusion: str | None = None


class RankedItem(NamedTuple):
    """An item by its best image: that row's id, its score, and where the query looked (L,)."""

    id: int
    score: float
    attention: FloatArray | None


class Scores(NamedTuple):
    """score (N,) of every candidate; attention (K, L) of the first K, which were re-ranked."""

    score: FloatArray
    attention: FloatArray | None


def rescore(
    encoder: Encoder, local: FloatArray, contexts: FloatArray, first: FloatArray, fusion: str
) -> Scores:
    """Re-ranks the first K candidates and keeps all others behind them (`merge_reranked`).

    Args:
        encoder: one that re-ranks.
        local: (Q, C, L) local features of the photos.
        contexts: (K, C) embedding × norm of the first K candidates; NaN of rows that were removed
            meanwhile, which keep their first score.
        first: (N,) similarities of the first search, falling, N >= K.
        fusion: of the photos' scores (`hemline.ranking.fusion`).

    Returns:
        The re-ranked have the cosine of their distance. Attention is None for several photos: it
        belongs to one image.
    """
    each = [encoder.rerank(one, contexts) for one in local]
    again = fuse_scores(np.stack([cosine_of_distance(one.distance) for one in each]), fusion)
    again = np.where(np.isnan(again), first[: len(again)], again)
    merged = merge_reranked(np.asarray(first, np.float32), np.arange(len(again)), again)
    return Scores(np.asarray(merged, np.float32), each[0].attention if len(each) == 1 else None)


class Ranking:
    """The order of one query's items, as far as `reach` has gone.

    Args:
        store: what is searched.
        encoder: re-ranks.
        query: embeddings and local features.
        where: a condition over the stored columns, or None.
        top: how many images are re-ranked.
        fusion: of several photos, one of `hemline.ranking.fusion.FUSIONS`.

    Attributes:
        ids: (n,) row ids of the items in order so far, each by its best image.
    """

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
        self._depth = DEPTH if self._top or len(query.embeddings) > 1 else 0
        self._ended, self._verified = False, True
        #: Whether a row went while this searched: removed, or moved to a new id.
        self.overtaken = False
        self._seen: Ids = np.zeros(0, np.int64)
        self._lowest = np.float32(np.inf)
        self._shift = np.float32(0.0)
        self.ids: Ids = np.zeros(0, np.int64)
        self._score: FloatArray = np.zeros(0, np.float32)
        self._attention: FloatArray | None = None
        self._attended: Ids = np.zeros(0, np.int64)  # of each item its row of attention, or -1

    def reach(self, count: int, clock: Clock) -> None:
        """Puts ``count`` items in order, if there are so many."""
        self._depth = max(self._depth, self._top, min(DEPTH, _FOR_EACH * count))
        while len(self.ids) < count and not self._ended:
            with clock.step("search"):
                near = self._nearest()
                self._ended = len(near.ids) < self._depth
                if len(self._seen):
                    new = ~np.isin(near.ids, self._seen)
                    near = Neighbours(near.ids[new], near.similarity[new])
            with clock.step("rerank"):
                scores = self._scores(near)
            with clock.step("search"):
                self._append(near.ids, scores)
            self._depth *= _GROWTH

    def _nearest(self) -> Neighbours:
        """The images of the first search, to the present depth.

        Re-ranking reads their vectors, so those are verified; otherwise only what is shown is.
        """
        embeddings, several = self._query.embeddings, self._fusion == "max"
        queries = embeddings if several else fuse_embeddings(embeddings)[None]
        found = self._store.search_many(queries, self._depth, self._where, self._top > 0)
        self._verified = all(near.verified for near in found)
        if len(found) == 1:
            return found[0]
        lists = [near.ids for near in found], [near.similarity for near in found]
        return Neighbours(*fuse_lists(*lists, self._depth))

    def _scores(self, near: Neighbours) -> Scores:
        """Scores (n,) of new images; the first of all are re-ranked."""
        if not len(self._seen) and self._top and len(near.ids):
            assert self._query.local is not None
            vectors = near.vectors or self._store.vectors(near.ids[: self._top])
            contexts = vectors.embedding[: self._top] * vectors.norm[: self._top, None]
            scores = rescore(
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

    def _append(self, ids: Ids, scores: Scores) -> None:
        """Appends the items that are new, best first."""
        if not len(ids):
            return
        self._lowest = min(self._lowest, np.float32(scores.score.min()))
        self._seen = np.concatenate([self._seen, ids])
        order = np.argsort(-scores.score, kind="stable")
        before = len(self.ids)
        codes = self._store.item_codes(np.concatenate([self.ids, ids[order]]))
        self.overtaken |= bool((codes < 0).any())
        firsts = first_of_each(codes)
        new = firsts[(firsts >= before) & (codes[firsts] >= 0)]
        places = order[new - before]
        self.ids = np.concatenate([self.ids, ids[places]])
        self._score = np.concatenate([self._score, scores.score[places]])
        if scores.attention is not None:
            self._attention = scores.attention
        attended = 0 if scores.attention is None else len(scores.attention)
        rows = np.where(places < attended, places, -1)
        self._attended = np.concatenate([self._attended, rows])

    def items(self, start: int, end: int) -> list[RankedItem]:
        """The items from rank ``start`` (0 for the first) to before ``end``.

        Raises:
            CatalogError: the vector of one of them is damaged.
        """
        if not self._verified:
            self._store.vectors(self.ids[start:end])
        return [
            RankedItem(
                int(self.ids[rank]),
                float(self._score[rank]),
                None
                if self._attention is None or self._attended[rank] < 0
                else self._attention[self._attended[rank]],
            )
            for rank in range(start, min(end, len(self.ids)))
        ]
