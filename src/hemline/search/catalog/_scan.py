"""Exact scans of float16 vectors, by FAISS's float16 kernels (NumPy's are ten times slower).

FAISS finds the nearest with float32 sums; `similarities` then orders those by the sums that every
store answers with. So many are kept over that no row is lost to the difference, however many have
equal vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hemline.search.catalog._protocol import (
    NO_NEIGHBOURS,
    Ids,
    Neighbours,
    ranked,
    similarities,
)
from hemline.search.catalog._segments import Halves
from hemline.types import FloatArray

BLOCK = 16_384
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


def nearest(query: FloatArray, k: int, half: Halves, ids: Ids) -> Neighbours:
    """The ``k`` of ``half`` (n, D), called ``ids`` (n,), that are nearest to ``query`` (D,)."""
    flat = Flat(half.shape[1])
    flat.add(half)
    return flat.exact(query, k, lambda found: half[found], ids)


def scan(query: FloatArray, k: int, ids: Ids, halves: Callable[[Ids], Halves]) -> Neighbours:
    """`nearest` among ``ids`` (n,), whose vectors are read block by block."""
    best = NO_NEIGHBOURS
    for start in range(0, len(ids), BLOCK):
        block = ids[start : start + BLOCK]
        found = nearest(query, k, halves(block), block)
        joined = ranked(
            np.concatenate([best.ids, found.ids]),
            np.concatenate([best.similarity, found.similarity]),
        )
        best = Neighbours(joined.ids[:k], joined.similarity[:k])
    return best
