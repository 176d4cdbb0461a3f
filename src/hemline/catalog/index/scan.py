"""Exact scans of float16 vectors, by FAISS's float16 kernels (NumPy's are ten times slower).

FAISS finds the nearest with float32 sums; `similarities` then orders those by the sums that every
store answers with. So many are kept over that no row is lost to the difference, however many have
equal vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hemline.catalog.segments import Halves
from hemline.catalog.similarity import ranked, similarities
from hemline.catalog.store import NO_NEIGHBOURS, Ids, Neighbours
from hemline.types import FloatArray

BLOCK = 2048  # vectors looked at together, so that they stay in the processor's cache
Read = Callable[[Ids, Halves], object]
_OVER = 32  # kept beyond k, to be ordered by the exact sums
_SLACK = 1e-5  # float32 sums of unit vectors differ by less


@contextmanager
def threads(count: int) -> Iterator[None]:
    """FAISS with ``count`` threads. Waking threads costs milliseconds, so a single query has one.

    The setting is OpenMP's, of the calling thread only, and is put back.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class Flat:
    """Float16 vectors in memory, numbered from 0."""

    def __init__(self, dim: int) -> None:
        import faiss

        kind = faiss.ScalarQuantizer.QT_fp16
        self._index: Any = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
        self._index.is_trained = True
        self._dim = dim

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def clear(self) -> None:
        """Forgets them, and keeps the room."""
        self._index.reset()

    def add(self, half: Halves) -> None:
        """half (n, D), contiguous."""
        if len(half):
            self._index.add_sa_codes(half.view(np.uint8).reshape(len(half), 2 * self._dim))

    def search(self, query: FloatArray, k: int, among: Any = None) -> tuple[FloatArray, Ids]:
        """Float32 sums, falling, and numbers of at most ``k``; ``among``: a FAISS selector."""
        import faiss

        options: dict[str, Any] = {}
        if among is not None:
            parameters: Any = faiss.SearchParameters
            options["params"] = parameters(sel=among)
        row = np.ascontiguousarray(query, np.float32).reshape(1, self._dim)
        with threads(1):
            score, found = self._index.search(row, min(k, len(self)), **options)
        there = found[0] >= 0
        return score[0][there], found[0][there]

    def exact(
        self,
        query: FloatArray,
        k: int,
        halves: Callable[[Ids], Halves],
        ids: Ids,
        among: Any = None,
    ) -> Neighbours:
        """The ``k`` nearest by exact sums.

        Args:
            query: (D,).
            k: how many.
            halves: numbers (n,) → their vectors.
            ids: (N,) what each number is called in the answer; rising.
            among: a FAISS selector of numbers.
        """
        if k < 1 or not len(self):
            return NO_NEIGHBOURS
        slack = _SLACK * max(float(np.linalg.norm(query)), 1e-30)
        ask = k + _OVER
        while True:
            score, found = self.search(query, ask, among)
            if len(score) < ask or score[-1] < score[k - 1] - slack:
                break
            ask *= 4
        if len(score) > k:
            found = found[score >= score[k - 1] - slack]
        nearest = ranked(ids[found], similarities(query, halves(found)))
        return Neighbours(nearest.ids[:k], nearest.similarity[:k])


class _Scratch(threading.local):
    """A thread's room for one block, used again: fresh memory costs more than the sums."""

    def __init__(self) -> None:
        self.dim = 0
        self.room: Halves = np.zeros((0, 0), np.float16)
        self.flat: Flat | None = None

    def block(self, dim: int) -> tuple[Halves, Flat]:
        """Room for `BLOCK` vectors, and an empty `Flat`."""
        if self.flat is None or self.dim != dim:
            self.dim, self.flat = dim, Flat(dim)
            self.room = np.zeros((BLOCK, dim), np.float16)
        self.flat.clear()
        return self.room, self.flat


_scratch = _Scratch()


def scan(query: FloatArray, k: int, ids: Ids, read: Read) -> Neighbours:
    """The ``k`` of ``ids`` (N,), which rise, whose vectors are nearest to ``query`` (D,).

    ``read`` writes the vectors of some ids into an array (n, D). They are read block by block.
    """
    k = min(k, len(ids))
    if k < 1:
        return NO_NEIGHBOURS
    slack = _SLACK * max(float(np.linalg.norm(query)), 1e-30)
    score, places = np.zeros(0, np.float32), np.zeros(0, np.int64)
    for start in range(0, len(ids), BLOCK):
        block = ids[start : start + BLOCK]
        room, flat = _scratch.block(len(query))
        read(block, room[: len(block)])
        flat.add(room[: len(block)])
        ask = k + _OVER
        while True:
            near, found = flat.search(query, ask)
            joined = np.concatenate([score, near])
            worst = np.partition(joined, -k)[-k] - slack if len(joined) >= k else -np.inf
            if len(near) < ask or near[-1] < worst:
                break
            ask *= 4  # so many are alike that some may have been left out
        kept = joined >= worst
        places = np.concatenate([places, start + found])[kept]
        score = joined[kept]
    chosen = ids[np.sort(places)]
    half = np.empty((len(chosen), len(query)), np.float16)
    read(chosen, half)
    answer = ranked(chosen, similarities(query, half))
    return Neighbours(answer.ids[:k], answer.similarity[:k])
