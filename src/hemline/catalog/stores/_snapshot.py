"""A store at one moment, read or copied while others search and write.

To be read, SQLite holds a snapshot, and what is mapped of a segment stays even where a compaction
deletes its file. To be copied, SQLite copies its own file in one snapshot. Segments only grow, so
what that snapshot counts is copied afterwards; where a compaction took one of them away in between,
all is taken again. The index isn't copied: it can be derived.
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
_AGAIN = 5


@contextmanager
def moment(
    folder: Path, segments: Segments | None = None
) -> Iterator[tuple[sqlite3.Connection, Segments]]:
    """A database that stands still, and its segments, held if they are given."""
    own = Segments(folder, segments.dim, segments.rows) if segments else Segments(folder, 1, 1)
    for again in range(_AGAIN):
        db = connect(folder / FILE)
        try:
            db.execute("BEGIN")
            try:
                counts = db.execute("SELECT number, count FROM segments").fetchall()
                for number, count in counts if segments else ():
                    own.map(number, count)
            except SegmentError:  # taken away by a compaction; or damaged, if a row needs it
                if again < _AGAIN - 1:
                    continue
            yield db, own
            return
        finally:
            db.close()


def copy(db: sqlite3.Connection, segments: Segments, folder: Path, advance: Advance) -> None:
    """Copies the store into ``folder``, which is empty.

    Raises:
        SegmentError: a segment is damaged.
        OSError: no room, or the folder can't be written to.
    """
    for again in range(_AGAIN):
        try:
            _copy(db, segments, folder, advance)
        except SegmentError:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if again == _AGAIN - 1:
                raise
        else:
            return


def _copy(db: sqlite3.Connection, segments: Segments, folder: Path, advance: Advance) -> None:
    target = sqlite3.connect(folder / FILE)
    try:
        db.backup(target)
        counts = target.execute("SELECT number, count FROM segments ORDER BY number").fetchall()
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
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
