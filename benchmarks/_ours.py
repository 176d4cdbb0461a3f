"""Hemline's own store as one of the measured systems: through `Store` alone, its files on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _truth import Condition
from _vectors import Data, Floats, Ints

from hemline.catalog.store import Row
from hemline.catalog.stores import STORES
from hemline.catalog.where.expression import Where
from hemline.ranking.merge import RERANK_TOP

FINGERPRINT = "benchmark"
COLUMNS = ("price",)
BATCH = 10_000


def rows_of(data: Data, start: int, stop: int) -> list[Row]:
    """Rows as a feed of a shop gives them."""
    vectors = data.block(start, stop)
    columns = [data.array(name)[start:stop].tolist() for name in ("product", "category", "price")]
    return [
        Row(
            image_id=str(start + at),
            item_id=f"p{product}",
            embedding=vectors[at],
            norm=1.0,
            category=f"c{category}",
            columns={"price": price},
        )
        for at, (product, category, price) in enumerate(zip(*columns, strict=True))
    ]


def batches(data: Data, size: int = BATCH) -> Iterator[list[Row]]:
    total = len(data.vectors)
    for start in range(0, total, size):
        yield rows_of(data, start, min(total, start + size))


class Hemline:
    """The store of a catalogue with its default settings."""

    package = "hemline"
    settings = f"default; {BATCH:,} rows to a durable commit"
    effort_levels = ("default",)

    def __init__(self) -> None:
        self._store: Any = None
        self._conditions: dict[str, Where] = {}
        self._row: dict[int, int] = {}

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        spec = STORES["sqlite"]
        spec.create(folder, FINGERPRINT, data.queries.shape[1]).close()
        store: Any = spec.open(folder)
        adding = making = 0.0
        start = time.perf_counter()
        for rows in batches(data):
            made = time.perf_counter()
            making += made - start
            store.add(rows)
            start = time.perf_counter()
            adding += start - made
        store.search(data.queries[0], 20)
        first = time.perf_counter() - start
        if hasattr(store, "save"):
            store.save()
        build = time.perf_counter() - start
        store.close()
        return {"ingest_s": adding, "build_s": build, "made_rows_s": making, "first_s": first}

    def open(self, folder: Path, data: Data) -> None:
        del data
        self._store = STORES["sqlite"].open(folder)

    @property
    def store(self) -> Any:
        """The open store."""
        return self._store

    def use(self, setting: Any) -> None:
        del setting

    def _where(self, condition: Condition | None) -> Where | None:
        if condition is None:
            return None
        if condition.text not in self._conditions:
            self._conditions[condition.text] = Where.parse(condition.text, COLUMNS)
        return self._conditions[condition.text]

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        return self._store.search(query, k, self._where(condition))

    def search_many(self, queries: Floats, k: int) -> Any:
        if hasattr(self._store, "search_many"):
            return self._store.search_many(queries, k)
        return [self._store.search(query, k) for query in queries]

    def rows(self, found: Any) -> Ints:
        new = [int(i) for i in found.ids if int(i) not in self._row]
        for id_, row in zip(new, self._store.take(np.array(new, np.int64)), strict=True):
            self._row[id_] = int(row.image_id)
        return np.array([self._row[int(i)] for i in found.ids], np.int64)

    def rerank(self, queries: Floats, images: list[Any]) -> list[float]:
        """Milliseconds that re-ranking the first `RERANK_TOP` adds, for each query."""
        from hemline.runtime.bundle import Bundle
        from hemline.runtime.encoder import BundleEncoder
        from hemline.search.ranking import rescore

        encoder = BundleEncoder(Bundle.default())
        locals_ = encoder.encode_street(images).local
        assert locals_ is not None
        taken = []
        for at, query in enumerate(queries):
            found = self._store.search(query, RERANK_TOP)
            start = time.perf_counter()
            kept = self._store.vectors(found.ids)
            contexts = kept.embedding * kept.norm[:, None]
            local = locals_[at % len(locals_)][None]
            rescore(encoder, local, contexts, found.similarity, "mean")
            taken.append((time.perf_counter() - start) * 1000)
        return taken
