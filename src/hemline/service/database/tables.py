"""The database of a service, by SQLAlchemy: tables, and transactions that are tried again.

Rows of a catalogue are told from others' by the name of its folder. A transaction may be repeated
after the connection was lost, so each leaves the same when it runs twice.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from hemline.errors import DatabaseError
from hemline.service.logs import log
from hemline.sql import Shared, line

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")
FORMAT = 1
_TRIES, _PAUSE = 4, 0.1  # seconds, doubled each time


@functools.cache
def database(url: str) -> Database:
    """The database at an address, opened once in a process.

    Raises:
        UsageError: SQLAlchemy or a driver isn't installed, or the address isn't one.
        DatabaseError: it can't be reached, or is of another version.
    """
    return Database(url)


class Database:
    """A pool of connections; may be used from several threads.

    Attributes:
        tables: name → SQLAlchemy's table: keys, searches, feedback, photos.
        shown: the address without its password.
    """

    def __init__(self, url: str, make: bool = True) -> None:
        """See `database`; unless ``make``, nothing is connected yet, and no table is made."""
        shared = Shared(url, pool_pre_ping=True, pool_recycle=1800)
        self._api, self._engine, self.shown = shared.api, shared.engine, shared.shown
        self._failing = False
        self._metadata = self._api.MetaData()
        self.tables = _tables(self._api, self._metadata)
        if make:
            self.run(self._create)

    def _create(self, connection: Connection) -> None:
        self._metadata.create_all(connection)
        meta = self.tables["meta"]
        found = connection.execute(meta.select()).scalar()
        if found is None:
            connection.execute(meta.insert().values(format=FORMAT))
        elif found != FORMAT:
            raise DatabaseError(
                f"{self.shown} is of format {found}, this hemline uses {FORMAT}; "
                "install the version that made it, or use another database"
            )

    def run(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` in a transaction; again where another one or a lost connection cut in.

        Raises:
            DatabaseError: it failed each time.
        """
        failures = self._api.exc.SQLAlchemyError
        for attempt in range(_TRIES):
            try:
                with self._engine.begin() as connection:
                    result = work(connection)
                self._failing = False
                return result
            except failures as error:
                if attempt == _TRIES - 1:
                    if not self._failing:
                        log("database failed", reason=line(error))
                    self._failing = True
                    raise DatabaseError(
                        f"the database {self.shown} can't be used: {line(error)}"
                    ) from error
            time.sleep(_PAUSE * 2**attempt)
        raise AssertionError

    def close(self) -> None:
        """Closes the connections that are idle."""
        self._engine.dispose()


def _tables(sa: Any, metadata: Any) -> dict[str, Any]:
    def table(name: str, keys: tuple[str, ...], *more: Any) -> Any:
        columns = [sa.Column(key, sa.Text, primary_key=True) for key in ("catalog", *keys)]
        return sa.Table(f"hemline_{name}", metadata, *columns, *more)

    number, text, data = sa.Double, sa.Text, sa.LargeBinary
    found = {
        "meta": sa.Table(
            "hemline_meta", metadata, sa.Column("format", sa.Integer, primary_key=True)
        ),
        "keys": table(
            "keys", ("id",), sa.Column("name", text), sa.Column("scope", text),
            sa.Column("digest", text), sa.Column("created", number), sa.Column("limits", text),
            sa.Column("revoked", number),
        ),
        "searches": table(
            "searches", ("id",), sa.Column("time", number), sa.Column("request", text),
            sa.Column("hits", text), sa.Column("timings", text), sa.Column("photo", data),
            sa.Column("photo_until", number),
        ),
        "feedback": table(
            "feedback", ("search", "item"), sa.Column("correct", sa.Boolean),
            sa.Column("time", number),
        ),
        "photos": table(
            "photos", ("id",), sa.Column("made", number), sa.Column("size", sa.Integer),
            sa.Column("jpeg", data), sa.Column("encoded", data),
        ),
    }  # fmt: skip
    searches, photos = found["searches"], found["photos"]
    sa.Index("hemline_searches_time", searches.c.catalog, searches.c.time)
    sa.Index("hemline_searches_until", searches.c.catalog, searches.c.photo_until)
    sa.Index("hemline_photos_made", photos.c.catalog, photos.c.made)
    return found
