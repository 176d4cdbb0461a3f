"""The journal of searches and feedback in a database that several services share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hemline.errors import DatabaseError
from hemline.service.database.tables import Database
from hemline.service.journal import KEPT, SECONDS, Journal, Search, to_json
from hemline.service.problems import unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")
_DAY = 86400.0


class DatabaseJournal(Journal):
    """A `Journal` whose searches and feedback are in a database."""

    def __init__(self, database: Database, catalog: str, kept: int = KEPT, days: int = 0) -> None:
        self._database, self._catalog = database, catalog
        self._searches, self._feedbacks = (database.tables[n] for n in ("searches", "feedback"))
        super().__init__(Path(), kept, days)

    def _hits(self, search_id: str) -> str | None:
        table = self._searches

        def find(connection: Connection) -> str | None:
            found = connection.execute(self._mine(table).where(table.c.id == search_id)).first()
            return None if found is None else str(found.hits)

        found = self._do(find)
        if found is None:  # another process may be about to write it
            time.sleep(1.2 * SECONDS)
            found = self._do(find)
        return found

    def _judge(self, search_id: str, item: str, right: bool | None) -> None:
        table, name = self._feedbacks, json.dumps(item)

        def store(connection: Connection) -> None:
            connection.execute(
                table.delete().where(
                    table.c.catalog == self._catalog, table.c.search == search_id,
                    table.c.item == name,
                )
            )  # fmt: skip
            if right is not None:
                connection.execute(
                    table.insert().values(
                        catalog=self._catalog, search=search_id, item=name, correct=right,
                        time=time.time(),
                    )
                )  # fmt: skip

        self._do(store)
        self.problem = ""

    def _recent(self, count: int) -> list[tuple[Any, ...]]:
        table = self._searches
        asked = self._mine(table).order_by(table.c.time.desc()).limit(count)
        return self._do(
            lambda connection: [
                (row.time, row.request, row.timings, row.hits) for row in connection.execute(asked)
            ]
        )

    def _judged(self) -> dict[int, int]:
        found: dict[int, int] = {0: 0, 1: 0}
        for _, feedback in self._feedback():
            for right in json.loads(feedback).values():
                found[right] += 1
        return found

    def _feedback_stored(self) -> list[tuple[str, str]]:
        table = self._feedbacks
        asked = self._mine(table).order_by(table.c.search, table.c.time, table.c.item)
        rows = self._do(lambda connection: list(connection.execute(asked)))
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            found.setdefault(row.search, {})[json.loads(row.item)] = int(row.correct)
        return [(search, json.dumps(feedback)) for search, feedback in found.items()]

    def _search(self, search_id: str) -> tuple[Any, ...] | None:
        table = self._searches

        def find(connection: Connection) -> tuple[Any, ...] | None:
            row = connection.execute(self._mine(table).where(table.c.id == search_id)).first()
            return None if row is None else (row.request, row.hits, row.photo, row.time)

        return self._do(find)

    def _store(self, searches: Sequence[Search]) -> None:
        table, days = self._searches, self._days
        rows = [
            {
                "catalog": self._catalog, "id": s.id, "time": s.time,
                "request": to_json(dict(s.request)), "hits": to_json(s.hits),
                "timings": to_json(dict(s.timings_ms)), "photo": s.photo,
                "photo_until": s.time + days * _DAY if s.photo is not None and days else None,
            }
            for s in searches
        ]  # fmt: skip

        def store(connection: Connection) -> None:
            ids = [row["id"] for row in rows]
            asked = self._mine(table).with_only_columns(table.c.id).where(table.c.id.in_(ids))
            there = {row.id for row in connection.execute(asked)}  # by a try before
            new = [row for row in rows if row["id"] not in there]
            if new:
                connection.execute(table.insert(), new)

        self._do(store)
        self.problem = ""

    def prune(self) -> None:
        table, judged = self._searches, self._feedbacks
        newest = self._mine(table).with_only_columns(table.c.time)
        newest = newest.order_by(table.c.time.desc()).offset(self._kept).limit(1)
        kept = self._mine(judged).with_only_columns(judged.c.search)

        def delete(connection: Connection) -> None:
            last = connection.execute(newest).scalar()
            if last is not None:
                connection.execute(
                    table.delete().where(
                        table.c.catalog == self._catalog, table.c.time <= last,
                        table.c.id.not_in(kept),
                    )
                )  # fmt: skip

        self._do(delete)

    def expire(self) -> None:
        table = self._searches
        over = table.update().where(
            table.c.catalog == self._catalog, table.c.photo_until <= time.time()
        )
        self._do(lambda connection: connection.execute(over.values(photo=None, photo_until=None)))

    def _release(self) -> None:
        pass

    def _mine(self, table: Any) -> Any:
        return table.select().where(table.c.catalog == self._catalog)

    def _do(self, work: Callable[[Connection], T]) -> T:
        """
        Raises:
            Problem: 503, the database can't be used.
        """
        try:
            return self._database.run(work)
        except DatabaseError as error:
            self.problem = "the database can't be used"
            raise unavailable(error, "the journal of searches can't be used now") from None
