"""Keeps the index in memory up to date with the commits of this and other processes.

Each search checks with SQLite whether anything was committed. If so, the newer rows and removals
are read in one snapshot and applied to the index. The codes of a large store are read from the
folder ``index``; where they are missing or need rebuilding, a background thread builds them, and
until then searches scan every vector: slower, but exact.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from hemline.catalog.index import disk
from hemline.catalog.index.columns import Columns
from hemline.catalog.index.index import Index
from hemline.catalog.segments import Segments
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Problem
from hemline.catalog.stores import _rows, _verify
from hemline.catalog.stores._damage import catalog_errors
from hemline.catalog.stores._database import FILE, Meta, connect
from hemline.catalog.stores._lock import SharedLock, WriterLock
from hemline.catalog.stores._rows import Damaged
from hemline.errors import CatalogError
from hemline.limits import MAX_CATALOG_COLUMNS

_READ = 20_000  # rows read at a time
_MANY = 20_000  # the least new rows for which a saved index is loaded instead of applying them
_OWN = ("image_id", "item_id", "category")  # in memory with the columns
_PATIENCE = 3  # searches before codes are built; a process with one search doesn't need them
# Without the hint SQLite reads the whole table for a few new rows.
_NEWER = "pictures INDEXED BY pictures_by_revision"


class Reader:
    """An index that is always at the newest commit; may be used from several threads."""

    def __init__(self, folder: Path, dim: int, segments: Segments, settings: StoreSettings) -> None:
        self._folder = folder
        self._dim = dim
        self._segments = segments
        self.settings = settings
        self._access = SharedLock()
        self._lock = threading.RLock()
        self._version = -1
        self._index = self._empty()
        self._filled = False
        self._builder: threading.Thread | None = None
        self._searches = 0
        self._closing = threading.Event()
        with catalog_errors(folder):
            self._db = connect(folder / FILE)

    def _empty(self) -> Index:
        return Index(self._dim, self._segments, self.settings)

    def invalidate(self) -> None:
        """Makes the next search read the newest commits, even if the database didn't change."""
        self._version = -1

    @contextmanager
    def index(
        self, columns: bool = False, fill: bool = False, flushed: bool = False
    ) -> Iterator[Index]:
        """The index at the newest commit; it doesn't change while it is held.

        Args:
            columns: with its columns.
            fill: with its vectors or codes, which `Index.search` needs.
            flushed: with columns whose buffer is flushed (`Columns.flush`).
        """
        columns = columns or flushed
        with self._lock, catalog_errors(self._folder):
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if (
                version != self._version
                or (columns and self._index.columns is None)
                or (fill and not self._filled)
            ):
                with self._access.exclusive():
                    self._catch_up(columns, fill)
                self._version = version
            if flushed and self._index.columns and self._index.columns.has_pending:
                with self._access.exclusive():
                    self._index.columns.flush()
            if fill and self._index.needs_rebuild:
                self._build_in_background()
            held = self._access.shared()
            held.__enter__()
        try:
            yield self._index
        finally:
            held.__exit__(None, None, None)

    def _catch_up(self, columns: bool, fill: bool) -> None:
        self._filled = False
        self._db.execute("BEGIN")  # one snapshot for all reads
        try:
            revision = Meta(self._db).number("revision")
            index = self._index
            if index.revision < Meta(self._db).number("floor"):
                index = self._empty()
            if not index.revision or self._outdated(index):
                index = self._saved(revision) or index
            elif index.many_removed and index.codes is None:
                index = index.without_removed()
            columns = columns or index.columns is not None
            if index.revision != revision:
                self._read_ids(index)
            if columns and (index.columns is None or index.columns.revision != revision):
                self._read_columns(index, revision)
            index.revision = revision
            if fill:
                index.fill()
        except BaseException:
            self._index, self._version = self._empty(), -1  # start again next time
            raise
        finally:
            self._db.execute("COMMIT")
        self._index, self._filled = index, fill

    def _outdated(self, index: Index) -> bool:
        """Whether a saved index is the better one to continue from.

        That is one whose codes were trained on more vectors, or that is newer by many rows.
        """
        if index.live <= self.settings.exact_rows:
            return False
        saved = disk.revision(self._folder)
        if saved <= index.revision:
            return index.codes is None and saved > 0
        if index.codes is None or disk.trained(self._folder) > index.codes.trained:
            return True
        newer = "SELECT COUNT(*) FROM pictures WHERE revision > ? AND revision <= ?"
        rows = self._db.execute(newer, (index.revision, saved)).fetchone()[0]
        return bool(rows > _MANY)

    def _saved(self, revision: int) -> Index | None:
        """The saved index, if it is of an earlier revision of this store."""
        index = self._empty()
        if not disk.read(self._folder, index):
            return None
        if not Meta(self._db).number("floor") <= index.revision <= revision:
            return None
        return index

    def _newer(self, revision: int) -> tuple[str, str, tuple[int, ...]]:
        """Table, condition and its values for the rows written after ``revision``, by id."""
        if not revision:
            return "pictures", "ORDER BY id", ()
        return _NEWER, "WHERE revision > ? ORDER BY id", (revision,)

    def _read_ids(self, index: Index) -> None:
        """Applies the removals and ids newer than ``index``."""
        seen = (index.revision,)
        if seen[0]:
            removed = self._db.execute("SELECT id FROM removed WHERE revision > ?", seen)
            index.remove(np.array([id_ for (id_,) in removed], np.int64))
        table, condition, asked = self._newer(index.revision)
        cursor = self._db.execute(f"SELECT id, item FROM {table} {condition}", asked)
        highest = self._db.execute("SELECT COALESCE(MAX(number), 0) FROM items").fetchone()[0]
        while found := cursor.fetchmany(_READ):
            pairs = np.array(found, np.int64).reshape(-1, 2)
            if not ((pairs[:, 1] > 0) & (pairs[:, 1] <= highest)).all():
                raise Damaged("table pictures is damaged: a row has an item that isn't there")
            slots = index.slots(pairs[:, 0])
            known = slots >= 0
            index.items.resize(len(index), 0)
            index.items.data[slots[known]] = pairs[known, 1]
            index.append(pairs[~known, 0], pairs[~known, 1])

    def _read_columns(self, index: Index, revision: int) -> None:
        """Applies the rows newer than the columns of ``index``."""
        columns = index.columns or Columns.empty()
        summed = Meta(self._db).summed
        table, condition, asked = self._newer(columns.revision)
        for found in _rows.read(self._db, summed, condition, asked, table):
            rows = [_rows.row_values(values, summed) for values in found]
            columns.put(index.slots(np.array([f[0] for f in found], np.int64)), rows)
        if len(columns.columns) > MAX_CATALOG_COLUMNS + len(_OWN):
            stored = self._db.execute("SELECT name FROM columns")
            columns.keep({*_OWN, *(name for (name,) in stored)})
        columns.revision = revision
        index.columns = columns

    # Codes, in the background

    def _build_in_background(self) -> None:
        self._searches += 1
        if self._builder is not None or self._closing.is_set() or self._searches < _PATIENCE:
            return
        self._searches = 0
        self._builder = threading.Thread(
            target=self._build, args=(self._index,), name="hemline-index", daemon=False
        )
        self._builder.start()

    def _build(self, index: Index) -> None:
        """Replaces ``index`` by a copy without removed rows, with new codes."""
        with contextlib.suppress(CatalogError, RuntimeError, MemoryError):
            with self._lock, self._access.exclusive():
                copy = index.without_removed()
            copy.build_codes(lambda: not self._closing.is_set())
            with self._lock, self._access.exclusive():
                if self._index is index and not self._closing.is_set():
                    # The next search applies what was committed meanwhile.
                    self._index, self._version, self._filled = copy, -1, False
        self._builder = None

    # Maintenance

    def check(self, repair: bool) -> list[Problem]:
        """Compares the index at the newest commit with the database."""
        problems: list[Problem] | None = None
        while problems is None:  # again where a commit came in between
            with self._lock, self.index(flushed=True) as index:
                self._db.execute("BEGIN")
                try:
                    if Meta(self._db).number("revision") == index.revision:
                        problems = _verify.index(self._db, index)
                finally:
                    self._db.execute("COMMIT")
        if problems and repair:
            disk.drop(self._folder)
            with self._lock, self._access.exclusive():
                self._index, self._version = self._empty(), -1
            problems = [replace(problem, repaired=True) for problem in problems]
        return problems

    def save(self, writer: WriterLock) -> None:
        """Saves the index, with codes that are rebuilt where they need it.

        Does nothing where another process writes or the folder can't be written to.
        """
        try:
            writer.acquire()
        except CatalogError:
            return
        try:
            with self._lock:
                with self.index(flushed=True) as index:
                    if index.live <= self.settings.exact_rows:
                        disk.drop(self._folder)
                        return
                with self._access.exclusive():
                    index = self._index
                    index.fill()  # which also updates the loss of new vectors
                    if index.needs_rebuild:
                        if index.live < len(index):  # else a copy would only take memory
                            index = index.without_removed()
                        index.build_codes()
                        self._index = index
                with self._access.shared():
                    assert index.columns is not None
                    with contextlib.suppress(
                        OSError, RuntimeError
                    ):  # a full disk: the index can be derived
                        disk.write(self._folder, index)
        finally:
            writer.release()

    def close(self) -> None:
        self._closing.set()
        builder = self._builder
        if builder is not None:
            builder.join()
        with self._lock:
            self._db.close()
