"""Checks of the database that several services share: reached, its version, its tables, rights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hemline.service.database.keys import DatabaseKeys
from hemline.service.database.tables import FORMAT, Database
from hemline.service.doctor.finding import Finding, failure, fine, warning
from hemline.service.keys import Key
from hemline.service.settings import Settings, name_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHECK = "shared"
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_SLOW = 100.0  # milliseconds of one question; each request with a key asks one


def database(settings: Settings) -> Iterator[Finding]:
    """Whether it answers, has the tables of this version, and lets them be read and written.

    Raises:
        UsageError, DatabaseError: it can't be opened.
    """
    opened = Database(settings.database, make=False)
    try:
        yield from _examined(opened)
    finally:
        opened.close()


def _examined(opened: Database) -> Iterator[Finding]:
    opened.run(lambda connection: None)  # connects
    begun = time.perf_counter()
    opened.run(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
    took = 1000 * (time.perf_counter() - begun)
    there, version, rights = opened.run(lambda connection: _state(opened, connection))
    found = f"{opened.shown}: {version}, {took:.1f} ms for a question"
    if took > _SLOW:
        advice = "each request with a key asks it: put it nearer to the services"
        yield warning(CHECK, found, advice)
    else:
        yield fine(CHECK, found)
    lacking = sorted({table.name for table in opened.tables.values()} - there)
    if rights:
        advice = "grant them to the service's user, or make that the tables' owner"
        yield failure(CHECK, f"the user has no right: {', '.join(rights)}", advice)
    elif len(lacking) == len(opened.tables):
        advice = "the first 'hemline serve' or 'hemline key create' with this database makes them"
        yield warning(CHECK, "it has no tables of hemline yet", advice)
    elif lacking:
        advice = "start a service of this version, which makes them"
        yield warning(CHECK, f"it lacks {', '.join(lacking)}", advice)
    else:
        yield from _format(opened)


def _state(opened: Database, connection: Connection) -> tuple[set[str], str, list[str]]:
    """(tables that are there, the server's name and version, rights that the user lacks)."""
    import sqlalchemy

    there = set(sqlalchemy.inspect(connection).get_table_names())
    dialect: Any = connection.dialect
    numbers = ".".join(str(n) for n in dialect.server_version_info or ())
    version = f"{dialect.name} {numbers}".strip()
    if dialect.name != "postgresql":
        return there, version, []

    def may(sql: str) -> bool:
        return bool(connection.exec_driver_sql(f"SELECT {sql}").scalar())

    mine = [table.name for table in opened.tables.values() if table.name in there]
    lacking = [
        f"{right} on {name}"
        for name in mine
        for right in _RIGHTS
        if not may(f"has_table_privilege('{name}', '{right}')")
    ]
    if len(mine) < len(opened.tables) and not may(
        "has_schema_privilege(current_schema(), 'CREATE')"
    ):
        lacking.append("CREATE on the schema")
    return there, version, lacking


def _format(opened: Database) -> Iterator[Finding]:
    meta = opened.tables["meta"]
    number = opened.run(lambda connection: connection.execute(meta.select()).scalar())
    if number not in (None, FORMAT):
        advice = "install the version that made it, or use another database"
        found = f"its tables are of format {number}, this hemline uses {FORMAT}"
        yield failure(CHECK, found, advice)
    else:
        yield fine(CHECK, f"{len(opened.tables)} tables of format {FORMAT}")


def keys(settings: Settings) -> list[Key]:
    """All keys of the catalogue, revoked ones too; none where there are no tables yet.

    Raises:
        UsageError, DatabaseError: it can't be asked.
    """
    opened = Database(settings.database, make=False)
    try:
        if "hemline_keys" not in opened.run(lambda connection: _state(opened, connection)[0]):
            return []
        return list(DatabaseKeys(opened, name_of(settings.catalog)).list())
    finally:
        opened.close()


def photos(settings: Settings) -> Iterator[Finding]:
    """Query photos that the services have kept, and feedback.

    Raises:
        UsageError, DatabaseError: it can't be asked.
    """
    opened = Database(settings.database, make=False)
    try:
        there = opened.run(lambda connection: _state(opened, connection)[0])
        if not {"hemline_searches", "hemline_feedback"} <= there:
            yield fine("photos", "none is kept")
            return
        kept, judged = opened.run(lambda connection: _counts(opened, connection, settings))
        yield fine("photos", f"{kept or 'none'} kept in the database; feedback on {judged} hits")
    finally:
        opened.close()


def _counts(opened: Database, connection: Connection, settings: Settings) -> tuple[int, int]:
    """(searches with a photo, hits with feedback) of the catalogue."""
    import sqlalchemy as sa

    found = []
    for name in ("searches", "feedback"):
        table: Any = opened.tables[name]
        asked = sa.select(sa.func.count()).where(table.c.catalog == name_of(settings.catalog))
        if name == "searches":
            asked = asked.where(table.c.photo.is_not(None))
        found.append(int(connection.execute(asked).scalar() or 0))
    return found[0], found[1]
