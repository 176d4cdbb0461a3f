"""The rows of the database: their texts, their checksums, and how they become a `Row`.

A checksum is the CRC-32 of a row's texts, plus a multiple of its id. So a row that moves only gets
the difference added, and damage moves with it, still to be seen.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import zlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from hemline.catalog.store import Row
from hemline.text import text_problem
from hemline.types import FloatArray

_STEP = 0x9E3779B1  # odd, so that every bit of an id counts
_MASK = 0xFFFFFFFF
_READ = 4096  # rows read at a time
_decode = json.JSONDecoder().raw_decode
_TEXTS = "image_id, item_id, domain, category, tags, columns, source, picture"

_LISTED = "IN (SELECT value FROM json_each(?))"
#: Conditions of `select`: one of the values of a JSON list. Each has its index; SQLite finds none
#: for a column of ``items``, which is joined on the left.
WITH = {
    "id": f"WHERE id {_LISTED}",
    "image_id": f"WHERE image_id {_LISTED}",
    "item_id": f"WHERE item IN (SELECT number FROM items WHERE item_id {_LISTED})",
}


class Damaged(Exception):
    """Content of the database that isn't what was written; `catalog_errors` adds the file."""


@functools.cache
def select(summed: bool, table: str = "pictures") -> str:
    """The query of rows for `to_row`: id, texts, and the checksum where the database has it."""
    return (
        f"SELECT id, {_TEXTS}, {'checksum' if summed else 'NULL'} "
        f"FROM {table} LEFT JOIN items ON number = item"
    )


def texts(row: Row) -> tuple[str, ...]:
    """What the database stores of a row, in the order of `select`."""
    return (
        row.image_id, row.item_id, row.domain, row.category, tags_text(row), columns_text(row),
        row.source, row.image_digest,
    )  # fmt: skip


def checksum(id_: int, values: Sequence[str]) -> int:
    """The checksum of a row from its id and its `texts`."""
    return (zlib.crc32("\0".join(values).encode()) + id_ * _STEP) & _MASK


def moved(old: int, new: int) -> int:
    """What is added to a checksum (modulo 2³²) where a row moves from id ``old`` to ``new``."""
    return (new - old) * _STEP & _MASK


def verify(values: Sequence[Any], summed: bool) -> None:
    """Verifies the checksum of a row of `select`.

    Raises:
        Damaged: it is wrong, or the row has lost its item.
    """
    if not summed:
        if values[2] is None:
            raise Damaged(_words(values, "it has lost its item"))
        return
    try:  # `checksum`, without the call
        found = zlib.crc32("\0".join(values[1:9]).encode()) + values[0] * _STEP
        intact = found & _MASK == values[9]
    except (TypeError, ValueError):  # a text has become a number, a blob or NULL
        intact = False
    if not intact:
        raise Damaged(_words(values, "its content isn't that of its checksum"))


def to_row(values: Sequence[Any], embedding: FloatArray, norm: float, summed: bool) -> Row:
    """The row of the columns of `select`.

    Raises:
        Damaged: its checksum is wrong, or its tags or columns can't be read.
    """
    verify(values, summed)
    _, image_id, item_id, domain, category, _, _, source, image_digest, _ = values
    tags, columns = _parsed(values)
    return Row(
        image_id=image_id,
        item_id=item_id,
        embedding=embedding,
        norm=norm,
        domain=domain,
        category=category,
        tags=tuple(tags),
        columns=columns,
        source=source,
        image_digest=image_digest,
    )


def row_values(values: Sequence[Any], summed: bool) -> dict[str, Any]:
    """`Row.values` from the columns of `select`. Raises as `to_row`."""
    verify(values, summed)
    tags, columns = _parsed(values)
    own = {"image_id": values[1], "item_id": values[2], "category": values[4], "tags": tags}
    return {**columns, **own}


def _parsed(values: Sequence[Any]) -> tuple[list[str], dict[str, Any]]:
    """Tags and columns of a row of `select`."""
    try:
        tags, columns = _json(values[5]), _json(values[6])
        if not isinstance(tags, list) or not isinstance(columns, dict):
            raise ValueError("tags are a list, columns an object")
    except (TypeError, ValueError, RecursionError) as error:
        raise Damaged(_words(values, f"its tags or columns can't be read ({error})")) from None
    return tags, columns


def _json(text: str) -> Any:
    """`json.loads`, in half of its time for a text as `texts` writes it."""
    if text in ("[]", "{}"):
        return [] if text == "[]" else {}
    try:
        value, end = _decode(text)
    except (TypeError, ValueError):
        end = -1
    return value if end == len(text) else json.loads(text)


def read(
    db: sqlite3.Connection,
    summed: bool,
    condition: str,
    asked: Sequence[Any] = (),
    table: str = "pictures",
    name: bool = True,
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of `select` that meet ``condition``, some at a time.

    Raises:
        Damaged: a text isn't UTF-8; the words ``name`` the row.
    """
    try:
        sql = f"{select(summed, table)} {condition}"
        # Closed, since a statement that failed may keep its snapshot (so in Python 3.12).
        with contextlib.closing(db.execute(sql, asked)) as cursor:
            while found := cursor.fetchmany(_READ):
                yield found
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):  # SQLite's own; that of a text is Python's
            raise
        if not name:
            raise Damaged(str(error)) from None
        with contextlib.closing(damaged(db, summed, condition, asked, table)) as others:
            for _, text in others:
                raise Damaged(text) from None
        raise


def damaged(
    db: sqlite3.Connection,
    summed: bool,
    condition: str = "",
    asked: Sequence[Any] = (),
    table: str = "pictures",
) -> Generator[tuple[str, str], None, None]:
    """(image_id, what is wrong) of the damaged rows that meet ``condition``.

    Texts are read as bytes, so that a row with invalid UTF-8 is named like any other.
    """
    none: Any = None
    if summed:  # where no checksum is wrong, nothing has to be read as bytes
        with contextlib.suppress(Damaged):
            for some in read(db, summed, condition, asked, table, name=False):
                for values in some:
                    verify(values, summed)
            return
    db.text_factory = bytes
    cursor = db.cursor()
    try:
        cursor.execute(f"{select(summed, table)} {condition}", asked)
        while found := cursor.fetchmany(_READ):
            for values in found:
                try:
                    decoded = [v.decode() if isinstance(v, bytes) else v for v in values]
                    to_row(decoded, none, 0.0, summed)
                except UnicodeDecodeError as error:
                    yield _shown(values[1]), _words(values, f"it isn't UTF-8 ({error.reason})")
                except Damaged as error:
                    yield _shown(values[1]), str(error)
    finally:
        cursor.close()
        db.text_factory = str


def _words(values: Sequence[Any], wrong: str) -> str:
    """One line that names a row of `select`."""
    return (
        f"the row of image {_shown(values[1])} (item {_shown(values[2])}, table pictures, "
        f"id {values[0]}) is damaged: {wrong}; add the item again or remove it, or restore a backup"
    )


def _shown(value: Any) -> str:
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return repr(text[:80])


def tags_text(row: Row) -> str:
    """The JSON of the column ``tags``."""
    return json.dumps(list(row.tags), ensure_ascii=False) if row.tags else "[]"


def columns_text(row: Row) -> str:
    """The JSON of the column ``columns``."""
    return json.dumps(dict(row.columns), ensure_ascii=False) if row.columns else "{}"


def json_list(values: Sequence[Any]) -> str:
    """Values as the parameter of ``IN (SELECT value FROM json_each(?))``.

    Texts with NUL, which ``json_each`` would cut, and such that aren't UTF-8 are left out.
    """
    kept = [value for value in values if not (isinstance(value, str) and text_problem(value))]
    return json.dumps(kept, ensure_ascii=False)
