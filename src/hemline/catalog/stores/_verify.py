"""Verification of a store: the checksums of rows and vectors, and that all parts agree.

Repair deletes a derived index that disagrees, corrects counts from the rows, deletes files that
nothing refers to, and accepts the loss of commits that are missing. A row or a vector with a wrong
checksum can't be derived here; it is listed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hemline.catalog.index import disk
from hemline.catalog.index.index import Index
from hemline.catalog.segments import Segments
from hemline.catalog.store import Advance, Ids, Problem
from hemline.catalog.stores import _counter, _rows, _texts
from hemline.catalog.stores._damage import integrity
from hemline.catalog.stores._database import FILE, SUMMED_VERSION, Meta
from hemline.catalog.stores._rows import Damaged, json_list
from hemline.errors import DamageError

_BLOCK = 8192
_SHOWN = 100  # damaged rows that are named

_MISPLACED = """
SELECT COUNT(*) FROM pictures LEFT JOIN segments ON number = id / :rows
WHERE number IS NULL OR id % :rows >= count
"""
_COUNTED = """
INSERT OR REPLACE INTO segments
SELECT id / :rows, MAX(MAX(id) % :rows + 1, COALESCE(MAX(count), 0))
FROM pictures LEFT JOIN segments ON number = id / :rows GROUP BY id / :rows
"""
_UNNAMED = """
SELECT DISTINCT key FROM pictures, json_each(columns)
WHERE key NOT IN (SELECT name FROM columns) ORDER BY key
"""
_SUM = """
UPDATE pictures SET checksum = row_checksum(id, image_id, (SELECT item_id FROM items WHERE
number = item), domain, category, tags, columns, source, picture)
"""


@dataclass(slots=True)
class Content:
    """What `content` found.

    Attributes:
        images: number of rows checked.
        problems: what is wrong.
        lost: image_ids of rows whose vector is lost.
        rows: number of damaged rows.
        missing: number of acknowledged commits that the database lacks.
        unsummed: number of rows without a checksum.
        broken: whether SQLite can't read the database, so that nothing else could be checked.
    """

    images: int = 0
    problems: list[Problem] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    rows: int = 0
    missing: int = 0
    unsummed: int = 0
    broken: bool = False

    def repair(self, db: sqlite3.Connection, segments: Segments, revision: int) -> None:
        """Repairs what can be derived, in the transaction of commit ``revision``."""
        done = {*segment_counts(db, segments, revision), *_texts.remove_unnamed(db, revision)}
        if not self.rows:
            done.update(_column_names(db, True))
        if self.missing:
            _accept(db, segments, revision)
            done.add(replace(_missing(self.missing), repaired=True))
        if self.unsummed and not self.rows:
            _add_checksums(db)
            self.unsummed = 0
        same = {replace(problem, repaired=False): problem for problem in done}
        self.problems = [same.pop(problem, problem) for problem in self.problems]
        self.problems += same.values()


def content(
    db: sqlite3.Connection, segments: Segments, acknowledged: int, repair: bool, advance: Advance
) -> Content:
    """Verifies database and vectors, of which ``acknowledged`` commits are known.

    ``repair`` makes SQLite's own indexes anew where they disagree with the rows.
    """
    found = Content()
    try:
        found.problems += database(db, repair)
        found.broken = not all(problem.repaired for problem in found.problems)
        if found.broken:
            return found
        meta = Meta(db)
        found.missing = max(0, acknowledged - meta.number("revision"))
        found.problems += [_missing(found.missing)] if found.missing else []
        found.images = int(db.execute("SELECT COUNT(*) FROM pictures").fetchone()[0])
        found.unsummed = 0 if meta.summed else found.images
        _check_rows(db, found, meta.summed)
        found.problems += _texts.unstorable(db)
        damaged, lost = vectors(db, segments, advance)
        found.problems += damaged
        found.problems += segment_counts(db, segments)
        found.problems += _column_names(db, False) if not found.rows else []
        found.lost = _names(db, lost)
    except (sqlite3.DatabaseError, Damaged) as error:
        found.problems.append(Problem("database", FILE, str(error)))
        found.broken = True
    return found


def _missing(missing: int) -> Problem:
    return Problem("database", FILE, _counter.words(missing))


def _check_rows(db: sqlite3.Connection, found: Content, summed: bool) -> None:
    for _, text in _rows.damaged(db, summed, "ORDER BY id"):
        found.rows += 1
        if found.rows <= _SHOWN:
            found.problems.append(Problem("row", FILE, text))
    if found.rows > _SHOWN:
        text = f"{found.rows - _SHOWN} more rows are damaged"
        found.problems.append(Problem("row", FILE, text))


def _column_names(db: sqlite3.Connection, repair: bool) -> list[Problem]:
    """Compares the list of columns with the columns of the rows."""
    names = [name for (name,) in db.execute(_UNNAMED)]
    if not names:
        return []
    if repair:
        db.executemany("INSERT OR IGNORE INTO columns VALUES (?)", [(name,) for name in names])
    text = f"the list of columns lacks {', '.join(map(repr, names[:5]))}"
    return [Problem("database", FILE, text, repair)]


def _names(db: sqlite3.Connection, ids: Ids) -> list[str]:
    """The image_ids of rows, in the order of ``ids``."""
    sql = (
        "SELECT CAST(image_id AS BLOB) FROM pictures "
        "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    )
    found = db.execute(sql, (json_list(ids.tolist()),))
    return [bytes(name).decode(errors="backslashreplace") for (name,) in found]


def _accept(db: sqlite3.Connection, segments: Segments, revision: int) -> None:
    """Goes on from a database that lacks commits; none of their numbers and ids is used again."""
    meta = Meta(db)
    last = max(segments.numbers(), default=0)
    next_id = max(meta.number("next_id"), (last + 1) * segments.rows)
    # Every index that knows a lost commit is older than the floor, and so is made anew.
    meta.set(floor=revision, compacted=revision, next_id=next_id)


def _add_checksums(db: sqlite3.Connection) -> None:
    """Brings an older database to the format with checksums."""

    def row_checksum(id_: int, *texts: str) -> int:
        return _rows.checksum(id_, texts)

    db.create_function("row_checksum", -1, row_checksum)
    db.execute("ALTER TABLE pictures ADD COLUMN checksum INTEGER")
    db.execute(_SUM)
    Meta(db).set(format_version=SUMMED_VERSION)
    Meta(db).seal(fixed=True)


class VectorCheck(NamedTuple):
    """The problems found, and the ids of rows whose vector is lost."""

    problems: list[Problem]
    lost: Ids


def database(db: sqlite3.Connection, repair: bool) -> list[Problem]:
    """SQLite's own integrity check; ``repair`` makes its indexes anew.

    Only where rows have checksums: elsewhere an index may be what tells that a row is damaged.
    """
    found = integrity(db)
    repaired = False
    if found and repair and Meta(db).summed:
        db.execute("REINDEX")
        repaired = not integrity(db)
    return [Problem("database", FILE, text, repaired) for text in found]


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


def segment_counts(
    db: sqlite3.Connection, segments: Segments, revision: int | None = None
) -> list[Problem]:
    """Compares what the database records of the segments with its rows.

    Repairs it in the transaction of commit ``revision``, where that is given.
    """
    problems = []
    repair = revision is not None
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
    elif not meta.intact(fixed=False):
        if repair:
            meta.set(floor=revision, compacted=revision)
        text = "the counters of the table meta aren't those of their checksum"
        problems.append(Problem("database", FILE, text, repair))
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
        except (OSError, DamageError, ValueError, KeyError, TypeError):
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
    summed = Meta(db).summed
    items = db.execute("SELECT item FROM pictures ORDER BY id")
    differ = 0
    for found in _rows.read(db, summed, "ORDER BY id"):
        slots = memory.slots(np.array([f[0] for f in found], np.int64))
        rows = memory.columns.rows(slots)
        numbers = [item for (item,) in items.fetchmany(len(found))]
        for slot, row, item, values in zip(slots.tolist(), rows, numbers, found, strict=True):
            pairs = _rows.row_values(values, summed=False).items()  # verified by `content`
            stored_row = {name: value for name, value in pairs if value is not None}
            differ += row != stored_row or memory.items.data[slot] != item
    if differ:
        text = f"the columns of {differ} rows differ from the database"
        problems.append(Problem("columns", disk.FOLDER, text))
    return problems
