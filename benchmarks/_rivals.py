"""The libraries that stand beside ours, each with what its documentation calls good settings.

None is a dependency of hemline: ``pip install hnswlib usearch lancedb qdrant-edge-py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _ivfpq import IvfPq
from _ours import Hemline
from _system import THREADS, System
from _truth import Condition, blocks
from _vectors import Data, Floats, Ints


class FaissFlat:
    """FAISS `IndexFlatIP`: looks at every float32; a filter is a bitmap from NumPy columns."""

    package = "faiss-cpu"
    settings = "IndexFlatIP, float32, written with write_index; filter: IDSelectorBitmap"
    effort_levels = ("exact",)

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        import faiss

        index = faiss.IndexFlatIP(data.queries.shape[1])
        adding = 0.0
        for _, vectors in blocks(data):
            start = time.perf_counter()
            index.add(vectors)
            adding += time.perf_counter() - start
        start = time.perf_counter()
        faiss.write_index(index, str(folder / "flat.faiss"))
        return {"ingest_s": adding, "build_s": time.perf_counter() - start}

    def open(self, folder: Path, data: Data) -> None:
        import faiss

        self._index: Any = faiss.read_index(str(folder / "flat.faiss"))
        self._columns = {name: np.array(data.array(name)) for name in ("price", "category")}

    def use(self, setting: Any) -> None:
        del setting

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        import faiss

        faiss.omp_set_num_threads(1)  # it shares work out by queries: for one, threads only cost
        if condition is None:
            return self._index.search(query[None], k)[1][0]
        mask = condition.mask(self._columns[condition.column])
        bitmap: Any = faiss.IDSelectorBitmap  # faiss wraps it for arrays
        chosen = bitmap(np.packbits(mask, bitorder="little"))
        parameters: Any = faiss.SearchParameters
        return self._index.search(query[None], k, params=parameters(sel=chosen))[1][0]

    def search_many(self, queries: Floats, k: int) -> Any:
        import faiss

        faiss.omp_set_num_threads(THREADS)
        return self._index.search(queries, k)[1]

    def rows(self, found: Any) -> Ints:
        return np.asarray(found[found >= 0], np.int64)


class Hnswlib:
    """hnswlib: a graph in memory; its filter is a Python function that it asks about each label."""

    package = "hnswlib"
    settings = "M=16, ef_construction=200, two threads; ef chosen; filter: a Python function"
    effort_levels = (64, 128, 256, 400, 600, 1000, 1600, 2500)

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        import hnswlib

        total, dim = data.vectors.shape
        index = hnswlib.Index(space="ip", dim=dim)
        index.init_index(max_elements=total, ef_construction=200, M=16)
        index.set_num_threads(THREADS)
        adding = 0.0
        for rows, vectors in blocks(data):
            start = time.perf_counter()
            index.add_items(vectors, rows)
            adding += time.perf_counter() - start
        start = time.perf_counter()
        index.save_index(str(folder / "graph.bin"))
        return {"ingest_s": adding, "build_s": time.perf_counter() - start}

    def open(self, folder: Path, data: Data) -> None:
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=data.queries.shape[1])
        self._index.load_index(str(folder / "graph.bin"))
        self._index.set_num_threads(THREADS)
        self._columns = {name: np.array(data.array(name)) for name in ("price", "category")}
        self._ef = self.effort_levels[0]

    def use(self, setting: Any) -> None:
        self._ef = setting

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        self._index.set_ef(max(self._ef, k))
        if condition is None:
            return self._index.knn_query(query[None], k, num_threads=1)[0][0]
        mask = condition.mask(self._columns[condition.column])
        allow: Callable[[int], bool] = mask.tolist().__getitem__
        for count in (k, k // 2, k // 4, k // 8, k // 16, 1):
            try:
                return self._index.knn_query(query[None], count, num_threads=1, filter=allow)[0][0]
            except RuntimeError:  # it found fewer than it was asked for, and gives none of them
                continue
        return np.zeros(0, np.int64)

    def search_many(self, queries: Floats, k: int) -> Any:
        self._index.set_ef(max(self._ef, k))
        return self._index.knn_query(queries, k, num_threads=THREADS)[0]

    def rows(self, found: Any) -> Ints:
        return np.asarray(found, np.int64)


class Usearch:
    """usearch: a graph, mapped from its file; its Python package has no filter."""

    package = "usearch"
    settings = "f16, connectivity=16, expansion_add=128, two threads; expansion_search chosen"
    effort_levels = (64, 128, 256, 400, 600, 1000, 1600, 2500)

    def _index(self, dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="ip", dtype="f16", connectivity=16, expansion_add=128)

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        index = self._index(data.queries.shape[1])
        adding = 0.0
        for rows, vectors in blocks(data):
            start = time.perf_counter()
            index.add(rows, vectors, threads=THREADS)
            adding += time.perf_counter() - start
        start = time.perf_counter()
        index.save(str(folder / "graph.usearch"))
        return {"ingest_s": adding, "build_s": time.perf_counter() - start}

    def open(self, folder: Path, data: Data) -> None:
        self._opened = self._index(data.queries.shape[1])
        self._opened.load(str(folder / "graph.usearch"))

    def use(self, setting: Any) -> None:
        self._opened.expansion_search = setting

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        assert condition is None
        return self._opened.search(query, k, threads=1).keys

    def search_many(self, queries: Floats, k: int) -> Any:
        return self._opened.search(queries, k, threads=THREADS).keys

    def rows(self, found: Any) -> Ints:
        return np.asarray(found, np.int64)


class Lance:
    """LanceDB: a columnar table on disk with IVF-PQ; a filter is SQL with indexed columns."""

    package = "lancedb"
    settings = (
        "IVF_PQ, D/8 sub-vectors, sqrt(n) partitions; nprobes and refine_factor chosen; "
        "filter: where(prefilter), BTREE on price, BITMAP on category"
    )
    effort_levels = (
        (20, 4),
        (20, 10),
        (20, 20),
        (20, 40),
        (40, 40),
        (80, 40),
        (160, 40),
        (320, 40),
    )

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        import lancedb
        import pyarrow

        pa: Any = pyarrow
        total, dim = data.vectors.shape
        schema = pa.schema(
            {
                "row": pa.int64(),
                "item": pa.string(),
                "category": pa.string(),
                "price": pa.int32(),
                "vector": pa.list_(pa.float32(), dim),
            }
        )

        def parts() -> Iterator[Any]:
            for rows, vectors in blocks(data):
                product = data.array("product")[rows].tolist()
                category = data.array("category")[rows].tolist()
                columns = [
                    pa.array(rows),
                    pa.array([f"p{p}" for p in product]),
                    pa.array([f"c{c}" for c in category]),
                    pa.array(np.asarray(data.array("price")[rows], np.int32)),
                    pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim),
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        start = time.perf_counter()
        table = lancedb.connect(folder).create_table("pictures", parts(), schema=schema)
        ingested = time.perf_counter()
        table.create_index(
            metric="dot",
            index_type="IVF_PQ",
            num_partitions=int(total**0.5),
            num_sub_vectors=dim // 8,
        )
        table.create_scalar_index("price", index_type="BTREE")
        table.create_scalar_index("category", index_type="BITMAP")
        return {"ingest_s": ingested - start, "build_s": time.perf_counter() - ingested}

    def open(self, folder: Path, data: Data) -> None:
        del data
        import lancedb

        self._table: Any = lancedb.connect(folder).open_table("pictures")
        self._setting = self.effort_levels[0]

    def use(self, setting: Any) -> None:
        self._setting = setting

    def _asked(self, query: Any, k: int) -> Any:
        probes, refine = self._setting
        asked = self._table.search(query, vector_column_name="vector").distance_type("dot")
        return asked.limit(k).nprobes(probes).refine_factor(refine).select(["row", "_distance"])

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        asked = self._asked(query, k)
        if condition is not None:
            asked = asked.where(condition.text, prefilter=True)
        return asked.to_arrow()

    def search_many(self, queries: Floats, k: int) -> Any:
        return self._asked(list(queries), k).to_arrow()

    def rows(self, found: Any) -> Ints:
        return np.asarray(found["row"].to_numpy(), np.int64)


class Qdrant:
    """Qdrant Edge: a shard in the process with HNSW and payload indexes that its graph knows."""

    package = "qdrant-edge-py"
    settings = "float32, m=16, ef_construct=100, one segment; hnsw_ef chosen; filter: payload index"
    effort_levels = (64, 128, 256, 400, 600, 1000, 1600, 2500)

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        import qdrant_edge as q

        dim = data.queries.shape[1]
        config = q.EdgeConfig(
            vectors=q.EdgeVectorParams(size=dim, distance=q.Distance.Dot),
            hnsw_config=q.HnswIndexConfig(
                m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=THREADS
            ),
            optimizers=q.EdgeOptimizersConfig(default_segment_number=1),
        )
        shard = q.EdgeShard.create(str(folder), config)
        update = q.UpdateOperation
        shard.update(update.create_field_index("price", q.PayloadSchemaType.Integer))
        shard.update(update.create_field_index("category", q.PayloadSchemaType.Keyword))
        adding = 0.0
        for rows, vectors in blocks(data):
            columns = [data.array(n)[rows].tolist() for n in ("product", "category", "price")]
            start = time.perf_counter()
            for at in range(0, len(rows), 1000):
                points = [
                    q.Point(
                        int(rows[i]),
                        vectors[i].tolist(),
                        {
                            "item": f"p{columns[0][i]}",
                            "category": f"c{columns[1][i]}",
                            "price": columns[2][i],
                        },
                    )
                    for i in range(at, min(len(rows), at + 1000))
                ]
                shard.update(update.upsert_points(points))
            shard.flush()
            adding += time.perf_counter() - start
        start = time.perf_counter()
        shard.optimize()
        shard.flush()
        taken = time.perf_counter() - start
        shard.close()
        return {"ingest_s": adding, "build_s": taken}

    def open(self, folder: Path, data: Data) -> None:
        del data
        import qdrant_edge as q

        self._shard = q.EdgeShard.load(str(folder))
        self._ef = self.effort_levels[0]

    def use(self, setting: Any) -> None:
        self._ef = setting

    def _request(self, query: Floats, k: int, condition: Condition | None = None) -> Any:
        import qdrant_edge as q

        chosen = None
        if condition is not None:
            if condition.below is not None:
                field = q.FieldCondition(condition.column, range=q.RangeFloat(lt=condition.below))
            else:
                match = q.MatchValue(f"c{condition.equal}")
                field = q.FieldCondition(condition.column, match=match)
            chosen = q.Filter(must=[field])
        return q.QueryRequest(
            limit=k,
            query=q.Query.Nearest(query.tolist()),
            params=q.SearchParams(hnsw_ef=max(self._ef, k)),
            filter=chosen,
        )

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        return self._shard.query(self._request(query, k, condition))

    def search_many(self, queries: Floats, k: int) -> Any:
        import qdrant_edge as q

        asked = [self._request(query, k) for query in queries]
        return self._shard.query_batch(q.QueryBatchRequest(asked))

    def rows(self, found: Any) -> Ints:
        return np.array([point.id for point in found], np.int64)


SYSTEMS: Mapping[str, Callable[[], System]] = {
    "hemline": Hemline,
    "faiss-flat": FaissFlat,
    "faiss-ivfpq": IvfPq,
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "lancedb": Lance,
    "qdrant-edge": Qdrant,
}
