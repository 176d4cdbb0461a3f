"""The vectors in memory, by FAISS: exact inner products, kept up row by row.

A larger index takes its place by giving the same four methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hemline.search.catalog._protocol import Ids, Neighbours, ranked
from hemline.types import FloatArray


@contextmanager
def _one_thread() -> Iterator[None]:
    """FAISS shares work out by queries, so one query gains nothing by its threads, and waking them
    costs milliseconds. The setting is OpenMP's, of the calling thread only, and is put back.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class FlatIndex:
    """Ids and their vectors; its owner sees that one thread uses it at a time."""

    def __init__(self, dim: int) -> None:
        import faiss

        self._dim = dim
        self._index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(dim))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: FloatArray) -> None:
        """ids (n,), vectors (n, D)."""
        if len(ids):
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)

    def remove(self, ids: Ids) -> None:
        """ids (n,); those that aren't there are passed over."""
        if len(ids) and len(self):
            import faiss

            self._index.remove_ids(faiss.IDSelectorBatch(ids))

    def search(self, query: FloatArray, k: int, allowed: Ids | None = None) -> Neighbours:
        """The ``k`` nearest to ``query`` (D,), among ``allowed`` (n,) if given."""
        import faiss

        k = min(k, len(self) if allowed is None else len(allowed))
        if k < 1:
            return Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32))
        options: dict[str, Any] = {}
        if allowed is not None:
            parameters: Any = faiss.SearchParameters
            options["params"] = parameters(sel=faiss.IDSelectorBatch(allowed))
        row = np.ascontiguousarray(query, np.float32).reshape(1, self._dim)
        with _one_thread():
            similarity, ids = self._index.search(row, k, **options)
        there = ids[0] >= 0
        return ranked(ids[0][there].astype(np.int64), similarity[0][there])
