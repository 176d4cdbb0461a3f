"""The vectors in memory, by FAISS: exact inner products, kept up row by row.

A larger index takes its place by giving the same four methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hemline.search.catalog._protocol import Ids, Neighbours, ranked
from hemline.types import FloatArray


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
        similarity, ids = self._index.search(row, k, **options)
        there = ids[0] >= 0
        return ranked(ids[0][there].astype(np.int64), similarity[0][there])
