"""The persistent store: SQLite holds the truth, a FAISS index in memory answers.

Each batch is one transaction in a write-ahead log that is synced to the disk before `add` returns,
so whatever was acknowledged survives a kill or a power cut. Every row carries the number of the
commit that wrote it, every removal is noted with its own; an index catches up by reading what is
newer than what it has seen, and sees the commits of other processes in the same way.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hemline.errors import CatalogError
from hemline.search.catalog._database import (
    FIELDS,
    FILE,
    FORMAT_VERSION,
    SCHEMA,
    clear,
    connect,
    to_row,
    to_values,
)
from hemline.search.catalog._facets import count_rows
from hemline.search.catalog._index import FlatIndex
from hemline.search.catalog._lock import WriterLock
from hemline.search.catalog._protocol import (
    Advance,
    CheckReport,
    CompactReport,
    Counts,
    Facet,
    Ids,
    Key,
    Neighbours,
    Problem,
    Row,
    StoreSpec,
    Vectors,
    rounded,
    silent,
)
from hemline.search.where import Where
from hemline.types import FloatArray

_CHUNK = 500  # values bound to one statement
_READ = 4096  # vectors read at a time
_FILTERS = 32  # conditions whose answer is remembered


class SqliteStore:
    """One file, ``catalog.sqlite``, in a catalogue's folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        if not path.is_file():
            raise CatalogError(f"{folder} has no {FILE}; 'hemline catalog create' makes one")
        self._folder = folder
        self._lock = threading.RLock()
        self._writer = WriterLock(folder / "catalog.lock")
        self._filters: dict[str, tuple[int, Ids]] = {}
        self._seen = 0
        self._data_version = -1
        with clear(folder):
            self._db = connect(path)
            try:
                meta = dict(self._db.execute("SELECT name, value FROM meta"))
            except sqlite3.DatabaseError as error:
                self._db.close()
                raise CatalogError(f"{path} isn't a catalogue, or is damaged: {error}") from None
        version = meta.get("format_version")
        if version != str(FORMAT_VERSION):
            self._db.close()
            raise CatalogError(
                f"{folder} is a catalogue of format version {version}, this hemline reads "
                f"{FORMAT_VERSION}; create it again with this hemline"
            )
        try:
            self.fingerprint: str = meta["fingerprint"]
            self.dim = int(meta["dim"])
        except (KeyError, ValueError):
            self._db.close()
            raise CatalogError(f"{path} is damaged: its description is incomplete") from None
        self._index = FlatIndex(self.dim)

    @classmethod
    def create(cls, folder: Path, fingerprint: str, dim: int) -> SqliteStore:
        with clear(folder):
            db = connect(folder / FILE)
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
            meta = {
                "format_version": FORMAT_VERSION,
                "fingerprint": fingerprint,
                "dim": dim,
                "revision": 0,
            }
            db.executemany("INSERT INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in meta.items()])
            db.execute("COMMIT")
            db.close()
        return cls(folder)

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
    def _commit(self) -> Iterator[int]:
        """One durable transaction; gives its revision."""
        with self.writing(), self._lock, clear(self._folder):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                revision = self._revision() + 1
                yield revision
                self._db.execute(
                    "UPDATE meta SET value = ? WHERE name = 'revision'", (str(revision),)
                )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._data_version = -1  # SQLite doesn't count a connection's own commits

    def _revision(self) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
        return int(found[0])

    def add(self, rows: Sequence[Row], gone: Collection[str] = ()) -> None:
        latest = {row.image_id: rounded(row, self.dim) for row in rows}  # the last of a batch wins
        with self._commit() as revision:
            for chunk in _chunks(dict.fromkeys([*latest, *gone])):
                self._delete("image_id", chunk, revision)
            self._db.executemany(
                f"INSERT INTO pictures ({FIELDS}, revision) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [(*to_values(row), revision) for row in latest.values()],
            )
            names = {name for row in latest.values() for name in row.columns}
            self._db.executemany(
                "INSERT OR IGNORE INTO columns VALUES (?)", [(name,) for name in names]
            )

    def _delete(self, column: str, values: Sequence[str], revision: int) -> None:
        chosen = f"{column} IN ({_marks(values)})"
        self._db.execute(
            f"INSERT INTO removed SELECT id, ? FROM pictures WHERE {chosen}", (revision, *values)
        )
        self._db.execute(f"DELETE FROM pictures WHERE {chosen}", values)

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        removed: dict[str, int] = {}
        with self._commit() as revision:
            for chunk in _chunks(item_ids):
                removed |= dict(
                    self._db.execute(
                        "SELECT item_id, COUNT(*) FROM pictures "
                        f"WHERE item_id IN ({_marks(chunk)}) GROUP BY item_id",
                        chunk,
                    )
                )
                self._delete("item_id", chunk, revision)
        return removed

    # Reading

    def _select(self, column: str, values: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        for chunk in _chunks(values):
            yield from self._query(
                f"SELECT id, {FIELDS} FROM pictures WHERE {column} IN ({_marks(chunk)})", chunk
            )

    def _query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, clear(self._folder):
            return self._db.execute(sql, values).fetchall()

    def get(self, image_ids: Collection[str]) -> dict[str, Row]:
        return {found[1]: to_row(found[1:]) for found in self._select("image_id", image_ids)}

    def take(self, ids: Ids) -> list[Row | None]:
        wanted = [int(i) for i in ids]
        rows = {found[0]: to_row(found[1:]) for found in self._select("id", wanted)}
        return [rows.get(i) for i in wanted]

    def rows(self) -> Iterator[Row]:
        last = 0
        sql = f"SELECT id, {FIELDS} FROM pictures WHERE id > ? ORDER BY id LIMIT {_READ}"
        while found := self._query(sql, (last,)):
            last = found[-1][0]
            yield from (to_row(values[1:]) for values in found)

    def row_keys(self) -> Iterator[Key]:
        last = 0
        sql = (
            "SELECT id, image_id, item_id, source, picture FROM pictures WHERE id > ? "
            f"ORDER BY id LIMIT {_READ}"
        )
        while found := self._query(sql, (last,)):
            last = found[-1][0]
            yield from (Key(*values) for _, *values in found)

    def items(self, item_ids: Collection[str]) -> list[Row]:
        return [
            to_row(f[1:]) for f in sorted(self._select("item_id", item_ids), key=lambda f: f[0])
        ]

    def counts(self) -> Counts:
        return Counts(*self._query("SELECT COUNT(*), COUNT(DISTINCT item_id) FROM pictures")[0])

    def columns(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self._query("SELECT name FROM columns ORDER BY name"))

    def pictures(self) -> frozenset[str]:
        found = self._query("SELECT DISTINCT picture FROM pictures WHERE picture <> ''")
        return frozenset(name for (name,) in found)

    # Searching

    def _catch_up(self) -> None:
        """Brings the index to the newest commit, of this process or of another."""
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._data_version:
            return
        self._db.execute("BEGIN")  # one snapshot for all that is read here
        try:
            revision = self._revision()
            if revision != self._seen:
                gone = self._db.execute(
                    "SELECT id FROM removed WHERE revision > ?", (self._seen,)
                ).fetchall()
                if self._seen:
                    self._index.remove(np.array([g[0] for g in gone], np.int64))
                cursor = self._db.execute(
                    "SELECT id, embedding FROM pictures WHERE revision > ?", (self._seen,)
                )
                while found := cursor.fetchmany(_READ):
                    vectors = np.frombuffer(b"".join(blob for _, blob in found), "<f4")
                    ids = np.array([id_ for id_, _ in found], np.int64)
                    self._index.add(ids, vectors.reshape(len(found), self.dim))
        except BaseException:
            self._index, self._seen = FlatIndex(self.dim), 0  # read it all again next time
            raise
        finally:
            self._db.execute("COMMIT")
        self._seen, self._data_version = revision, version

    def _allowed(self, where: Where) -> Ids:
        """Ids of the rows of which a condition is true."""
        known = self._filters.get(where.text)
        if known is not None and known[0] == self._seen:
            return known[1]
        found = self._db.execute(
            "SELECT id, image_id, item_id, category, tags, columns FROM pictures"
        )
        ids = [
            id_
            for id_, image_id, item_id, category, tags, columns in found
            if where.matches(
                {
                    **json.loads(columns),
                    "image_id": image_id,
                    "item_id": item_id,
                    "category": category,
                    "tags": json.loads(tags),
                }
            )
        ]
        if len(self._filters) >= _FILTERS:
            self._filters.clear()
        allowed = np.array(ids, np.int64)
        self._filters[where.text] = (self._seen, allowed)
        return allowed

    def search(self, query: FloatArray, k: int, where: Where | None = None) -> Neighbours:
        with self._lock, clear(self._folder):
            self._catch_up()
            allowed = None if where is None else self._allowed(where)
            return self._index.search(query, k, allowed)

    search_exact = search

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None = None
    ) -> list[Neighbours]:
        return [self.search(query, k, where) for query in queries]

    @property
    def revision(self) -> int:
        with self._lock, clear(self._folder):
            return self._revision()

    def vectors(self, ids: Ids) -> Vectors:
        rows = self.take(ids)
        empty = np.zeros(self.dim, np.float32)
        embedding = np.array([empty if row is None else row.embedding for row in rows], np.float32)
        norm = np.array([np.nan if row is None else row.norm for row in rows], np.float32)
        return Vectors(embedding.reshape(len(rows), self.dim), norm)

    def item_codes(self, ids: Ids) -> Ids:
        codes: dict[str, int] = {}
        rows = self.take(ids)
        found = [-1 if row is None else codes.setdefault(row.item_id, len(codes)) for row in rows]
        return np.array(found, np.int64)

    def facets(
        self, columns: Sequence[str], where: Where | None = None, limit: int = 50
    ) -> dict[str, Facet]:
        rows = [row for row in self.rows() if where is None or where.matches(row.values())]
        return count_rows(rows, columns, self.columns(), limit)

    def save(self) -> None:
        pass

    def compact(self, advance: Advance = silent) -> CompactReport:
        with self.writing(), self._lock, clear(self._folder):
            self._db.execute("VACUUM")
        return CompactReport()

    def verify(self, repair: bool = False, advance: Advance = silent) -> CheckReport:
        with clear(self._folder):
            found = self._query("PRAGMA integrity_check")
        wrong = [text for (text,) in found if text != "ok"]
        return CheckReport(
            self.counts().pictures, tuple(Problem("database", FILE, text) for text in wrong)
        )

    def backup(self, folder: Path, advance: Advance = silent) -> None:
        with self._lock, clear(folder):
            target = sqlite3.connect(folder / FILE)
            try:
                self._db.backup(target)
            finally:
                target.close()

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    whole = list(values)
    for start in range(0, len(whole), _CHUNK):
        yield whole[start : start + _CHUNK]


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


STORES: Mapping[str, StoreSpec] = {
    "sqlite": StoreSpec(
        summary="SQLite holds the truth, a FAISS index in memory answers",
        file=FILE,
        create=SqliteStore.create,
        open=SqliteStore,
    )
}
