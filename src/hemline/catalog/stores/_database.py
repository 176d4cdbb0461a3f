"""The SQLite file of a catalogue: schema, connection, rows and errors."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hemline.budget import check_time
from hemline.catalog.store import Row
from hemline.errors import CatalogError
from hemline.text import text_problem
from hemline.types import FloatArray

FILE = "catalog.sqlite"

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    item_id TEXT NOT NULL UNIQUE
);
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,                -- the vector's place; never used again
    image_id TEXT NOT NULL UNIQUE,
    item INTEGER NOT NULL,
    domain TEXT NOT NULL,
    category TEXT NOT NULL,
    tags TEXT NOT NULL,                    -- JSON list
    columns TEXT NOT NULL,                 -- JSON object
    source TEXT NOT NULL,
    picture TEXT NOT NULL,
    revision INTEGER NOT NULL              -- of the commit that wrote it
);
CREATE INDEX pictures_by_item ON pictures (item);
CREATE INDEX pictures_by_revision ON pictures (revision);
CREATE TABLE removed (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX removed_by_revision ON removed (revision);
CREATE TABLE segments (
    number INTEGER PRIMARY KEY,
    count INTEGER NOT NULL                 -- vectors that count; behind them nothing does
);
CREATE TABLE columns (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
#: `to_row` takes these columns without the id.
SELECT = """
SELECT id, image_id, item_id, domain, category, tags, columns, source, picture
FROM pictures JOIN items ON number = item
"""


class Meta:
    """The table ``meta``: a catalogue's description of itself."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def number(self, name: str) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(found[0])

    def set(self, **values: object) -> None:
        pairs = [(name, str(value)) for name, value in values.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", pairs)


def description(db: sqlite3.Connection, folder: Path, version: int) -> tuple[str, int, int]:
    """Fingerprint, length of vectors and rows of a segment.

    Raises:
        CatalogError: damaged, or not of format ``version``.
    """
    path = folder / FILE
    try:
        meta = dict(db.execute("SELECT name, value FROM meta"))
    except sqlite3.DatabaseError as error:
        raise CatalogError(f"{path} isn't a catalogue, or is damaged: {error}") from None
    found = meta.get("format_version")
    if found != str(version):
        raise CatalogError(
            f"{folder} is a catalogue of format version {found}, this hemline reads "
            f"{version}; create it again with this hemline"
        )
    try:
        return meta["fingerprint"], int(meta["dim"]), int(meta["segment_rows"])
    except (KeyError, ValueError):
        raise CatalogError(f"{path} is damaged: its description is incomplete") from None


def connect(path: Path, new: bool = False) -> sqlite3.Connection:
    """Opens the file, or creates a ``new`` one; read-only where its folder is."""
    if path.exists() and not os.access(path.parent, os.W_OK):
        return _connect_read_only(path)
    try:
        return _connect(path, new)
    except sqlite3.OperationalError as error:
        # A full disk has no room for the file that processes share; alone it works in memory.
        if error.sqlite_errorcode != sqlite3.SQLITE_IOERR_SHMSIZE or os.name == "nt":
            raise
        return _connect(path, new, "?vfs=unix-excl")


def _connect(path: Path, new: bool, options: str = "") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}{options}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        if new:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """For a folder on a read-only disk or image, which nobody changes."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise CatalogError(
            f"{path.parent} can't be written to and its last writer didn't end well; "
            f"run 'hemline catalog stats' once where it can be written to"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


@contextmanager
def catalog_errors(folder: Path) -> Iterator[None]:
    """Turns errors of SQLite and the disk into a `CatalogError` that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # A text that isn't UTF-8 is an error of Python, without a code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
        if code == sqlite3.SQLITE_INTERRUPT:
            check_time()
        # The low byte of an extended code is its primary code.
        if code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise CatalogError(
                f"{folder} can't be written: no space on the disk, or it fails ({error}). What was "
                "acknowledged is kept; free some space, then run the same command again"
            ) from error
        if code & 0xFF == sqlite3.SQLITE_CANTOPEN:
            raise CatalogError(
                f"{folder / FILE} can't be opened; check who may read and write it"
            ) from error
        raise CatalogError(f"{folder}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise CatalogError(f"{folder / FILE} isn't a catalogue, or is damaged: {error}") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "no space on the disk" if full else (error.strerror or str(error))
        raise CatalogError(
            f"{folder} can't be written: {why}. What was acknowledged is kept; "
            f"{'free some space, then' if full else 'once that is fixed,'} run the same "
            "command again"
        ) from error


def to_row(values: Sequence[Any], embedding: FloatArray, norm: float) -> Row:
    """The row of the columns of `SELECT` without the id."""
    image_id, item_id, domain, category, tags, columns, source, image_digest = values
    return Row(
        image_id=image_id,
        item_id=item_id,
        embedding=embedding,
        norm=norm,
        domain=domain,
        category=category,
        tags=tuple(json.loads(tags)),
        columns=json.loads(columns),
        source=source,
        image_digest=image_digest,
    )


def row_values(
    image_id: str, item_id: str, category: str, tags: str, columns: str
) -> dict[str, Any]:
    """`Row.values` from the columns of the database."""
    return {
        **json.loads(columns),
        "image_id": image_id,
        "item_id": item_id,
        "category": category,
        "tags": json.loads(tags),
    }


def tags_text(row: Row) -> str:
    """The JSON of the column ``tags``."""
    return json.dumps(list(row.tags), ensure_ascii=False) if row.tags else "[]"


def columns_text(row: Row) -> str:
    """The JSON of the column ``columns``."""
    return json.dumps(dict(row.columns), ensure_ascii=False) if row.columns else "{}"


def json_list(values: Sequence[Any]) -> str:
    """Values as the parameter of ``IN (SELECT value FROM json_each(?))``.

    Texts with NUL, which ``json_each`` would cut, and such that aren't UTF-8 are left out.
    """
    kept = [value for value in values if not (isinstance(value, str) and text_problem(value))]
    return json.dumps(kept, ensure_ascii=False)
