"""Nearest neighbours from Milvus, under the conditions of the mirror.

Milvus knows vectors, the mirror which of them meet a condition. Without one, Milvus' HNSW answers.
With one, few rows are compared exactly; for more, the nearest of all rows are asked for, so many
that enough of them meet the condition: an HNSW walk that leaves out a good part of the nodes loses
recall without a word, a longer walk over all doesn't. Similarities are computed here from the
vectors, so that they are those of any other store.

Exactly is either here, from fetched vectors, or in Milvus, which compares each vector of a segment
where a list of ids leaves at most 7 % of it (knowhere's threshold for HNSW). Segments are rows in
the order of their writing, a thousand or more where they have an index; so each list has few of
every piece of that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.budget import check_time
from hemline.catalog.milvus.client import Client
from hemline.catalog.milvus.mirror import Mirror
from hemline.catalog.milvus.reader import Reader
from hemline.catalog.milvus.rows import VECTOR, vector
from hemline.catalog.similarity import similarities
from hemline.catalog.store import NO_NEIGHBOURS, Ids, Neighbours, Vectors
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError, UsageError
from hemline.types import FloatArray

MAX_HITS = 16_384  # of a search in Milvus
EXACT = 2_000  # rows that are compared exactly
LISTED = 5_000  # rows whose ids are listed for Milvus before anything else is tried
EXACT_MANY = 65_536  # where more hits are asked for than Milvus gives
_EF = 256  # the least width of HNSW's search (Milvus' ef)
_SPARE = 16  # more hits than asked for: equal similarities at the end, deleted rows
_MARGIN = 1.5  # more hits under a condition than its share of rows would need
_ROWS = 1_000  # vectors read at a time
_TRIES = 5
_IDS = 20_000  # in a condition
_PIECE, _OF_PIECE = 512, 20  # at most so many rows of so many in the order of writing in a list
_CALL = 80  # vectors that are fetched in the time of one more search


class View(NamedTuple):
    """What one search sees: which slots may be returned, and the vector id of each slot.

    ``slots`` (n,) are those, ``entities`` (n,) their ids in Milvus, and ``places`` (n,) where they
    stand in the order of writing, where they were asked for.
    """

    allowed: npt.NDArray[np.bool_]
    ids: Ids
    slots: Ids
    entities: Ids
    places: Ids
    live: int

    @classmethod
    def of(cls, mirror: Mirror, where: Where | None, listed: bool) -> View:
        """The view of a condition; ``listed`` with ``slots``, which few or filtered rows have."""
        allowed = mirror.mask(where)
        slots = entities = places = np.zeros(0, np.int64)
        if listed or where is not None or mirror.index.live <= EXACT:
            slots = np.flatnonzero(allowed)
            entities = mirror.entities(slots)
            places = mirror.places(entities)
        return cls(allowed, mirror.index.ids.data, slots, entities, places, mirror.index.live)

    def lists(self) -> list[list[int]]:
        """The ids in lists of which each has few of any part of the order of writing."""
        order = np.argsort(self.places, kind="stable")
        piece = self.places[order] // _PIECE
        first = np.searchsorted(piece, piece)  # where its piece begins
        part = (np.arange(len(piece)) - first) // _OF_PIECE
        found: list[list[int]] = []
        for number in range(int(part.max(initial=-1)) + 1):
            some = self.entities[order[part == number]].tolist()
            found += [some[i : i + _IDS] for i in range(0, len(some), _IDS)]
        return found


class Searcher:
    """Searches one collection; ``vectors`` reads the vectors of ids."""

    def __init__(self, client: Client, reader: Reader, vectors: Callable[[Ids], Vectors]) -> None:
        self._client, self._reader, self._vectors = client, reader, vectors

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None, exact: bool = False
    ) -> list[Neighbours]:
        """See `Store.search_many`; ``exact`` compares every vector.

        Raises:
            UsageError: more hits are asked for than Milvus can give.
        """
        for attempt in range(_TRIES):
            if attempt:  # rows were replaced meanwhile
                self._reader.sync(strong=True)
            with self._reader.mirror() as mirror:
                view = View.of(mirror, where, exact or k > MAX_HITS - _SPARE)
            found = self._try(view, queries, k, where is not None, exact)
            if found is not None:
                return found
        raise CatalogError(f"{self._client.place}: rows come and go faster than they are read")

    def _try(
        self, view: View, queries: FloatArray, k: int, filtered: bool, exact: bool
    ) -> list[Neighbours] | None:
        count = len(view.slots) if filtered else view.live
        if k < 1 or not count:
            return [NO_NEIGHBOURS for _ in queries]
        least = min(k, count)
        if exact:
            return self._exact(view.entities, queries, k)
        lists = self._lists(view, k, count) if filtered and count <= LISTED else []
        if lists:
            return self._listed(view, lists, queries, k, least)
        if count <= EXACT:
            return self._exact(view.entities, queries, k)
        want, share = k + _SPARE, _MARGIN * view.live / count if filtered else 1.0
        limit = int(want * share)
        while limit <= MAX_HITS:
            found = self._nearest(view, queries, k, least, limit)
            if found is not None:
                return found
            limit = MAX_HITS if limit < MAX_HITS < 4 * limit else 4 * limit
        lists = self._lists(view, k, count) if filtered else []
        if lists:
            return self._listed(view, lists, queries, k, least)
        if len(view.slots) and count <= EXACT_MANY:
            return self._exact(view.entities, queries, k)
        if want > MAX_HITS:
            raise UsageError(
                f"Milvus gives {MAX_HITS - _SPARE} hits of a search at most, not {k}; ask for "
                f"fewer, or let the condition leave {EXACT_MANY} images or fewer"
            )
        return self._listed(view, view.lists(), queries, k, least) if filtered else None

    def _lists(self, view: View, k: int, count: int) -> list[list[int]]:
        """`View.lists` where they cost less than to fetch all vectors; else none.

        Milvus' own file (milvus-lite) compares by other rules.
        """
        if k > MAX_HITS - _SPARE or self._client.address.is_lite:
            return []
        lists = view.lists()
        return lists if len(lists) * (k + _SPARE + _CALL) < count else []

    def _nearest(
        self,
        view: View,
        queries: FloatArray,
        k: int,
        least: int,
        limit: int,
        condition: str = "",
    ) -> list[Neighbours] | None:
        """The ``k`` best allowed of ``limit`` hits of each query; None where one has too few."""
        whole = limit <= 4 * (k + _SPARE)  # then the vectors come along
        fields = VECTOR if whole else VECTOR[:1]
        ef = max(_EF, 2 * limit if limit <= 1024 else limit)
        results: list[Neighbours] = []
        for query, hits in zip(
            queries, self._client.search(queries, limit, ef, fields, condition), strict=True
        ):
            by_id = {int(hit["vector_id"]): hit for hit in hits}
            ids = np.fromiter(by_id, np.int64, len(by_id))
            ids = ids[_allowed(view, ids)]
            if len(ids) < least:
                return None
            if whole:
                embedding, norm = _vectors([by_id[id_] for id_ in ids.tolist()])
            else:
                order = sorted(ids.tolist(), key=lambda id_: -by_id[id_]["distance"])
                ids = np.array(order[: k + _SPARE], np.int64)
                embedding, norm = self._vectors(ids)
                there = ~np.isnan(norm)
                ids, embedding, norm = ids[there], embedding[there], norm[there]
            results.append(_best(query, k, ids, embedding, norm))
        return results

    def _listed(
        self, view: View, lists: Sequence[Sequence[int]], queries: FloatArray, k: int, least: int
    ) -> list[Neighbours] | None:
        """The nearest of the rows in ``lists``, each compared by Milvus."""
        parts: list[list[Neighbours]] = []
        limit = min(k + _SPARE, MAX_HITS)
        for some in lists:
            check_time()
            found = self._nearest(view, queries, k, 0, limit, f"id in {list(some)}")
            if found is None:
                return None
            parts.append(found)
        merged = [_merged(k, each) for each in zip(*parts, strict=True)]
        return None if any(len(one.ids) < least for one in merged) else merged

    def _exact(self, entities: Ids, queries: FloatArray, k: int) -> list[Neighbours] | None:
        """Compares the vectors of rows; None where one of them isn't there any more."""
        best: list[Neighbours] = [NO_NEIGHBOURS for _ in queries]
        for start in range(0, len(entities), _ROWS):
            check_time()
            some = entities[start : start + _ROWS].tolist()
            found = self._client.fetch(some, VECTOR)
            if len(found) < len(some):
                return None
            ids = np.array([int(found[id_]["vector_id"]) for id_ in some], np.int64)
            embedding, norm = _vectors([found[id_] for id_ in some])
            for i, query in enumerate(queries):
                new = _best(query, k, ids, embedding, norm)
                best[i] = _merged(k, [best[i], new]) if start else new
        return best


def _allowed(view: View, ids: Ids) -> npt.NDArray[np.bool_]:
    """Which of the vectors ``ids`` (n,) may be returned; others are of no commit yet, or old."""
    places = np.minimum(np.searchsorted(view.ids, ids), len(view.ids) - 1)
    return np.asarray((view.ids[places] == ids) & view.allowed[places], bool)


def _vectors(found: Sequence[Mapping[str, Any]]) -> Vectors:
    both = [vector(one) for one in found]
    embedding = np.array([one for one, _ in both], np.float32)
    return Vectors(embedding, np.array([norm for _, norm in both], np.float32))


def _best(
    query: FloatArray, k: int, ids: Ids, embedding: FloatArray, norm: FloatArray
) -> Neighbours:
    """The ``k`` nearest of vectors (n, D)."""
    if not len(ids):
        return NO_NEIGHBOURS
    similarity = similarities(np.asarray(query), embedding)
    order = np.lexsort((ids, -similarity))[:k]
    return Neighbours(ids[order], similarity[order], Vectors(embedding[order], norm[order]))


def _merged(k: int, parts: Sequence[Neighbours]) -> Neighbours:
    full = [one for one in parts if one.vectors is not None]
    if not full:
        return NO_NEIGHBOURS
    ids = np.concatenate([one.ids for one in full])
    similarity = np.concatenate([one.similarity for one in full])
    embedding = np.concatenate([one.vectors.embedding for one in full if one.vectors])
    norm = np.concatenate([one.vectors.norm for one in full if one.vectors])
    order = np.lexsort((ids, -similarity))[:k]
    return Neighbours(ids[order], similarity[order], Vectors(embedding[order], norm[order]))
