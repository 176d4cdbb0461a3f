"""Verification of a store: the vectors' checksums, and that database, segments and index agree.

Repair deletes a derived index that disagrees, corrects counts from the rows, and deletes files that
nothing refers to. A vector with a wrong checksum can't be derived here; its row is listed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hemline.catalog.index import disk
from hemline.catalog.index.index import Index
from hemline.catalog.segments import Segments
from hemline.catalog.store import Advance, Ids, Problem
from hemline.catalog.stores._database import FILE, Meta, json_list, row_values

_BLOCK = 8192
_SHOWN = 5  # lines of SQLite's own check

_MISPLACED = """
SELECT COUNT(*) FROM pictures LEFT JOIN segments ON number = id / :rows
WHERE number IS NULL OR id % :rows >= count
"""
_COUNTED = """
INSERT OR REPLACE INTO segments
SELECT id / :rows, MAX(MAX(id) % :rows + 1, COALESCE(MAX(count), 0))
FROM pictures LEFT JOIN segments ON number = id / :rows GROUP BY id / :rows
"""


class VectorCheck(NamedTuple):
    """The problems found, and the ids of rows whose vector is lost."""

    problems: list[Problem]
    lost: Ids


def database(db: sqlite3.Connection) -> list[Problem]:
    """SQLite's own integrity check."""
    try:
        found = [str(text) for (text,) in db.execute("PRAGMA integrity_check").fetchall()]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    wrong = [text for text in found if text != "ok"]
    return [Problem("database", FILE, " ".join(text.split())) for text in wrong[:_SHOWN]]


def vectors(db: sqlite3.Connection, segments: Segments, advance: Advance) -> VectorCheck:
    """Verifies the vector of every row."""
    total = int(db.execute("SELECT COUNT(*) FROM pictures").fetchone()[0])
    lost: list[Ids] = []
    done = 0
    for ids in _ids(db):
        lost.append(ids[~segments.intact(ids)])
        done += len(ids)
        advance(done, max(total, done))
    ids = np.concatenate([*lost, np.zeros(0, np.int64)])
    # What another process moved or removed meanwhile isn't lost.
    there = db.execute(
        "SELECT id FROM pictures WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json_list(ids.tolist()),),
    )
    ids = np.array([id_ for (id_,) in there.fetchall()], np.int64)
    ids = ids[~segments.intact(ids)]
    problems = []
    for number, count in zip(*np.unique(ids // segments.rows, return_counts=True), strict=True):
        state = "is missing" if not segments.path(int(number)).exists() else "is damaged"
        text = f"{state}: {count} vector{'s' if count > 1 else ''} of rows lost"
        problems.append(Problem("segment", segments.name(int(number)), text))
    return VectorCheck(problems, ids)


def _ids(db: sqlite3.Connection) -> Iterator[Ids]:
    last = -1
    sql = f"SELECT id FROM pictures WHERE id > ? ORDER BY id LIMIT {_BLOCK}"
    while found := db.execute(sql, (last,)).fetchall():
        last = found[-1][0]
        yield np.array([f[0] for f in found], np.int64)


def segment_counts(db: sqlite3.Connection, segments: Segments, repair: bool) -> list[Problem]:
    """Compares what the database records of the segments with its rows, in a transaction."""
    problems = []
    rows = {"rows": segments.rows}
    misplaced = int(db.execute(_MISPLACED, rows).fetchone()[0])
    if misplaced:
        if repair:
            db.execute(_COUNTED, rows)
        text = f"{misplaced} rows point beyond the recorded length of their segment"
        problems.append(Problem("database", FILE, text, repair))
    meta = Meta(db)
    highest = db.execute(
        "SELECT MAX((SELECT COALESCE(MAX(id), 0) FROM pictures), "
        "(SELECT COALESCE(MAX(id), 0) FROM removed))"
    ).fetchone()[0]
    if meta.number("next_id") <= highest:
        if repair:
            meta.set(next_id=(highest // segments.rows + 1) * segments.rows)
        problems.append(Problem("database", FILE, "the next id was used before", repair))
    nameless = db.execute(
        "SELECT COUNT(*) FROM pictures LEFT JOIN items ON items.number = item "
        "WHERE items.number IS NULL"
    ).fetchone()[0]
    if nameless:
        problems.append(Problem("database", FILE, f"{nameless} rows have lost their item"))
    known = {number for (number,) in db.execute("SELECT number FROM segments")}
    # A file that a kill left isn't damage: it is overwritten, or deleted here.
    for number in sorted(set(segments.numbers()) - known) if repair else ():
        if segments.drop(number):
            text = "belonged to no row (a compaction or an addition was interrupted)"
            problems.append(Problem("segment", segments.name(number), text, True))
    return problems


def saved_index(folder: Path, repair: bool) -> list[Problem]:
    """Verifies the saved index; ``repair`` deletes a damaged one."""
    problems = []
    for path in disk.folders(folder):
        try:
            found = ", ".join(disk.damaged_files(path))
        except (OSError, ValueError, KeyError, TypeError):
            found = "its list"
        if found:
            text = f"is damaged ({found}); it is rebuilt when it is needed"
            problems.append(Problem("index", f"{disk.FOLDER}/{path.name}", text, repair))
    if problems and repair:
        disk.drop(folder)
    return problems


def index(db: sqlite3.Connection, memory: Index) -> list[Problem]:
    """Compares an index at the newest commit, with flushed columns, with the database."""
    problems = []
    there = memory.ids.data[memory.alive.data]
    stored = np.concatenate([*_ids(db), np.zeros(0, np.int64)])
    if not np.array_equal(there, stored):
        differ = len(np.setxor1d(there, stored))
        problems.append(Problem("index", disk.FOLDER, f"{differ} rows differ from the database"))
        return problems
    assert memory.columns is not None
    cursor = db.execute(
        "SELECT id, item, image_id, item_id, category, tags, columns "
        "FROM pictures JOIN items ON number = item ORDER BY id"
    )
    differ = 0
    while found := cursor.fetchmany(_BLOCK):
        slots = memory.slots(np.array([f[0] for f in found], np.int64))
        rows = memory.columns.rows(slots)
        for slot, row, (_, item, *values) in zip(slots.tolist(), rows, found, strict=True):
            pairs = row_values(*values).items()
            stored_row = {name: value for name, value in pairs if value is not None}
            differ += row != stored_row or memory.items.data[slot] != item
    if differ:
        text = f"the columns of {differ} rows differ from the database"
        problems.append(Problem("columns", disk.FOLDER, text))
    return problems
