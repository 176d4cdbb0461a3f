"""Keys in a database: those made by one process are valid in all at once, and so are revocations.

Nothing is kept in memory: each request with a key asks the database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hemline.errors import DatabaseError
from hemline.service.database.tables import Database
from hemline.service.keys import Key, check_key, make_key, revoked_key

if TYPE_CHECKING:
    from sqlalchemy import Connection


class DatabaseKeys:
    """The `KeyStore` of a catalogue in a database."""

    remote = True

    def __init__(self, database: Database, catalog: str) -> None:
        self._database, self._catalog = database, catalog
        self._table = database.tables["keys"]
        self._required = False

    @property
    def required(self) -> bool:
        """See `KeyStore.required`."""
        if not self._required:
            try:
                self._required = bool(self._database.run(self._found))
            except DatabaseError:
                return True
        return self._required

    def create(
        self, scope: str, name: str = "", limits: Mapping[str, float] | None = None
    ) -> tuple[str, Key]:
        """See `KeyStore.create`."""
        text, key = make_key(scope, name, limits, {one.id for one in self.list()})

        def store(connection: Connection) -> None:
            known = self._found(connection, key.id).get(key.id)
            if known is None or known.digest != key.digest:  # not stored by a try before
                row: dict[str, Any] = {
                    "id": key.id,
                    "name": key.name,
                    "scope": key.scope,
                    "digest": key.digest,
                }
                row |= {"created": key.created, "limits": json.dumps(dict(key.limits))}
                connection.execute(self._table.insert().values(catalog=self._catalog, **row))

        self._database.run(store)
        return text, key

    def revoke(self, key_id: str) -> Key:
        """See `KeyStore.revoke`."""
        revoked = revoked_key({key.id: key for key in self.list()}, key_id)
        changed = self._table.update().where(
            self._table.c.catalog == self._catalog, self._table.c.id == key_id
        )
        self._database.run(lambda connection: connection.execute(
            changed.values(digest="", revoked=revoked.revoked)
        ))  # fmt: skip
        return revoked

    def list(self) -> tuple[Key, ...]:
        """See `KeyStore.list`."""
        keys = self._database.run(self._found).values()
        return tuple(sorted(keys, key=lambda key: key.created))

    def verify(self, text: str) -> Key | None:
        """See `KeyStore.verify`.

        Raises:
            DatabaseError: the database can't be used.
        """
        return check_key(text, lambda id_: self._database.run(
            lambda connection: self._found(connection, id_).get(id_)
        ))  # fmt: skip

    def reset(self) -> int:
        """Deletes all keys; gives the number of those that were valid."""
        valid = sum(key.revoked is None for key in self.list())
        gone = self._table.delete().where(self._table.c.catalog == self._catalog)
        self._database.run(lambda connection: connection.execute(gone))
        return valid

    def _found(self, connection: Connection, key_id: str | None = None) -> dict[str, Key]:
        """id → key, of one key or all."""
        table = self._table
        asked: Any = table.select().where(table.c.catalog == self._catalog)
        if key_id is not None:
            asked = asked.where(table.c.id == key_id)
        return {
            row.id: Key(
                row.id, row.name, row.scope, row.digest, row.created, json.loads(row.limits),
                row.revoked,
            )
            for row in connection.execute(asked)
        }  # fmt: skip
