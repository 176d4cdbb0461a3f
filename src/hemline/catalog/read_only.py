"""Opening SQLite's files so that reading leaves every file as it was.

Opening a database in write-ahead mode creates files beside it, and closing it as the last process
moves the log into the database, also where nothing but reading was done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PATIENCE = 5.0  # seconds to wait for a lock
_ON = ContextVar("hemline-read-only", default=False)


@contextmanager
def read_only() -> Iterator[None]:
    """Within the block this thread opens databases without changing any file of theirs."""
    token = _ON.set(True)
    try:
        yield
    finally:
        _ON.reset(token)


def is_read_only() -> bool:
    """Whether `read_only` holds."""
    return _ON.get()


def connect_unchanged(path: Path) -> sqlite3.Connection:
    """Opens a database as it is now.

    Raises:
        sqlite3.Error: it can't be opened.
    """
    if not path.is_file():  # opened for reading alone, a pipe would be waited for
        raise sqlite3.OperationalError("it isn't a regular file")
    # With a log, others may have it open, and the log counts; without, there is nobody to lock out.
    log = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?{'mode=ro' if log else 'mode=ro&immutable=1'}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_PATIENCE
    )
