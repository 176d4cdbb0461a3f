"""FAISS' own IVF-PQ, with the vectors themselves for a second look, as one of the systems."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from _system import THREADS
from _truth import Condition, blocks
from _vectors import Data, Floats, Ints

SAMPLE = 40  # vectors of each list to train on
LISTS = 8192  # of fifty million; in proportion to the root of the rows
WIDTH = 64  # efSearch of the build; with FAISS' 16, 1.8 % of the vectors miss their nearest list


class IvfPq:
    """`IndexIVFPQ` of 64 bytes a vector for 256 dimensions; the best codes are scored exactly.

    Codes are of residuals, and the lists' centres are in an HNSW graph, as FAISS advises for so
    many vectors. An effort level is the number of lists that are scanned and of vectors that are
    read: from the same mapped file as ours, sorted by place, and asked for all at a time as ours
    are. Two threads share a query's lists.
    """

    package = "faiss-cpu"
    settings = (
        "IVF_HNSW32, PQ of residuals, D/4 sub-vectors of 8 bits; lists scanned and vectors read "
        "chosen; filter: IDSelectorBitmap"
    )
    effort_levels = tuple(
        (probes, read) for read in (2000, 1000, 500, 250) for probes in (256, 128, 64)
    )

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        import faiss

        faiss.omp_set_num_threads(1)
        rows, dim = data.shape
        lists = 1 << round(math.log2(max(64.0, LISTS * (rows / 50_000_000) ** 0.5)))
        start = time.perf_counter(), time.process_time()
        chosen = np.random.default_rng(0).choice(rows, min(rows, SAMPLE * lists), replace=False)
        kind = f"IVF{lists}_HNSW32,PQ{dim // 4}"
        index: Any = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
        faiss.downcast_index(index.quantizer).hnsw.efSearch = WIDTH
        index.train(data.halves(np.sort(chosen)).astype(np.float32))
        trained = time.process_time() - start[1]
        adding = 0.0
        for numbers, vectors in blocks(data):
            before = time.process_time()
            index.add_with_ids(vectors, numbers)
            adding += time.process_time() - before
            data.forget()
        faiss.write_index(index, str(folder / "ivfpq.faiss"))
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        found = {"ingest_s": adding, "build_s": wall - adding, "cpu_s": cpu}
        return found | {"lists": lists, "train_cpu_s": trained}

    def open(self, folder: Path, data: Data) -> None:
        import faiss

        self._index: Any = faiss.read_index(str(folder / "ivfpq.faiss"))
        self._index.parallel_mode = 1
        self._data = data
        self._price = np.array(data.array("price"))
        self._setting: Any = self.effort_levels[0]
        self._bits: dict[str, Any] = {}

    def use(self, setting: Any) -> None:
        self._setting = setting

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        import faiss

        faiss.omp_set_num_threads(THREADS)
        probes, read = self._setting
        graph: Any = faiss.SearchParametersHNSW
        options: dict[str, Any] = {"nprobe": probes, "quantizer_params": graph(efSearch=2 * probes)}
        if condition is not None:
            if condition.name not in self._bits:
                mask = condition.mask(self._price)
                self._bits[condition.name] = np.packbits(mask, bitorder="little")
            bitmap: Any = faiss.IDSelectorBitmap
            options["sel"] = bitmap(self._bits[condition.name])
        make: Any = faiss.SearchParametersIVF
        found = self._index.search(query[None], max(k, read), params=make(**options))[1][0]
        rows = np.sort(found[found >= 0])
        self._data.prefetch(rows)
        score = self._data.halves(rows).astype(np.float32) @ query
        return rows[np.argsort(-score)[:k]]

    def search_many(self, queries: Floats, k: int) -> Any:
        return [self.search(query, k, None) for query in queries]

    def rows(self, found: Any) -> Ints:
        return np.asarray(found, np.int64)
