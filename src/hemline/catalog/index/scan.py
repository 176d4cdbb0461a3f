"""Exact search in float16 vectors with FAISS's kernels (NumPy's are ten times slower).

FAISS selects with float32 sums; `similarities` then ranks the selection by the exact sums. Enough
extra vectors are selected that none is lost to the rounding, however many have equal vectors.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from hemline.budget import check_time
from hemline.catalog.segments import Halves
from hemline.catalog.similarity import ranked, similarities
from hemline.catalog.store import NO_NEIGHBOURS, Ids, Neighbours
from hemline.types import FloatArray

BLOCK = 2048  # vectors scanned at a time, which fit into the processor's cache
Read = Callable[[Ids, Halves], object]
#: FAISS's fast kernels take whole steps of so many numbers; for others it is ten times slower.
STEP = 16
_EXTRA = 32  # selected beyond k, to be ranked by the exact sums
_SLACK = 1e-5  # the float32 sum of unit vectors is closer to the exact one


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Runs FAISS with ``count`` threads; one for a single query, as waking more costs milliseconds.

    The setting is OpenMP's for the calling thread, and is restored.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def pool() -> ThreadPoolExecutor:
    """Two threads for parts of one search; a task of theirs mustn't wait for another."""
    return _pool(os.getpid())


@functools.lru_cache(1)
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for each process, as a forked child doesn't have its parent's threads."""
    return ThreadPoolExecutor(2, thread_name_prefix="hemline-codes")


class Flat:
    """Float16 vectors in memory, numbered from 0, with zeros behind them to a whole `STEP`."""

    def __init__(self, dim: int) -> None:
        import faiss

        self._dim, self._width = dim, -(-dim // STEP) * STEP
        kind = faiss.ScalarQuantizer.QT_fp16
        inner = faiss.METRIC_INNER_PRODUCT
        self._index: Any = faiss.IndexScalarQuantizer(self._width, kind, inner)
        self._index.is_trained = True

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def clear(self) -> None:
        """Removes all vectors and keeps the memory."""
        self._index.reset()

    def add(self, half: Halves) -> None:
        """Adds vectors half (n, D), contiguous."""
        if not len(half):
            return
        if self._width > self._dim:
            half = np.pad(half, ((0, 0), (0, self._width - self._dim)))
        self._index.add_sa_codes(half.view(np.uint8).reshape(len(half), 2 * self._width))

    def search(self, query: FloatArray, k: int, among: Any = None) -> tuple[FloatArray, Ids]:
        """Descending float32 sums and numbers of at most ``k``; ``among`` is a FAISS selector."""
        import faiss

        options: dict[str, Any] = {}
        if among is not None:
            parameters: Any = faiss.SearchParameters
            options["params"] = parameters(sel=among)
        row = np.zeros((1, self._width), np.float32)
        row[0, : self._dim] = query
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
            k: the number of results.
            halves: numbers (n,) → their vectors.
            ids: (N,) the id of each number, ascending.
            among: a FAISS selector of numbers.
        """
        if k < 1 or not len(self):
            return NO_NEIGHBOURS
        slack = _SLACK * max(float(np.linalg.norm(query)), 1e-30)
        count = k + _EXTRA
        while True:
            score, found = self.search(query, count, among)
            if len(score) < count or score[-1] < score[k - 1] - slack:
                break
            count *= 4
        if len(score) > k:
            found = found[score >= score[k - 1] - slack]
        nearest = ranked(ids[found], similarities(query, halves(found)))
        return Neighbours(nearest.ids[:k], nearest.similarity[:k])


class _Scratch(threading.local):
    """A thread's memory for one block, reused: allocating it costs more than the sums."""

    def __init__(self) -> None:
        self.dim = 0
        self.buffer: Halves = np.zeros((0, 0), np.float16)
        self.flat: Flat | None = None

    def block(self, dim: int) -> tuple[Halves, Flat]:
        """An array for `BLOCK` vectors, and an empty `Flat`."""
        if self.flat is None or self.dim != dim:
            self.dim, self.flat = dim, Flat(dim)
            self.buffer = np.zeros((BLOCK, dim), np.float16)
        self.flat.clear()
        return self.buffer, self.flat


_scratch = _Scratch()


def scan(query: FloatArray, k: int, ids: Ids, read: Read) -> Neighbours:
    """The ``k`` of ``ids`` (N,), ascending, whose vectors are nearest to ``query`` (D,).

    ``read`` writes the vectors of ids (n,) into an array (n, D), block by block.

    Raises:
        TimeLimitError: the present query's time is over.
    """
    k = min(k, len(ids))
    if k < 1:
        return NO_NEIGHBOURS
    slack = _SLACK * max(float(np.linalg.norm(query)), 1e-30)
    score, places = np.zeros(0, np.float32), np.zeros(0, np.int64)
    for start in range(0, len(ids), BLOCK):
        check_time()
        block = ids[start : start + BLOCK]
        buffer, flat = _scratch.block(len(query))
        read(block, buffer[: len(block)])
        flat.add(buffer[: len(block)])
        count = k + _EXTRA
        while True:
            near, found = flat.search(query, count)
            joined = np.concatenate([score, near])
            worst = np.partition(joined, -k)[-k] - slack if len(joined) >= k else -np.inf
            if len(near) < count or near[-1] < worst:
                break
            count *= 4  # so many are equal that some may be missing
        kept = joined >= worst
        places = np.concatenate([places, start + found])[kept]
        score = joined[kept]
    chosen = ids[np.sort(places)]
    half = np.empty((len(chosen), len(query)), np.float16)
    read(chosen, half)
    answer = ranked(chosen, similarities(query, half))
    return Neighbours(answer.ids[:k], answer.similarity[:k])
