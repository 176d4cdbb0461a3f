"""The reference store: exact, in memory, with NumPy and no cleverness."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hemline.errors import CatalogError
from hemline.search.catalog._protocol import Counts, Ids, Neighbours, Row, StoreSpec, ranked
from hemline.search.where import Where
from hemline.types import FloatArray


class MemoryStore:
    """Forgets everything when the process ends."""

    def __init__(self, fingerprint: str, dim: int) -> None:
        self.fingerprint = fingerprint
        self.dim = dim
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

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.embedding.shape != (self.dim,):
                raise CatalogError(f"a vector of {row.embedding.shape}, not ({self.dim},)")
        with self._lock:
            for row in rows:
                self._rows.pop(self._ids.pop(row.image_id, 0), None)
                self._rows[self._next] = row
                self._ids[row.image_id] = self._next
                self._next += 1

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        wanted, removed = set(item_ids), dict[str, int]()
        with self._lock:
            for id_, row in list(self._rows.items()):
                if row.item_id in wanted:
                    removed[row.item_id] = removed.get(row.item_id, 0) + 1
                    del self._rows[id_], self._ids[row.image_id]
        return removed

    def get(self, image_ids: Collection[str]) -> dict[str, Row]:
        with self._lock:
            return {i: self._rows[self._ids[i]] for i in image_ids if i in self._ids}

    def take(self, ids: Ids) -> list[Row | None]:
        with self._lock:
            return [self._rows.get(int(i)) for i in ids]

    def rows(self) -> Iterator[Row]:
        with self._lock:
            rows = list(self._rows.values())
        return iter(rows)

    def items(self, item_ids: Collection[str]) -> list[Row]:
        wanted = set(item_ids)
        return [row for row in self.rows() if row.item_id in wanted]

    def counts(self) -> Counts:
        rows = list(self.rows())
        return Counts(len(rows), len({row.item_id for row in rows}))

    def columns(self) -> tuple[str, ...]:
        return tuple(sorted({name for row in self.rows() for name in row.columns}))

    def pictures(self) -> frozenset[str]:
        return frozenset(row.picture for row in self.rows() if row.picture)

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        with self._lock:
            found = [
                (id_, row.embedding)
                for id_, row in self._rows.items()
                if where is None or where.matches(row.values())
            ]
        if not found or k < 1:
            return Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32))
        ids = np.array([id_ for id_, _ in found], np.int64)
        similarity = np.stack([embedding for _, embedding in found]) @ query.astype(np.float32)
        nearest = ranked(ids, similarity)
        return Neighbours(nearest.ids[:k], nearest.similarity[:k])

    def close(self) -> None:
        pass


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
