"""Errors of SQLite, of the disk and of damaged content, as one line that says what to do."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hemline.budget import check_time
from hemline.catalog.stores import _rows
from hemline.catalog.stores._database import FILE, SCHEMA, Meta, connect, one_line
from hemline.catalog.stores._rows import Damaged
from hemline.errors import CatalogError, DamageError

_SHOWN = 5  # lines of SQLite's own check
#: What unusable content raises where it is used: a text where a number was, and the like.
_UNUSABLE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


@contextmanager
def catalog_errors(folder: Path) -> Iterator[None]:
    """Turns errors of SQLite, the disk and damaged content into a `CatalogError`.

    Another error is one of the program, unless the database turns out to be damaged.
    """
    try:
        yield
    except Damaged as error:
        raise DamageError(f"{folder / FILE}: {error}") from None
    except sqlite3.OperationalError as error:
        raise _operational(error, folder) from error
    except sqlite3.DatabaseError as error:
        raise DamageError(
            f"{folder / FILE} isn't a catalogue, or is damaged: {one_line(error)}"
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "no space on the disk" if full else (error.strerror or str(error))
        raise CatalogError(
            f"{folder} can't be written: {why}. What was acknowledged is kept; "
            f"{'free some space, then' if full else 'once that is fixed,'} run the same "
            "command again"
        ) from error
    except _UNUSABLE as error:
        found = diagnosis(folder)
        if found is None:
            raise
        raise DamageError(f"{folder / FILE}: {found}") from error


def _operational(error: sqlite3.OperationalError, folder: Path) -> CatalogError:
    # The low byte of an extended code is its primary code; Python's own errors have none.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        check_time()
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return CatalogError(
            f"{folder} can't be written: no space on the disk, or it fails ({one_line(error)}). "
            "What was acknowledged is kept; free some space, then run the same command again"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return CatalogError(f"{folder / FILE} can't be opened; check who may read and write it")
    if code == sqlite3.SQLITE_ERROR:  # invalid UTF-8, or a damaged schema
        found = diagnosis(folder)
        if found is not None:
            return DamageError(f"{folder / FILE}: {found}")
    return CatalogError(f"{folder}: {one_line(error)}")


def integrity(db: sqlite3.Connection) -> list[str]:
    """What SQLite's own integrity check finds, in a few lines."""
    try:
        found = [str(text) for (text,) in db.execute(f"PRAGMA integrity_check({_SHOWN})")]
        with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(SCHEMA)
            if _schema(db) != _schema(fresh):
                found.append("its schema isn't that of a catalogue")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        found = [str(error)]
    return [" ".join(text.split()) for text in found if text != "ok"]


def _schema(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Columns and indexes of the tables; not the column that older databases lack."""
    return db.execute(
        "SELECT t.name, c.name, c.type, c.\"notnull\", c.pk, '' FROM sqlite_schema AS t, "
        "pragma_table_info(t.name) AS c WHERE t.type = 'table' AND t.name NOT LIKE "
        "'sqlite_stat%' AND c.name <> 'checksum' "
        "UNION SELECT name, '', '', 0, 0, sql FROM sqlite_schema WHERE type = 'index' "
        "AND name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2"
    ).fetchall()


def diagnosis(folder: Path) -> str | None:
    """The first damage of the database, or None where it is intact."""
    try:
        with contextlib.closing(connect(folder / FILE)) as db:
            for text in integrity(db):
                return f"it is damaged: {text}"
            for _, text in _rows.damaged(db, Meta(db).summed):
                return text
    except Damaged as error:
        return str(error)
    except (sqlite3.DatabaseError, *_UNUSABLE) as error:
        return f"it is damaged: {one_line(error)}"
    return None
