"""Photos shared by links in a database that several services share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hemline.service.database.tables import Database
from hemline.service.photo_links import DAY, MOST, MOST_BYTES, PhotoLinks, no_photo, too_many

if TYPE_CHECKING:
    from sqlalchemy import Connection


class DatabasePhotoLinks(PhotoLinks):
    """`PhotoLinks` whose photos are in a database; each is kept for a day."""

    def __init__(
        self,
        database: Database,
        catalog: str,
        allowed: bool,
        *,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._catalog = database, catalog
        self._table = database.tables["photos"]
        self._begin(allowed, DAY, most, most_bytes, clock)

    def _store(self, name: str, data: bytes, encoded: bytes) -> None:
        table, size = self._table, len(data) + len(encoded)
        row = {"catalog": self._catalog, "id": name, "made": self._clock(), "size": size}

        def store(connection: Connection) -> None:
            mine = table.select().where(table.c.catalog == self._catalog)
            kept = {r.id: r.size for r in connection.execute(
                mine.with_only_columns(table.c.id, table.c.size)
            )}  # fmt: skip
            if name in kept:  # by a try before
                return
            if len(kept) >= self._most or sum(kept.values()) + size > self._most_bytes:
                raise too_many()
            connection.execute(table.insert().values(**row, jpeg=data, encoded=encoded))

        self.sweep()
        self._database.run(store)

    def get(self, name: str) -> bytes:
        return self._column(name, "jpeg")

    def encoded(self, name: str) -> bytes:
        return self._column(name, "encoded")

    def _column(self, name: str, column: str) -> bytes:
        self.check_allowed()
        table = self._table
        asked = table.select().with_only_columns(table.c[column]).where(
            table.c.catalog == self._catalog, table.c.id == name,
            table.c.made > self._clock() - self._seconds,
        )  # fmt: skip
        found = None
        if self.is_id(name):
            found = self._database.run(lambda connection: connection.execute(asked).scalar())
        if not found:
            raise no_photo()
        return bytes(found)

    def sweep(self) -> None:
        self._delete(self._table.c.made <= self._clock() - self._seconds)

    def _forget(self) -> None:
        self._delete(self._table.c.made >= 0)

    def _delete(self, which: object) -> None:
        gone = self._table.delete().where(self._table.c.catalog == self._catalog, which)
        self._database.run(lambda connection: connection.execute(gone))
