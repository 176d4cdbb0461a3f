"""Compaction: moves the rows of sparse segments to the end and deletes the emptied files.

A row moves in an ordinary durable commit: its vector is appended, it gets the id of the new place,
and the old id is recorded as removed. So a kill leaves at most a file that no row points to, which
the next compaction deletes, and readers catch up as with any commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from hemline.catalog.segments import Segments
from hemline.catalog.store import Advance, CompactReport, Ids
from hemline.catalog.stores import _rows, _writes
from hemline.catalog.stores._database import Meta

FULL = 0.8  # a segment stays where at least this share of its vectors is in use
_BATCH = 4096  # rows moved in one commit

Commit = Callable[[], AbstractContextManager[int]]


def compact(
    db: sqlite3.Connection, segments: Segments, commit: Commit, advance: Advance
) -> CompactReport:
    """See `Store.compact`; the caller holds the write lock."""
    before = _pages(db)
    sparse = _sparse(db, segments)
    ids = _ids_in(db, segments, sparse)
    segments.verify(ids)
    removals = db.execute("SELECT COUNT(*) FROM removed").fetchone()[0]
    _drop_columns(db, commit)
    if not sparse and not removals:
        return CompactReport(0, 0, _sweep(db, segments)[1])
    with commit():
        _skip(db, segments, sparse)
    for start in range(0, len(ids), _BATCH):
        with commit() as revision:
            _move(db, segments, ids[start : start + _BATCH], revision)
        advance(min(len(ids), start + _BATCH), len(ids))
    with commit() as revision:
        _trim(db, revision, sparse)
    files, size = _sweep(db, segments)
    db.execute("PRAGMA incremental_vacuum").fetchall()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database = max(0, before - _pages(db))
    return CompactReport(len(ids), files, size + database)


def _sweep(db: sqlite3.Connection, segments: Segments) -> tuple[int, int]:
    """Deletes segment files that no row points to; returns their number and bytes."""
    stray = set(segments.numbers()) - {n for (n,) in db.execute("SELECT number FROM segments")}
    sizes = [size for number in sorted(stray) if (size := segments.drop(number))]
    return len(sizes), sum(sizes)


def _drop_columns(db: sqlite3.Connection, commit: Commit) -> None:
    """Deletes the names of columns that no row has any more."""
    unused = {name for (name,) in db.execute("SELECT name FROM columns")}
    for (text,) in db.execute("SELECT columns FROM pictures ORDER BY id DESC"):
        try:
            unused.difference_update(json.loads(text))
        except ValueError:  # a damaged row, which may have had any of them
            return
        if not unused:  # mostly after a few rows
            return
    if unused:
        with commit():
            db.executemany("DELETE FROM columns WHERE name = ?", [(name,) for name in unused])


def _pages(db: sqlite3.Connection) -> int:
    """The size of the database in bytes."""
    sizes = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(next(sizes)) * int(next(sizes))


def _sparse(db: sqlite3.Connection, segments: Segments) -> list[int]:
    """The segments to empty, as too few of their vectors are in use."""
    used = dict(db.execute(f"SELECT id / {segments.rows}, COUNT(*) FROM pictures GROUP BY 1"))
    counts = db.execute("SELECT number, count FROM segments ORDER BY number").fetchall()
    return [number for number, count in counts if used.get(number, 0) < FULL * count]


def _ids_in(db: sqlite3.Connection, segments: Segments, numbers: list[int]) -> Ids:
    found: list[int] = []
    for number in numbers:
        span = (number * segments.rows, (number + 1) * segments.rows)
        found += [
            i for (i,) in db.execute("SELECT id FROM pictures WHERE id >= ? AND id < ?", span)
        ]
    return np.array(found, np.int64)


def _move(db: sqlite3.Connection, segments: Segments, ids: Ids, revision: int) -> None:
    records = segments.records(ids)
    places = _writes.append(db, segments, records["half"], records["norm"])
    pairs = list(zip(places.tolist(), ids.tolist(), strict=True))
    db.executemany("INSERT INTO removed VALUES (?, ?)", [(old, revision) for _, old in pairs])
    db.executemany(
        "UPDATE pictures SET id = ?, revision = ? WHERE id = ?",
        [(new, revision, old) for new, old in pairs],
    )
    if Meta(db).summed:
        db.executemany(
            "UPDATE pictures SET checksum = (checksum + ?) & 4294967295 WHERE id = ?",
            [(_rows.moved(old, new), new) for new, old in pairs],
        )


def _skip(db: sqlite3.Connection, segments: Segments, numbers: list[int]) -> None:
    """Makes later vectors skip a segment that is to be emptied."""
    meta = Meta(db)
    current = meta.number("next_id") // segments.rows
    if current in numbers:
        meta.set(next_id=(current + 1) * segments.rows)


def _trim(db: sqlite3.Connection, revision: int, numbers: list[int]) -> None:
    """Deletes emptied segments, old removals, and items without images.

    Removals since the last compaction are kept, so that only a reader (or a saved index) older than
    that one, which is below ``floor``, has to read everything again.
    """
    meta = Meta(db)
    floor = meta.number("compacted")
    db.executemany("DELETE FROM segments WHERE number = ?", [(n,) for n in numbers])
    db.execute("DELETE FROM removed WHERE revision <= ?", (floor,))
    db.execute("DELETE FROM items WHERE number NOT IN (SELECT item FROM pictures)")
    meta.set(floor=floor, compacted=revision)
