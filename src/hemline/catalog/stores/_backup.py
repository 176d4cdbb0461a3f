"""A consistent copy of a store while others search and write, and its verification.

SQLite's backup copies its file in one snapshot. Segments only grow, so the records that the
snapshot counts are copied afterwards; where a compaction has deleted one of them in between, the
copy starts again. The index isn't copied, as it can be derived.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from hemline.catalog.segments import SegmentError, Segments
from hemline.catalog.store import Advance, silent
from hemline.catalog.stores import _counter, _verify
from hemline.catalog.stores._damage import catalog_errors
from hemline.catalog.stores._database import FILE, connect
from hemline.errors import DamageError

_BLOCK = 1 << 22
_TRIES = 5


def backup(source: Path, segments: Segments, folder: Path, advance: Advance, damaged: bool) -> None:
    """See `Store.backup`; ``source`` is the store's folder."""
    acknowledged = _counter.read(source)  # before the database, which may grow meanwhile
    with catalog_errors(folder), contextlib.closing(connect(source / FILE)) as db:
        copy(db, segments, folder, advance, damaged)
        _counter.reset(folder, acknowledged)
    if damaged:
        return
    own = Segments(folder, segments.dim, segments.rows)
    with catalog_errors(folder), contextlib.closing(connect(folder / FILE)) as db:
        found = _verify.content(db, own, acknowledged, False, silent)
    own.close()
    if found.problems:
        raise DamageError(
            f"{source} is damaged, so it isn't copied: {found.problems[0].found}. "
            "'hemline catalog check' lists all damage; 'backup --damaged' copies it as it is"
        )


def copy(
    db: sqlite3.Connection, segments: Segments, folder: Path, advance: Advance, damaged: bool
) -> None:
    """Copies the store into the empty ``folder``, unsynced; ``damaged`` copies what is left of it.

    Raises:
        SegmentError: a segment is missing or cut short.
        OSError: the disk is full, or the folder can't be written to.
    """
    for attempt in range(_TRIES):
        try:
            _copy(db, segments, folder, advance, damaged and attempt == _TRIES - 1)
        except SegmentError:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if attempt == _TRIES - 1:
                raise
        else:
            return


def _copy(
    db: sqlite3.Connection, segments: Segments, folder: Path, advance: Advance, damaged: bool
) -> None:
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
        if damaged and not segments.path(number).exists():
            continue
        least = 0 if damaged else count
        with segments.open(number, least) as source, own.path(number).open("wb") as file:
            left = size
            while left:
                data = source.read(min(_BLOCK, left))
                if not data and damaged:
                    break
                if not data:
                    raise SegmentError(segments.damage_message(number, "is cut short"))
                file.write(data)
                left, done = left - len(data), done + len(data)
                advance(done, sum(sizes))
