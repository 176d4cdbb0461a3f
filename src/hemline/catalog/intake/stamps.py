"""Cache of the digests of image files, by size and modification time.

What is missing is read again. A file that was modified less than two seconds before it was read
isn't cached, as its next change might have the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

FILE = "stamps.sqlite"
_FRESH = 2_000_000_000  # ns


class Stamp(NamedTuple):
    """A file as it was read: size in bytes, modification time in ns, digest of its content."""

    size: int
    changed: int
    digest: str


def current(path: Path) -> tuple[int, int]:
    """Size and modification time (ns) of a file.

    Raises:
        OSError: it isn't there.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns


class Stamps:
    """The cache of a catalogue; used by one thread."""

    def __init__(self, folder: Path | None, read_only: bool = False, forget: bool = False) -> None:
        """
        Args:
            folder: the catalogue's; None caches nothing.
            read_only: stores nothing.
            forget: ignores what is stored, and overwrites it.
        """
        self._db: sqlite3.Connection | None = None
        self._read_only, self._forget = read_only, forget
        if folder is None or (read_only and not (folder / FILE).exists()):
            return
        try:
            self._db = _open(folder / FILE)
        except sqlite3.Error:
            if not read_only:
                with contextlib.suppress(OSError, sqlite3.Error):
                    (folder / FILE).unlink(missing_ok=True)
                    self._db = _open(folder / FILE)

    def known(self, paths: Iterable[Path]) -> dict[Path, Stamp]:
        """The stamps of those of ``paths`` that have one."""
        found: dict[Path, Stamp] = {}
        if self._forget:
            return found
        wanted = {os.fspath(path): path for path in paths}
        sql = (
            "SELECT path, size, changed, digest FROM stamps "
            "WHERE path IN (SELECT value FROM json_each(?))"
        )
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError):
                names = json.dumps(list(wanted), ensure_ascii=False)
                for name, *rest in self._db.execute(sql, (names,)):
                    found[wanted[name]] = Stamp(*rest)
        return found

    def note(self, stamps: Mapping[Path, Stamp]) -> None:
        """Stores stamps of files that have just been read."""
        now = time.time_ns()
        rows = [
            (os.fspath(path), *stamp)
            for path, stamp in stamps.items()
            if now - stamp.changed > _FRESH
        ]
        if rows and self._db is not None and not self._read_only:
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError):
                self._db.execute("BEGIN")
                self._db.executemany("INSERT OR REPLACE INTO stamps VALUES (?,?,?,?)", rows)
                self._db.execute("COMMIT")

    def close(self) -> None:
        if self._db is not None:
            self._db.close()


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=1)
    db.execute("PRAGMA synchronous = OFF")
    db.execute(
        "CREATE TABLE IF NOT EXISTS stamps (path TEXT PRIMARY KEY, size INTEGER NOT NULL, "
        "changed INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID"
    )
    return db
