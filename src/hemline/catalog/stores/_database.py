"""The SQLite file of a catalogue: schema, description and connection."""

from __future__ import annotations

import os
import sqlite3
import zlib
from pathlib import Path

from hemline.catalog.read_only import connect_unchanged, is_read_only
from hemline.catalog.stores._rows import Damaged
from hemline.errors import CatalogError, DamageError

FILE = "catalog.sqlite"
SUMMED_VERSION = 3  # the format from which rows have checksums
#: What never changes in the table ``meta``; the rest are counters.
_FIXED = {"format_version", "fingerprint", "dim", "segment_rows"}
#: Name of a checksum in the table ``meta`` → whether it is that of `_FIXED`.
_SUMS = {"checksum": True, "counters_checksum": False}
_SET = "INSERT OR REPLACE INTO meta VALUES (?, ?)"

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
    revision INTEGER NOT NULL,             -- of the commit that wrote it
    checksum INTEGER                       -- of what the row says, from format 3 on: `_rows`
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


class Meta:
    """The table ``meta``: what a catalogue is, and its counters.

    From format 3 on both have a checksum. Without the former nothing can be read, the latter can be
    derived.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @property
    def summed(self) -> bool:
        """Whether rows have checksums."""
        return self.number("format_version") >= SUMMED_VERSION

    def number(self, name: str) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        try:
            return int(found[0])
        except (TypeError, ValueError):
            raise Damaged(f"table meta: {name} is {found and found[0]!r}, not a number") from None

    def set(self, **values: object) -> None:
        pairs = [(name, str(value)) for name, value in values.items()]
        self._db.executemany(_SET, pairs)

    def seal(self, *, fixed: bool = False) -> None:
        """Writes the checksum of the counters, or that of what never changes.

        Each commit does so after its last change.
        """
        if self.summed:
            name = next(name for name, whose in _SUMS.items() if whose == fixed)
            self._db.execute(_SET, (name, str(self._sum(fixed))))

    def _sum(self, fixed: bool) -> int:
        rows = self._db.execute("SELECT name, value FROM meta ORDER BY name").fetchall()
        chosen = [row for row in rows if row[0] not in _SUMS and (row[0] in _FIXED) == fixed]
        return zlib.crc32("\0".join(text for row in chosen for text in row).encode())

    def intact(self, fixed: bool) -> bool:
        """Whether the checksum of what never changes, or that of the counters, is right."""
        names = [name for name, whose in _SUMS.items() if whose == fixed]
        return not self.summed or self.number(names[0]) == self._sum(fixed)


def description(db: sqlite3.Connection, folder: Path, versions: set[int]) -> tuple[str, int, int]:
    """Fingerprint, length of vectors and rows of a segment.

    Raises:
        CatalogError: damaged, or of none of the format ``versions``.
    """
    path = folder / FILE
    what_to_do = "restore a backup, or create the catalogue again from its feed"
    try:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        found = meta.get("format_version")
        if found not in {str(version) for version in versions}:
            raise CatalogError(
                f"{folder} is a catalogue of format version {found}, this hemline reads "
                f"{' and '.join(map(str, sorted(versions)))}; create it again with this hemline"
            )
        described = meta["fingerprint"], int(meta["dim"]), int(meta["segment_rows"])
        if not Meta(db).intact(fixed=True):
            raise Damaged("table meta is damaged: its content isn't that of its checksum")
        return described
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        what = one_line(error)
        raise DamageError(
            f"{path} isn't a catalogue, or is damaged: {what}; {what_to_do}"
        ) from None
    except Damaged as error:
        raise DamageError(f"{path}: {error}; {what_to_do}") from None
    except (KeyError, ValueError, TypeError):
        raise DamageError(
            f"{path} is damaged: its description is incomplete; {what_to_do}"
        ) from None


def one_line(error: Exception) -> str:
    """Its text; SQLite's may have lines of a damaged schema."""
    return " ".join(str(error).split())


def connect(path: Path, new: bool = False) -> sqlite3.Connection:
    """Opens the file, or creates a ``new`` one; read-only where its folder is, or `read_only`."""
    if is_read_only():
        return connect_unchanged(path)
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
