"""A store with some rows, and ways to damage it, for tests of its checksums."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np

from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores.sqlite import SqliteStore

DIM = 8
SMALL = StoreSettings(segment_rows=100)


def rows(first: int, count: int, seed: int = 0) -> list[Row]:
    """Rows of two images an item, with the price 100 + number."""
    found = []
    for n in range(first, first + count):
        vector = np.random.default_rng([n, seed]).normal(size=DIM).astype(np.float32)
        vector /= np.linalg.norm(vector)
        found.append(
            Row(f"image{n}", f"item{n // 2}", vector, 1.5, category="dress", tags=("red",),
                columns={"price": 100 + n})
        )  # fmt: skip
    return found


def filled(folder: Path, count: int, commit: int = 50) -> SqliteStore:
    """A new store with ``count`` rows."""
    folder.mkdir(exist_ok=True)
    store = SqliteStore.create(folder, "print", DIM, SMALL)
    for start in range(0, count, commit):
        store.add(rows(start, min(commit, count - start)))
    return store


def flip_text(folder: Path, old: bytes, new: bytes) -> None:
    """Replaces a text in the closed database, as a damaged disk would."""
    assert len(old) == len(new)
    path = folder / "catalog.sqlite"
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


def older(folder: Path) -> None:
    """Makes a closed store one of format 2, without checksums and counter."""
    with sqlite3.connect(folder / "catalog.sqlite") as db:
        db.execute("ALTER TABLE pictures DROP COLUMN checksum")
        db.execute("DELETE FROM meta WHERE name LIKE '%checksum'")
        db.execute("UPDATE meta SET value = '2' WHERE name = 'format_version'")
    db.close()
    (folder / "catalog.commits").unlink()


_KILLED = """
import os, signal, sys
from pathlib import Path
from helpers.small_rows import filled, rows
store = filled(Path(sys.argv[1]), 2 * int(sys.argv[2]), commit=2)
store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
store._db.execute("PRAGMA wal_autocheckpoint = 0")
for n in range(int(sys.argv[3])):
    store.add(rows(1000 + 2 * n, 2))
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path, kept: int, more: int) -> None:
    """A store of ``kept`` commits in the database and ``more`` in its log, whose writer is dead."""
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join(part for part in (tests, os.environ.get("PYTHONPATH")) if part)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), str(kept), str(more)],
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == -signal.SIGKILL


def lose_commits(folder: Path, kept: int, lost: int) -> None:
    """`killed` with a flipped bit in the first frame of the log, so that SQLite drops it all."""
    killed(folder, kept, lost)
    log = folder / "catalog.sqlite-wal"
    data = bytearray(log.read_bytes())
    data[32 + 24 + 100] ^= 1
    log.write_bytes(data)
