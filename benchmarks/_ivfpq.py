"""FAISS' own IVF-PQ, with the vectors themselves for a second look, as one of the systems."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _system import THREADS
from _truth import Condition, blocks
from _vectors import Data, Floats, Ints

SAMPLE = 40  # vectors of each list to train on


class IvfPq:
    """`IndexIVFPQ` of 64 bytes a vector for 256 dimensions; the best codes are scored exactly.

    An effort level is the number of lists that are scanned and of vectors that are read. They come
    from the same mapped file as ours, sorted by place; two threads share a query's lists.
    """

    package = "faiss-cpu"
    settings = (
        "IVF-PQ, D/4 sub-vectors of 8 bits, lists as ours; lists scanned and vectors read chosen; "
        "filter: IDSelectorBitmap"
    )
    effort_levels = ((32, 500), (64, 1000), (64, 2000), (64, 4000), (64, 8000), (64, 16000))

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        import faiss

        from hemline.catalog.settings import StoreSettings

        faiss.omp_set_num_threads(1)
        rows, dim = data.shape
        lists = max(64, StoreSettings().lists_for(rows))
        start = time.perf_counter(), time.process_time()
        chosen = np.random.default_rng(0).choice(rows, min(rows, SAMPLE * lists), replace=False)
        coarse: Any = faiss.IndexFlatIP(dim)
        index: Any = faiss.IndexIVFPQ(coarse, dim, lists, dim // 4, 8, faiss.METRIC_INNER_PRODUCT)
        index.train(data.halves(np.sort(chosen)).astype(np.float32))
        adding = 0.0
        for numbers, vectors in blocks(data):
            before = time.process_time()
            index.add_with_ids(vectors, numbers)
            adding += time.process_time() - before
        faiss.write_index(index, str(folder / "ivfpq.faiss"))
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        return {"ingest_s": adding, "build_s": wall - adding, "cpu_s": cpu}

    def open(self, folder: Path, data: Data) -> None:
        import faiss

        self._index: Any = faiss.read_index(str(folder / "ivfpq.faiss"))
        self._index.parallel_mode = 1
        self._data = data
        self._price = np.array(data.array("price"))
        self._setting: Any = self.effort_levels[0]

    def use(self, setting: Any) -> None:
        self._setting = setting

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        import faiss

        faiss.omp_set_num_threads(THREADS)
        probes, read = self._setting
        options: dict[str, Any] = {"nprobe": probes}
        if condition is not None:
            bits = np.packbits(condition.mask(self._price), bitorder="little")
            bitmap: Any = faiss.IDSelectorBitmap
            options["sel"] = bitmap(bits)
        make: Any = faiss.SearchParametersIVF
        found = self._index.search(query[None], max(k, read), params=make(**options))[1][0]
        rows = np.sort(found[found >= 0])
        score = self._data.halves(rows).astype(np.float32) @ query
        return rows[np.argsort(-score)[:k]]

    def search_many(self, queries: Floats, k: int) -> Any:
        return [self.search(query, k, None) for query in queries]

    def rows(self, found: Any) -> Ints:
        return np.asarray(found, np.int64)
