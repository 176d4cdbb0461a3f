"""A consistent state of a store, read or copied while others search and write.

For reading, SQLite holds a snapshot, and mapped segments stay readable even when a compaction
deletes their files. For copying, SQLite's backup copies its file in one snapshot. Segments only
grow, so the records that the snapshot counts are copied afterwards; where a compaction has deleted
one of them in between, the copy starts again. The index isn't copied, as it can be derived.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hemline.catalog.segments import SegmentError, Segments
from hemline.catalog.store import Advance
from hemline.catalog.stores._database import FILE, connect

_BLOCK = 1 << 22
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


def copy(db: sqlite3.Connection, segments: Segments, folder: Path, advance: Advance) -> None:
    """Copies the store into the empty ``folder``, unsynced.

    Raises:
        SegmentError: a segment is damaged.
        OSError: the disk is full, or the folder can't be written to.
    """
    for attempt in range(_TRIES):
        try:
            _copy(db, segments, folder, advance)
        except SegmentError:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if attempt == _TRIES - 1:
                raise
        else:
            return


def _copy(db: sqlite3.Connection, segments: Segments, folder: Path, advance: Advance) -> None:
    target = sqlite3.connect(folder / FILE)
    try:
        db.backup(target)
        counts = target.execute("SELECT number, count FROM segments ORDER BY number").fetchall()
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log
    finally:
        target.close()
    own = Segments(folder, segments.dim, segments.rows)
    own.folder.mkdir()
    sizes = [count * segments.record_bytes for _, count in counts]
    done = 0
    for (number, count), size in zip(counts, sizes, strict=True):
        with segments.open(number, count) as source, own.path(number).open("wb") as file:
            left = size
            while left:
                data = source.read(min(_BLOCK, left))
                if not data:
                    raise SegmentError(segments.damage_message(number, "is cut short"))
                file.write(data)
                left, done = left - len(data), done + len(data)
                advance(done, sum(sizes))
