"""The persistent store: rows in SQLite, vectors in segment files, search by FAISS.

Each batch is one transaction: its vectors are appended to a segment and synced, then SQLite commits
and syncs its write-ahead log, before `add` returns. So a committed batch survives a kill or a power
cut. Every row and every removal has the number of its commit (the revision); an index catches up
with the commits of this and other processes by reading what is newer than its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hemline.budget import check_time, is_over
from hemline.catalog.facets import facet_columns
from hemline.catalog.index import disk
from hemline.catalog.segments import SegmentError, Segments
from hemline.catalog.settings import StoreSettings
from hemline.catalog.similarity import halves
from hemline.catalog.store import (
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
from hemline.catalog.stores import _compact, _counter, _listing, _snapshot, _verify, _writes
from hemline.catalog.stores._backup import backup
from hemline.catalog.stores._catch_up import Reader
from hemline.catalog.stores._damage import catalog_errors
from hemline.catalog.stores._database import FILE, SCHEMA, Meta, connect, description
from hemline.catalog.stores._facet_columns import count_columns
from hemline.catalog.stores._lock import WriterLock
from hemline.catalog.stores._rows import WITH, json_list, to_row
from hemline.catalog.stores._rows import read as read_rows
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError, DamageError
from hemline.types import FloatArray

FORMAT_VERSION = 3
_UNSUMMED = 2  # an earlier format, in which rows have no checksums
_STEPS = 50_000  # of SQLite between two looks at the clock
_TRIES = 5  # reads of a segment that compactions delete
_T = TypeVar("_T")


class SqliteStore:
    """``catalog.sqlite``, ``segments/`` and ``index/`` in a catalogue's folder.

    ``damaged`` also opens one that misses acknowledged commits, for `verify` and `backup`.
    """

    def __init__(
        self, folder: Path, settings: StoreSettings | None = None, *, damaged: bool = False
    ) -> None:
        path = folder / FILE
        if not path.is_file():
            raise CatalogError(f"{folder} has no {FILE}; 'hemline catalog create' makes one")
        self._folder = folder
        self._lock = threading.RLock()
        self._writer = WriterLock(folder / "catalog.lock")
        self._counter = _counter.Counter(folder)
        self._wrote = self._closed = False
        acknowledged = _counter.read(folder)  # before the database, which may grow meanwhile
        with catalog_errors(folder):
            self._db = connect(path)
        try:
            versions = {FORMAT_VERSION, _UNSUMMED}
            self.fingerprint, self.dim, rows = description(self._db, folder, versions)
            with catalog_errors(folder):
                self._summed_once = Meta(self._db).summed
                missing = acknowledged - Meta(self._db).number("revision")
            if missing > 0 and not damaged:
                raise DamageError(f"{folder}: {_counter.words(missing)}")
        except CatalogError:
            self._db.close()
            raise
        self._segments = Segments(folder, self.dim, rows)
        self._reading = threading.RLock()
        with catalog_errors(folder):
            self._read = connect(path)
        self._read.set_progress_handler(is_over, _STEPS)  # ends queries whose time is over
        self._reader = Reader(folder, self.dim, self._segments, settings or StoreSettings())

    @classmethod
    def create(
        cls, folder: Path, fingerprint: str, dim: int, settings: StoreSettings | None = None
    ) -> SqliteStore:
        chosen = settings or StoreSettings()
        with catalog_errors(folder):
            db = connect(folder / FILE, new=True)
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
            Meta(db).set(
                format_version=FORMAT_VERSION,
                fingerprint=fingerprint,
                dim=dim,
                segment_rows=chosen.segment_rows,
                next_id=chosen.segment_rows,
                revision=0,
                floor=0,
                compacted=0,
            )
            Meta(db).seal(fixed=True)
            Meta(db).seal()
            db.execute("COMMIT")
            db.close()
            _counter.reset(folder, 0)
        return cls(folder, settings)

    # Writing

    @contextmanager
    def writing(self) -> Iterator[bool]:
        died = self._writer.acquire()
        clean = False
        try:
            yield died
            clean = True
        finally:
            self._writer.release(clean)

    @contextmanager
    def _commit(self, after: int = 0) -> Iterator[int]:
        """One durable transaction; gives its revision, which is greater than ``after``."""
        with self.writing(), self._lock, catalog_errors(self._folder):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                revision = max(Meta(self._db).number("revision"), after) + 1
                yield revision
                Meta(self._db).set(revision=revision)
                Meta(self._db).seal()
                self._db.execute("COMMIT")
                self._wrote = True
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._counter.write(revision)

    def add(self, rows: Sequence[Row], removed: Collection[str] = ()) -> None:
        latest = {row.image_id: row for row in rows}  # the last row of an image_id counts
        vectors = halves(list(latest.values()), self.dim)
        with self._commit() as revision:
            _writes.delete_images(
                self._db, [name for name in removed if name not in latest], revision
            )
            _writes.store(self._db, self._segments, list(latest.values()), *vectors, revision)

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        with self._commit() as revision:
            return _writes.delete_items(self._db, item_ids, revision)

    # Reading

    def _query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._reading, catalog_errors(self._folder):
            check_time()
            return self._read.execute(sql, values).fetchall()

    def _retried(self, read: Callable[[], _T]) -> _T:
        """Calls ``read`` again where a compaction deletes a segment meanwhile."""
        for _ in range(_TRIES - 1):
            try:
                return read()
            except SegmentError:
                self._reader.invalidate()
        return read()

    def _rows(
        self, column: str, values: Collection[Any], vectors: bool = True
    ) -> list[tuple[int, Row]]:
        """(id, row) of the rows with one of ``values`` in a column.

        Raises:
            DamageError: one of them is damaged.
        """
        condition, asked = WITH[column], (json_list(list(values)),)

        def read() -> list[tuple[int, Row]]:
            with self._reading, catalog_errors(self._folder):
                summed = self._summed
                found = [
                    v for some in read_rows(self._read, summed, condition, asked) for v in some
                ]
            with catalog_errors(self._folder):
                if not vectors:
                    none = np.zeros(0, np.float32)
                    return [(f[0], to_row(f, none, 0.0, summed)) for f in found]
                embedding, norm = self._vectors(np.array([f[0] for f in found], np.int64))
                lengths = norm.tolist()
                return [
                    (f[0], to_row(f, embedding[i], lengths[i], summed)) for i, f in enumerate(found)
                ]

        return self._retried(read) if vectors else read()

    @property
    def _summed(self) -> bool:
        """Whether rows have checksums; another process may add them meanwhile."""
        self._summed_once = self._summed_once or Meta(self._read).summed
        return self._summed_once

    def get(self, image_ids: Collection[str], vectors: bool = True) -> dict[str, Row]:
        return {row.image_id: row for _, row in self._rows("image_id", image_ids, vectors)}

    def take(self, ids: Ids, vectors: bool = True) -> list[Row | None]:
        listed = ids.tolist()
        rows = dict(self._rows("id", listed, vectors))
        return [rows.get(id_) for id_ in listed]

    def items(self, item_ids: Collection[str], vectors: bool = True) -> list[Row]:
        found = self._rows("item_id", item_ids, vectors)
        return [row for _, row in sorted(found, key=itemgetter(0))]

    def rows(self, since: int = 0) -> Iterator[Row]:
        return _snapshot.rows(self._folder, self._segments, since)

    def row_keys(self) -> Iterator[RowKey]:
        return _snapshot.row_keys(self._folder)

    def item_page(self, limit: int, after: str = "", where: Where | None = None) -> ItemPage:
        with self._reader.index(columns=where is not None) as index:
            there, counts = _listing.members(index, where)
        with catalog_errors(self._folder):
            return _listing.page(there, counts, self._query, limit, after)

    def counts(self) -> Counts:
        return Counts(*self._query("SELECT COUNT(*), COUNT(DISTINCT item) FROM pictures")[0])

    def columns(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self._query("SELECT name FROM columns ORDER BY name"))

    def tag_names(self) -> tuple[str, ...]:
        with self._reader.index(flushed=True) as index:
            return index.tag_names()

    def image_digests(self) -> frozenset[str]:
        found = self._query("SELECT DISTINCT picture FROM pictures WHERE picture <> ''")
        return frozenset(name for (name,) in found)

    @property
    def revision(self) -> int:
        with self._reading, catalog_errors(self._folder):
            return Meta(self._read).number("revision")

    def vectors(self, ids: Ids) -> Vectors:
        ids = np.asarray(ids, np.int64)
        try:
            return self._vectors(ids, verified=True)
        except SegmentError:  # damaged, or in a segment that a compaction has deleted
            sql = "SELECT id FROM pictures WHERE id IN (SELECT value FROM json_each(?))"
            there = np.isin(ids, [id_ for (id_,) in self._query(sql, (json_list(ids.tolist()),))])
            embedding = np.zeros((len(ids), self.dim), np.float32)
            norm = np.full(len(ids), np.nan, np.float32)
            embedding[there], norm[there] = self._vectors(ids[there], verified=True)
            return Vectors(embedding, norm)

    def _vectors(self, ids: Ids, verified: bool = False) -> Vectors:
        records = (self._segments.verified if verified else self._segments.records)(ids)
        return Vectors(records["half"].astype(np.float32), records["norm"])

    # Searching

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        return self.search_many(np.asarray(query).reshape(1, -1), k, where)[0]

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None = None, verified: bool = True
    ) -> list[Neighbours]:
        def read() -> list[Neighbours]:
            with self._reader.index(columns=where is not None, fill=True) as index:
                return index.search_many(queries, k, where, verified)

        return self._retried(read)

    def search_exact(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        def read() -> Neighbours:
            with self._reader.index(columns=where is not None) as index:
                return index.exact(query, k, where)

        return self._retried(read)

    def item_codes(self, ids: Ids) -> Ids:
        with self._reader.index() as index:
            slots = index.slots(np.asarray(ids, np.int64))
            if not len(index):
                return slots
            there = (slots >= 0) & index.alive.data[slots]
            return np.where(there, index.items.data[slots], -1)

    def facets(
        self, columns: Sequence[str], where: Where | None = None, limit: int = 50
    ) -> dict[str, Facet]:
        with self._reader.index(flushed=True) as index:
            assert index.columns is not None
            names = facet_columns(columns, self.columns(), index.tag_names())
            slots = np.flatnonzero(index.mask(where))
            return count_columns(index.columns, slots, index.items.data[slots], names, limit)

    # Maintenance

    def save(self) -> None:
        with catalog_errors(self._folder):
            self._reader.save(self._writer)

    def compact(self, advance: Advance = silent) -> CompactReport:
        with self.writing(), catalog_errors(self._folder):
            report = _compact.compact(self._db, self._segments, self._commit, advance)
            if report.moved:  # so that readers needn't apply the moves
                with contextlib.suppress(DamageError):
                    self.save()
            return report

    def verify(self, repair: bool = False, advance: Advance = silent) -> CheckReport:
        with self.writing() if repair else contextlib.nullcontext():
            acknowledged = _counter.read(self._folder)
            with contextlib.closing(connect(self._folder / FILE)) as db:
                found = _verify.content(db, self._segments, acknowledged, repair, advance)
            if found.broken:
                return CheckReport(found.images, tuple(found.problems))
            with catalog_errors(self._folder):
                if repair:
                    with self._commit(acknowledged) as revision:
                        found.repair(self._db, self._segments, revision)
                found.problems += _verify.saved_index(self._folder, repair)
                if repair and any(problem.part == "database" for problem in found.problems):
                    disk.drop(self._folder)  # its revision may mean another commit now
                if not found.rows:
                    found.problems += self._reader.check(repair)
            unsummed = 0 if repair and not found.rows else found.unsummed
            return CheckReport(found.images, tuple(found.problems), tuple(found.lost), unsummed)

    def backup(self, folder: Path, advance: Advance = silent, damaged: bool = False) -> None:
        backup(self._folder, self._segments, folder, advance, damaged)

    def stats(self) -> dict[str, Any]:
        counts = self._query("SELECT COUNT(*), COALESCE(SUM(count), 0) FROM segments")[0]
        images = self.counts().images
        places = [self._folder / FILE, self._segments.folder, self._folder / disk.FOLDER]
        files = [p for place in places for p in (place, *place.rglob("*")) if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        return {
            "revision": self.revision,
            "segments": counts[0],
            "dead_share": round(1 - images / counts[1], 4) if counts[1] else 0.0,
            "saved_revision": disk.revision(self._folder),
            "bytes_per_picture": round(size / images, 1) if images else 0.0,
        }

    def _stale(self) -> bool:
        """Whether it wrote so much that the index should be saved again."""
        settings = self._reader.settings
        images = self._query("SELECT COUNT(*) FROM pictures")[0][0] if self._wrote else 0
        if images <= settings.exact_rows:
            return False
        newer = "SELECT COUNT(*) FROM pictures WHERE revision > ?"
        changed = self._query(newer, (disk.revision(self._folder),))[0][0]
        return bool(changed > settings.stale_share * images)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(CatalogError):  # the index can be derived
            if self._stale():
                self.save()
        with self._lock:
            self._counter.close()
            self._reader.close()
            self._segments.close()
            self._read.close()
            self._db.close()


STORES: Mapping[str, StoreSpec] = {
    "sqlite": StoreSpec(
        summary="rows in SQLite, vectors in segment files, search by FAISS",
        file=FILE,
        create=SqliteStore.create,
        open=SqliteStore,
        inspect=partial(SqliteStore, damaged=True),
    )
}
