"""Commits to a collection: rows, then the record that makes them visible, then the deletions.

One process writes at a time: the lock is a file in the catalogue's folder, and, where a database is
configured, also there, for machines that don't share the folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.milvus import log
from hemline.catalog.milvus.client import Client
from hemline.catalog.milvus.lease import Lease, lease
from hemline.catalog.milvus.log import Commit
from hemline.catalog.milvus.mirror import Entry
from hemline.catalog.milvus.reader import Reader
from hemline.catalog.milvus.rows import VECTOR, entity, to_row, vector
from hemline.catalog.similarity import halves
from hemline.catalog.store import Row
from hemline.catalog.stores._lock import WriterLock
from hemline.errors import CatalogError
from hemline.types import FloatArray

CHECKPOINT = 1000  # commits, after which one stands for all
Halves = npt.NDArray[np.float16]


def begin(client: Client) -> None:
    """Writes the checkpoint of an empty catalogue."""
    client.upsert(log.records(Commit(0, -1, 1, 0, 1, 1, 0)), log=True)


class Writer:
    """Writes commits; `holding` gives the right to."""

    def __init__(self, client: Client, reader: Reader, folder: Path, dim: int) -> None:
        self._client, self._reader, self._dim = client, reader, dim
        self._lock = WriterLock(folder / "catalog.lock")
        self._lease: Lease | None = None  # made by the first write; reading needs no database
        self._depth = 0
        self._gap = 0  # numbers to leave out, as a commit failed or its writer died

    @contextmanager
    def holding(self) -> Iterator[bool]:
        """Holds the write lock, at the newest commit; True if the last writer died or failed."""
        died = self._acquire()
        clean = False
        self._depth += 1
        try:
            if self._depth == 1:
                self._reader.sync(strong=True)
                if died:
                    self._recover()
            yield died
            clean = True
        finally:
            self._depth -= 1
            if self._depth == 0 and self._lease is not None:
                self._lease.release(clean)
            self._lock.release(clean)

    def _acquire(self) -> bool:
        """Takes the file's lock, then the database's; True if the last holder of one died."""
        died = self._lock.acquire()
        try:
            if self._depth or self._client.address.is_lite:  # a file, which one process opens
                return died
            self._lease = self._lease or lease(self._client.collection)
            return died if self._lease is None else self._lease.acquire() or died
        except BaseException:
            self._lock.release(clean=not died)
            raise

    def _check(self) -> None:
        """
        Raises:
            CatalogError: another machine may write by now.
        """
        if self._lease is not None:
            self._lease.check()

    def close(self) -> None:
        """Ends the connection to the database, if there is one."""
        if self._lease is not None:
            self._lease.close()

    def _recover(self) -> None:
        """Deletes rows that no commit has, and those whose deletion was cut off."""
        self._gap += log.GAP
        with self._reader.mirror() as mirror:
            end = mirror.next_id
        others = self._client.scan(end, None, [], strong=True)
        self._client.delete([int(one["id"]) for one in others])
        if self._reader.last is not None:
            self._client.delete(self._reader.last.removed)

    def add(self, rows: Sequence[Row], removed: Collection[str]) -> None:
        """See `Store.add`."""
        latest = {row.image_id: row for row in rows}  # the last row of an image_id counts
        chosen = list(latest.values())
        if len(chosen) > log.MAX_ROWS:
            raise CatalogError(f"a commit has {log.MAX_ROWS} rows at most, not {len(chosen)}")
        half, norm = halves(chosen, self._dim)
        with self.holding():
            gone = [i for i in removed if i not in latest]
            known = self.known([*latest, *gone], vectors=True)
            old = [known[i].id for i in (*latest, *gone) if i in known]
            self._commit(chosen, half, norm, known, old)

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """See `Store.remove`."""
        with self.holding():
            with self._reader.mirror() as mirror:
                slots = mirror.of_items(dict.fromkeys(item_ids))
                ids = mirror.entities(slots).tolist()
                names = mirror.item_names(slots)
            counted: dict[str, int] = {}
            for name in names:
                counted[name] = counted.get(name, 0) + 1
            self._commit([], *halves([], self._dim), {}, ids)
            return counted

    def known(self, image_ids: Collection[str], vectors: bool) -> dict[str, Known]:
        """image_id → what is stored of it, of those that are."""
        with self._reader.mirror() as mirror:
            slots = mirror.of_images(image_ids)
            ids = mirror.entities(slots).tolist()
        fields = ["payload", "checksum", *(VECTOR if vectors else VECTOR[:1])]
        found: dict[str, Known] = {}
        for id_, one in self._client.fetch(ids, fields).items():
            row = to_row(one, self._client.place, vectors=False)
            half, norm = None, 0.0
            if vectors:
                embedding, norm = vector(one)
                half = embedding.astype(np.float16)
            found[row.image_id] = Known(id_, int(one["vector_id"]), half, norm)
        return {image_id: found[image_id] for image_id in image_ids if image_id in found}

    def _commit(
        self,
        rows: Sequence[Row],
        half: Halves,
        norm: FloatArray,
        known: dict[str, Known],
        removed: Sequence[int],
    ) -> None:
        """Writes one commit, in which ``removed`` entities leave.

        Raises:
            CatalogError: Milvus failed; the commit is not acknowledged, and the next `sync` tells
                whether it is there.
        """
        with self._reader.mirror() as mirror:
            previous, commits = mirror.revision, mirror.commits
            first, fresh = mirror.next_id + self._gap, mirror.next_vector + self._gap
        entities: list[dict[str, Any]] = []
        entries: list[Entry] = []
        for i, row in enumerate(rows):
            old = known.get(row.image_id)
            vector_id = fresh
            if old is not None and old.equals(half[i], norm[i]):
                vector_id = old.vector_id
            else:
                fresh += 1
            entities.append(entity(row, first + i, vector_id, half[i], norm[i]))
            bare = replace(row, embedding=np.zeros(0, np.float32), norm=0.0)
            entries.append(Entry(first + i, vector_id, bare))
        commit = Commit(
            revision=previous + 1 + self._gap,
            previous=previous,
            first=first,
            count=len(rows),
            next_id=first + len(rows),
            next_vector=fresh,
            commits=commits + (2 if self._gap else 1),
            removed=tuple(removed),
        )
        failed, self._gap = self._gap + log.GAP, self._gap
        try:
            self._client.upsert(entities)
            self._check()
            self._client.upsert(log.records(commit), log=True)
        except BaseException:
            self._gap = failed
            raise
        self._gap = 0
        self._reader.applied(commit, entries)
        self._client.delete(removed)
        if self._reader.records > CHECKPOINT:
            self.checkpoint()

    # Maintenance

    def purge(self) -> int:
        """Deletes entities of no commit; returns their number.

        Raises:
            CatalogError: an acknowledged row is missing.
        """
        with self.holding():
            with self._reader.mirror() as mirror:
                ids = np.sort(mirror.entities(np.flatnonzero(mirror.mask(None)))).tolist()
            there: list[int] = []
            edges = [0, *log.bounds(ids), None]
            for low, high in pairwise(edges):
                there += [
                    int(one["id"]) for one in self._client.scan(low or 0, high, [], strong=True)
                ]
            missing = set(ids) - set(there)
            if missing:
                raise CatalogError(
                    f"{self._client.place}: {len(missing)} acknowledged rows are missing; "
                    "restore a copy"
                )
            extra = sorted(set(there) - set(ids))
            self._check()
            self._client.delete(extra)
            return len(extra)

    def checkpoint(self) -> int:
        """Replaces the log by one record; returns the number of entities deleted."""
        with self.holding():
            deleted = self.purge()
            with self._reader.mirror() as mirror:
                ids = np.sort(mirror.entities(np.flatnonzero(mirror.mask(None)))).tolist()
                commit = Commit(
                    revision=mirror.revision,
                    previous=-1,
                    first=ids[0] if ids else mirror.next_id,
                    count=len(ids),
                    next_id=mirror.next_id,
                    next_vector=mirror.next_vector,
                    commits=mirror.commits,
                    total=sum(ids),
                    bounds=log.bounds(ids),
                )
            self._check()
            self._client.upsert(log.records(commit), log=True)
            older = self._client.scan(0, commit.revision * log.PARTS, [], log=True, strong=True)
            self._client.delete([int(one["id"]) for one in older], log=True)
            self._reader.checkpointed(commit)
            return deleted


class Known:
    """A stored row: the ids of its entity and vector, and the vector where it was asked for."""

    __slots__ = ("_half", "_norm", "id", "vector_id")

    def __init__(self, id_: int, vector_id: int, half: Halves | None, norm: float) -> None:
        self.id, self.vector_id, self._half, self._norm = id_, vector_id, half, norm

    def equals(self, half: Halves, norm: np.float32) -> bool:
        """Whether the vector is this one."""
        same = self._half is not None and bool(np.array_equal(self._half, half))
        return same and self._norm == float(norm)
