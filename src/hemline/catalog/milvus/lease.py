"""The right to write to a collection, which machines without a common folder take in a database.

PostgreSQL keeps it as an advisory lock of a session: it is free at once when its process dies, and
within half a minute when its machine does. Any other database keeps a row with an end, which its
holder moves on. The same row tells, in both, who writes, and whether the last writer died.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
import threading
import time
import uuid
from typing import Any

from hemline.errors import CatalogBusy, CatalogError
from hemline.sql import DATABASE, Shared, line

TABLE = "hemline_writers"
#: Seconds until a writer that doesn't move its end on has lost its right; not on PostgreSQL.
LEASE = 60.0
_TRIES, _PAUSE = 3, 0.1  # seconds, doubled each time


def lease(collection: str) -> Lease | None:
    """That of a collection, in the database that the environment names; None without one."""
    url = os.environ.get(DATABASE, "")
    return Lease(url, collection) if url else None


class Lease:
    """Taken and given back by one thread; may be held for hours."""

    def __init__(self, url: str, collection: str) -> None:
        """
        Raises:
            UsageError: as `Shared`.
        """
        self._shared, self._collection = _opened(url), collection
        sa = self._shared.api
        self._metadata = sa.MetaData()
        self._table = sa.Table(
            TABLE,
            self._metadata,
            sa.Column("collection", sa.Text, primary_key=True),
            sa.Column("holder", sa.Text),
            sa.Column("until", sa.Double),
        )
        digest = hashlib.sha256(collection.encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._me = f"{socket.gethostname()}, process {os.getpid()}, {uuid.uuid4().hex[:8]}"
        self._session: Any = None  # of PostgreSQL, which has the lock
        self._there = False  # the table and the row
        self._ending = threading.Event()
        self._moving: threading.Thread | None = None

    def acquire(self) -> bool:
        """Takes the right; True if the last holder died or failed.

        Raises:
            CatalogBusy: another process has it.
            CatalogError: the database can't be used.
        """
        for attempt in range(_TRIES):
            try:
                with self._connected() as connection:
                    self._make_row(connection)
                    return self._take(connection)
            except self._shared.api.exc.SQLAlchemyError as error:
                self._forget()
                if attempt == _TRIES - 1:
                    raise CatalogError(
                        f"the database {self._shared.shown}, which keeps writers on several "
                        f"machines apart, can't be used: {line(error)}; nothing was written"
                    ) from error
            time.sleep(_PAUSE * 2**attempt)
        raise AssertionError

    def check(self) -> None:
        """Makes sure that the right is still this process's, before what others will see.

        Raises:
            CatalogError: it isn't, or that can't be told.
        """
        try:
            with self._connected(new=False) as connection:
                mine = self._has_lock(connection) if self._postgresql else self._move(connection)
            why = "another process may write by now"
        except self._shared.api.exc.SQLAlchemyError as error:
            mine, why = False, line(error)
        if not mine:
            raise CatalogError(
                f"the right to write to collection {self._collection} was lost in the database "
                f"{self._shared.shown}: {why}. What was acknowledged is kept; give the same "
                "command again"
            )

    def release(self, clean: bool = True) -> None:
        """Gives it back; if not ``clean``, as if the holder had died. Never fails: what can't be
        given back ends by itself."""
        self._ending.set()
        if self._moving is not None:
            self._moving.join()
            self._moving = None
        with contextlib.suppress(self._shared.api.exc.SQLAlchemyError):
            with self._connected(new=False) as connection:
                left = {"holder": ""} if clean else {}
                self._change(connection, self._me, until=0.0, **left)
                if self._postgresql:
                    self._run(connection, "SELECT pg_advisory_unlock(:key)")
            return
        self._forget()

    def close(self) -> None:
        """Ends the session that was kept for the next time."""
        self._forget()

    # The database

    @property
    def _postgresql(self) -> bool:
        return self._shared.is_postgresql

    @contextlib.contextmanager
    def _connected(self, new: bool = True) -> Any:
        """A connection in which each statement is a transaction; PostgreSQL's is the session."""
        engine = self._shared.engine.execution_options(isolation_level="AUTOCOMMIT")
        if not self._postgresql:
            with engine.connect() as connection:
                yield connection
            return
        if self._session is None:
            if not new:
                raise self._shared.api.exc.SQLAlchemyError("its session has ended")
            self._session = engine.connect()
        yield self._session

    def _forget(self) -> None:
        """Closes a session that failed, with whatever lock it has."""
        if self._session is not None:
            with contextlib.suppress(Exception):
                self._session.invalidate()
                self._session.close()
            self._session = None

    def _run(self, connection: Any, statement: str) -> Any:
        return connection.execute(self._shared.api.text(statement), {"key": self._key})

    def _change(self, connection: Any, held_by: str, /, **values: Any) -> bool:
        """Changes the row where it still has a holder; False where it hasn't."""
        table = self._table
        same = table.update().where(
            table.c.collection == self._collection, table.c.holder == held_by
        )
        return bool(connection.execute(same.values(**values)).rowcount == 1)

    def _row(self, connection: Any) -> Any:
        table = self._table
        return connection.execute(
            table.select().where(table.c.collection == self._collection)
        ).first()

    def _make_row(self, connection: Any) -> None:
        """Makes table and row; another process may do so at the same time."""
        if self._there:
            return
        self._metadata.create_all(connection)
        if self._row(connection) is None:
            with contextlib.suppress(self._shared.api.exc.IntegrityError):
                connection.execute(
                    self._table.insert().values(collection=self._collection, holder="", until=0.0)
                )
        self._there = True

    # The right

    def _take(self, connection: Any) -> bool:
        if self._postgresql:
            if not self._run(connection, "SELECT pg_try_advisory_lock(:key)").scalar():
                raise self._busy(self._row(connection).holder)
            died = self._row(connection).holder
            self._change(connection, died, holder=self._me, until=0.0)
            return bool(died)
        row, now = self._row(connection), time.time()
        if row.holder and row.until > now:
            raise self._busy(row.holder, row.until - now)
        seen = self._table.update().where(
            self._table.c.collection == self._collection,
            self._table.c.holder == row.holder,
            self._table.c.until == row.until,
        )
        if connection.execute(seen.values(holder=self._me, until=now + LEASE)).rowcount != 1:
            raise self._busy("")
        self._ending.clear()
        self._moving = threading.Thread(target=self._keep, daemon=True)
        self._moving.start()
        return bool(row.holder)

    def _busy(self, holder: str, left: float | None = None) -> CatalogBusy:
        who = holder.rpartition(",")[0] or "another process"
        end = f" (if it died, its right ends in {left:.0f} s)" if left is not None else ""
        return CatalogBusy(
            f"collection {self._collection} is being written to by {who}{end}; "
            "wait until it ends (searching is not blocked)"
        )

    def _has_lock(self, connection: Any) -> bool:
        return bool(
            self._run(
                connection,
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND pid = pg_backend_pid() AND objsubid = 1 "
                "AND ((classid::bigint << 32) | objid::bigint) = :key",
            ).scalar()
        )

    def _move(self, connection: Any) -> bool:
        return self._change(connection, self._me, until=time.time() + LEASE)

    def _keep(self) -> None:
        """Moves the end on while the holder works; a failure is found by `check`."""
        while not self._ending.wait(LEASE / 4):
            failures = self._shared.api.exc.SQLAlchemyError
            with contextlib.suppress(failures), self._connected() as connection:
                self._move(connection)


@functools.cache
def _opened(url: str) -> Shared:
    """One pool of connections in a process for all its collections."""
    return Shared(url, pool_pre_ping=True, pool_recycle=1800)
