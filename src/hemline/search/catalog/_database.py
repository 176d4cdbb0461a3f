"""The SQLite file of a catalogue: its tables, its connection, its rows, its errors."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hemline.errors import CatalogError
from hemline.search.catalog._protocol import Row

FILE = "catalog.sqlite"
FORMAT_VERSION = 1

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    image_id TEXT NOT NULL UNIQUE,
    item_id TEXT NOT NULL,
    domain TEXT NOT NULL,
    category TEXT NOT NULL,
    tags TEXT NOT NULL,                    -- JSON list
    columns TEXT NOT NULL,                 -- JSON object
    source TEXT NOT NULL,
    picture TEXT NOT NULL,
    norm REAL NOT NULL,
    embedding BLOB NOT NULL,               -- little-endian float32
    revision INTEGER NOT NULL              -- of the commit that wrote it
);
CREATE INDEX pictures_by_item ON pictures (item_id);
CREATE INDEX pictures_by_revision ON pictures (revision);
CREATE TABLE removed (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX removed_by_revision ON removed (revision);
CREATE TABLE columns (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
FIELDS = "image_id, item_id, embedding, norm, domain, category, tags, columns, source, picture"


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file, or makes it; read-only where its folder is."""
    if path.exists() and not os.access(path.parent, os.W_OK):
        return _connect_read_only(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """For a folder that can't be written to (a read-only disk or image): nobody changes it."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise CatalogError(
            f"{path.parent} can't be written to and its last writer didn't end well; "
            f"run 'hemline catalog stats' once where it can be written to"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


@contextmanager
def clear(folder: Path) -> Iterator[None]:
    """SQLite's errors as ours, in one line that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # The low byte of SQLite's code is its kind, the rest says more about it.
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise CatalogError(
                f"{folder} can't be written: no room on the disk, or it fails ({error}). What was "
                "acknowledged is kept; free some room, then run the same command again"
            ) from error
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
            raise CatalogError(
                f"{folder / FILE} can't be opened; check who may read and write it"
            ) from error
        raise CatalogError(f"{folder}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise CatalogError(f"{folder / FILE} isn't a catalogue, or is damaged: {error}") from error


def to_values(row: Row) -> tuple[Any, ...]:
    """A row as the values of `FIELDS`."""
    return (
        row.image_id,
        row.item_id,
        np.ascontiguousarray(row.embedding, "<f4").tobytes(),
        float(row.norm),
        row.domain,
        row.category,
        json.dumps(list(row.tags), ensure_ascii=False),
        json.dumps(dict(row.columns), ensure_ascii=False),
        row.source,
        row.picture,
    )


def to_row(values: Sequence[Any]) -> Row:
    """The values of `FIELDS` as a row."""
    image_id, item_id, embedding, norm, domain, category, tags, columns, source, picture = values
    return Row(
        image_id=image_id,
        item_id=item_id,
        embedding=np.frombuffer(embedding, "<f4").astype(np.float32, copy=False),
        norm=norm,
        domain=domain,
        category=category,
        tags=tuple(json.loads(tags)),
        columns=json.loads(columns),
        source=source,
        picture=picture,
    )
