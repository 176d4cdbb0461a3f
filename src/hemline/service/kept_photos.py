"""How long the journal keeps photos: each has its term, which no later setting prolongs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

TABLE = """
CREATE TABLE IF NOT EXISTS photos (search TEXT PRIMARY KEY, until REAL);
CREATE INDEX IF NOT EXISTS photos_until ON photos (until);
"""
_DAY = 86400.0


def note(db: sqlite3.Connection, photos: Iterable[tuple[str, float]], days: int) -> None:
    """Stores the terms of photos: (search, time of the search) each."""
    rows = [(search, when + days * _DAY) for search, when in photos]
    db.executemany("INSERT OR IGNORE INTO photos VALUES (?, ?)", rows)


def expire(db: sqlite3.Connection, days: int) -> None:
    """Deletes the photos whose term is over, also from the file's free pages.

    Photos of versions that knew no term get one of ``days``; with 0 they stay, as nothing was said.
    """
    db.execute("PRAGMA secure_delete = ON")
    if days:
        db.execute(
            "INSERT OR IGNORE INTO photos SELECT id, time + ? FROM searches "
            "WHERE photo IS NOT NULL AND id NOT IN (SELECT search FROM photos)",
            (days * _DAY,),
        )
    now = time.time()
    over = "(SELECT search FROM photos WHERE until <= ?)"
    db.execute(f"UPDATE searches SET photo = NULL WHERE id IN {over}", (now,))
    gone = db.execute("DELETE FROM photos WHERE until <= ?", (now,)).rowcount
    if gone:
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
