"""The columns of the catalogue in memory, so that a condition is worked out for all rows at once.

Rows stand in slots, in the order of their ids, as the index has them. A commit's rows first wait in
a small list, where the plain row test judges them, and are put into the columns together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.column import TRUE, UNKNOWN, Coded, Numbers, Slots, Truths, column_for
from hemline.catalog.index.tags import Tags
from hemline.catalog.where.conditions import And, Node, Not, Or
from hemline.catalog.where.expression import Where

_WAITING = 512


class Columns:
    """Every column, and the tags, of the slots up to ``length``."""

    def __init__(self, columns: dict[str, Numbers | Coded], tags: Tags, length: int) -> None:
        self.columns = columns
        self.tags = tags
        self.length = length
        self.revision = 0
        self._waiting: dict[int, Mapping[str, Any]] = {}

    @classmethod
    def empty(cls) -> Columns:
        return cls({}, Tags.empty(0), 0)

    def put(self, slots: Slots, rows: list[dict[str, Any]]) -> None:
        """Notes rows (`Row.values`) of ``slots``, which rise; known ones are replaced."""
        self._waiting.update(zip(slots.tolist(), rows, strict=True))
        if len(self._waiting) > _WAITING:
            self.settle()

    @property
    def waits(self) -> bool:
        """Whether some rows aren't in the columns yet."""
        return bool(self._waiting)

    def settle(self) -> None:
        """Puts what waits into the columns."""
        if not self._waiting:
            return
        slots = np.fromiter(self._waiting, np.int64, len(self._waiting))
        rows = list(self._waiting.values())
        self._waiting = {}
        self.length = max(self.length, int(slots.max()) + 1)
        self.tags.resize(self.length)
        self.tags.put(slots, [row["tags"] for row in rows])
        names = set(self.columns).union(*rows) - {"tags"}
        for name in names:
            self._put(name, slots, [row.get(name) for row in rows])

    def _put(self, name: str, slots: Slots, values: list[Any]) -> None:
        column = self.columns.get(name)
        if column is None:
            column = column_for(values, 0)
        elif isinstance(column, Numbers) and not column.takes(values):
            before = column.at(np.arange(len(column.array)))
            column = column_for([*before, *values], 0)
            column.resize(len(before))
            column.put(np.arange(len(before)), before)
        column.resize(self.length)
        column.put(slots, values)
        self.columns[name] = column

    def picked(self, slots: Slots) -> Columns:
        """The columns of ``slots`` (n,) alone; settled."""
        self.length = max(self.length, int(slots.max(initial=-1)) + 1)
        self.tags.resize(self.length)
        for column in self.columns.values():
            column.resize(self.length)
        columns = {name: column.picked(slots) for name, column in self.columns.items()}
        picked = Columns(columns, self.tags.picked(slots), len(slots))
        picked.revision = self.revision
        return picked

    def rows(self, slots: Slots) -> list[dict[str, Any]]:
        """What is known of ``slots`` (n,), without what is none; settled."""
        owners, codes = self.tags.pairs(slots)
        tags: list[list[str]] = [[] for _ in slots]
        for place, code in zip(owners.tolist(), codes.tolist(), strict=True):
            tags[place].append(self.tags.names[code])
        rows: list[dict[str, Any]] = [{"tags": own} for own in tags]
        for name, column in self.columns.items():
            for row, value in zip(rows, column.at(slots), strict=True):
                if value is not None:
                    row[name] = value
        return rows

    def mask(self, where: Where, length: int) -> npt.NDArray[np.bool_]:
        """Of which of the slots up to ``length`` a condition is true."""
        found = np.zeros(length, bool)
        found[: self.length] = self._truths(where.tree) == TRUE
        for slot, row in self._waiting.items():
            found[slot] = where.matches(row)
        return found

    def _truths(self, node: Node) -> Truths:
        if isinstance(node, Not):
            return np.asarray(2 - self._truths(node.inner), np.uint8)
        if isinstance(node, And | Or):
            join = np.minimum if isinstance(node, And) else np.maximum
            found = self._truths(node.parts[0]).copy()
            for part in node.parts[1:]:
                join(found, self._truths(part), out=found)
            return found
        if node.column == "tags":
            return self.tags.truths(node)
        column = self.columns.get(node.column)
        if column is None:  # a column that no row has
            said = node.of(None)
            value = UNKNOWN if said is None else 2 * int(said)
            return np.full(self.length, value, np.uint8)
        return column.truths(node)
