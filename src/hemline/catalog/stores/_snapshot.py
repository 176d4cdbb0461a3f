"""A consistent state of a store, read while others search and write.

SQLite holds a snapshot, and mapped segments stay readable even when a compaction deletes their
files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hemline.catalog.segments import SegmentError, Segments
from hemline.catalog.store import Row, RowKey
from hemline.catalog.stores import _rows
from hemline.catalog.stores._damage import catalog_errors
from hemline.catalog.stores._database import FILE, Meta, connect

_READ = 4096  # rows read at a time
_TRIES = 5


@contextmanager
def snapshot(
    folder: Path, segments: Segments | None = None
) -> Iterator[tuple[sqlite3.Connection, Segments]]:
    """A snapshot of the database, and its segments, mapped if ``segments`` are given."""
    own = Segments(folder, segments.dim, segments.rows) if segments else Segments(folder, 1, 1)
    for attempt in range(_TRIES):
        db = connect(folder / FILE)
        try:
            db.execute("BEGIN")
            try:
                counts = db.execute("SELECT number, count FROM segments").fetchall()
                for number, count in counts if segments else ():
                    own.mapped(number, count)
            except SegmentError:  # deleted by a compaction, or damaged
                if attempt < _TRIES - 1:
                    continue
            yield db, own
            return
        finally:
            db.close()


def rows(folder: Path, segments: Segments, since: int) -> Iterator[Row]:
    """See `Store.rows`."""
    with catalog_errors(folder), snapshot(folder, segments) as (db, own):
        summed = Meta(db).summed
        newer = f"WHERE revision > {int(since)}" if since else ""
        for found in _rows.read(db, summed, f"{newer} ORDER BY id"):
            records = own.records(np.array([f[0] for f in found], np.int64))
            embedding = records["half"].astype(np.float32)
            norm = records["norm"].tolist()
            for i, values in enumerate(found):
                yield _rows.to_row(values, embedding[i], norm[i], summed)


def row_keys(folder: Path) -> Iterator[RowKey]:
    """See `Store.row_keys`."""
    sql = (
        "SELECT image_id, item_id, source, picture FROM pictures JOIN items "
        "ON number = item ORDER BY id"
    )
    with catalog_errors(folder), snapshot(folder) as (db, _):
        cursor = db.execute(sql)
        while found := cursor.fetchmany(_READ):
            yield from (RowKey(*values) for values in found)
