"""The reference store: exact search with NumPy over rows in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hemline.budget import polled
from hemline.catalog.facets import count_rows, facet_columns
from hemline.catalog.similarity import ranked, rounded, similarities
from hemline.catalog.store import (
    NO_NEIGHBOURS,
    Advance,
    CheckReport,
    CompactReport,
    Counts,
    Facet,
    Ids,
    ItemPage,
    Neighbours,
    Row,
    RowKey,
    StoreSpec,
    Vectors,
    silent,
)
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError
from hemline.types import FloatArray


class MemoryStore:
    """Rows in memory, which end with the process."""

    def __init__(self, fingerprint: str, dim: int) -> None:
        self.fingerprint = fingerprint
        self.dim = dim
        self.revision = 0
        self._rows: dict[int, Row] = {}
        self._ids: dict[str, int] = {}
        self._next = 1
        self._lock = threading.RLock()

    @contextmanager
    def writing(self) -> Iterator[bool]:
        if not self._lock.acquire(blocking=False):
            raise CatalogError("another thread writes to this catalogue; wait until it is done")
        try:
            yield False
        finally:
            self._lock.release()

    def add(self, rows: Sequence[Row], removed: Collection[str] = ()) -> None:
        latest = {row.image_id: rounded(row, self.dim) for row in rows}
        with self._lock:
            for image_id in removed:
                id_ = self._ids.pop(image_id, None)
                if id_ is not None:
                    del self._rows[id_]
            for row in latest.values():
                id_ = self._ids.get(row.image_id)
                if id_ is None or not _same_vector(row, self._rows[id_]):
                    if id_ is not None:
                        del self._rows[id_]
                    id_ = self._ids[row.image_id] = self._next
                    self._next += 1
                self._rows[id_] = row
            self.revision += 1

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        chosen, removed = set(item_ids), dict[str, int]()
        with self._lock:
            for id_, row in list(self._rows.items()):
                if row.item_id in chosen:
                    removed[row.item_id] = removed.get(row.item_id, 0) + 1
                    del self._rows[id_], self._ids[row.image_id]
            self.revision += 1
        return removed

    def get(self, image_ids: Collection[str], vectors: bool = True) -> dict[str, Row]:
        with self._lock:
            found = {i: self._rows[self._ids[i]] for i in image_ids if i in self._ids}
        return found if vectors else {i: _bare(row) for i, row in found.items()}

    def take(self, ids: Ids, vectors: bool = True) -> list[Row | None]:
        with self._lock:
            found = [self._rows.get(int(i)) for i in ids]
        return found if vectors else [row and _bare(row) for row in found]

    def vectors(self, ids: Ids) -> Vectors:
        missing = Row("", "", np.zeros(self.dim, np.float32), float("nan"))
        rows = [row or missing for row in self.take(ids)]
        embedding = np.array([row.embedding for row in rows], np.float32)
        norm = np.array([row.norm for row in rows], np.float32)
        return Vectors(embedding.reshape(len(rows), self.dim), norm)

    def item_codes(self, ids: Ids) -> Ids:
        codes: dict[str, int] = {}
        rows = self.take(ids)
        found = [-1 if row is None else codes.setdefault(row.item_id, len(codes)) for row in rows]
        return np.array(found, np.int64)

    def rows(self, since: int = 0) -> Iterator[Row]:
        with self._lock:
            rows = list(self._rows.values()) if self.revision > since else []
        return iter(rows)

    def row_keys(self) -> Iterator[RowKey]:
        return (RowKey(r.image_id, r.item_id, r.source, r.image_digest) for r in self.rows())

    def items(self, item_ids: Collection[str], vectors: bool = True) -> list[Row]:
        chosen = set(item_ids)
        found = [row for row in self.rows() if row.item_id in chosen]
        return found if vectors else [_bare(row) for row in found]

    def _meeting(self, where: Where | None) -> list[tuple[int, Row]]:
        """(id, row) of the rows that meet a condition."""
        with self._lock:
            rows = list(self._rows.items())
        if where is None:
            return rows
        where.check_cost(len(rows))
        return [(id_, row) for id_, row in polled(rows) if where.matches(row.values())]

    def item_page(self, limit: int, after: str = "", where: Where | None = None) -> ItemPage:
        rows = [row for _, row in self._meeting(where)]
        names = sorted({row.item_id for row in rows})
        rest = [name for name in names if name > after]
        return ItemPage(tuple(rest[:limit]), Counts(len(rows), len(names)), len(rest) > limit)

    def counts(self) -> Counts:
        rows = list(self.rows())
        return Counts(len(rows), len({row.item_id for row in rows}))

    def columns(self) -> tuple[str, ...]:
        return tuple(sorted({name for row in self.rows() for name in row.columns}))

    def tag_names(self) -> tuple[str, ...]:
        return tuple(sorted({tag.partition("=")[0] for row in self.rows() for tag in row.tags}))

    def image_digests(self) -> frozenset[str]:
        return frozenset(row.image_digest for row in self.rows() if row.image_digest)

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        found = [(id_, row.embedding) for id_, row in self._meeting(where)]
        if not found or k < 1:
            return NO_NEIGHBOURS
        ids = np.array([id_ for id_, _ in found], np.int64)
        embedding = np.stack([embedding for _, embedding in found])
        nearest = ranked(ids, similarities(query, embedding))
        return Neighbours(nearest.ids[:k], nearest.similarity[:k])

    search_exact = search

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None = None, verified: bool = True
    ) -> list[Neighbours]:
        return [self.search(query, k, where) for query in queries]

    def facets(
        self, columns: Sequence[str], where: Where | None = None, limit: int = 50
    ) -> dict[str, Facet]:
        rows = [row for _, row in self._meeting(where)]
        return count_rows(rows, facet_columns(columns, self.columns(), self.tag_names()), limit)

    def save(self) -> None:
        pass

    def compact(self, advance: Advance = silent) -> CompactReport:
        return CompactReport()

    def verify(self, repair: bool = False, advance: Advance = silent) -> CheckReport:
        return CheckReport(self.counts().images)

    def backup(self, folder: Path, advance: Advance = silent, damaged: bool = False) -> None:
        raise CatalogError("the memory store keeps nothing on disk that could be copied")

    def stats(self) -> dict[str, Any]:
        return {"revision": self.revision}

    def close(self) -> None:
        pass


def _bare(row: Row) -> Row:
    return replace(row, embedding=np.zeros(0, np.float32), norm=0.0)


def _same_vector(row: Row, old: Row) -> bool:
    return row.norm == old.norm and bool(np.array_equal(row.embedding, old.embedding))


def _open(folder: Path) -> MemoryStore:
    raise CatalogError(f"{folder}: the memory store keeps nothing on disk; create a new catalogue")


STORES: Mapping[str, StoreSpec] = {
    "memory": StoreSpec(
        summary="exact, in memory only: the reference",
        file="",
        create=lambda folder, fingerprint, dim: MemoryStore(fingerprint, dim),
        open=_open,
    )
}
