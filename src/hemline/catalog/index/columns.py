"""The columns of the catalogue in memory, on which a condition is evaluated for all rows at once.

Rows have the slots of the index. New rows are kept in a small buffer, where a condition is tested
row by row, and are put into the columns together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.budget import check_time, polled
from hemline.catalog.index.column import (
    TRUE,
    UNKNOWN,
    CodedColumn,
    NumberColumn,
    Slots,
    Truths,
    column_for,
)
from hemline.catalog.index.members import SlotLog
from hemline.catalog.index.tags import Tags
from hemline.catalog.where.conditions import And, Node, Not, Or
from hemline.catalog.where.expression import Where

_MAX_PENDING = 512


class Columns:
    """All columns, and the tags, of the slots below ``length``.

    Attributes:
        changes: the slots that were `put`.
    """

    def __init__(
        self, columns: dict[str, NumberColumn | CodedColumn], tags: Tags, length: int
    ) -> None:
        self.columns = columns
        self.tags = tags
        self.length = length
        self.revision = 0
        self._pending: dict[int, Mapping[str, Any]] = {}
        self.changes = SlotLog()

    @classmethod
    def empty(cls) -> Columns:
        return cls({}, Tags.empty(0), 0)

    def put(self, slots: Slots, rows: list[dict[str, Any]]) -> None:
        """Adds or replaces the rows (`Row.values`) of ``slots``, ascending."""
        self.changes.append(slots)
        self._pending.update(zip(slots.tolist(), rows, strict=True))
        if len(self._pending) > _MAX_PENDING:
            self.flush()

    @property
    def has_pending(self) -> bool:
        """Whether rows are in the buffer."""
        return bool(self._pending)

    def flush(self) -> None:
        """Puts the rows of the buffer into the columns."""
        if not self._pending:
            return
        slots = np.fromiter(self._pending, np.int64, len(self._pending))
        rows = list(self._pending.values())
        self._pending = {}
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
        elif isinstance(column, NumberColumn) and not column.accepts(values):
            before = column.at(np.arange(len(column.array)))
            column = column_for([*before, *values], 0)
            column.resize(len(before))
            column.put(np.arange(len(before)), before)
        column.resize(self.length)
        column.put(slots, values)
        self.columns[name] = column

    def keep(self, names: Collection[str]) -> None:
        """Drops the columns with other names, which no row has any more."""
        self.columns = {name: column for name, column in self.columns.items() if name in names}
        self.changes.forget()

    def take(self, slots: Slots) -> Columns:
        """The columns of ``slots`` (n,) only, after `flush`; without those that have no value."""
        self.length = max(self.length, int(slots.max(initial=-1)) + 1)
        self.tags.resize(self.length)
        for column in self.columns.values():
            column.resize(self.length)
        chosen = ((name, column.take(slots)) for name, column in self.columns.items())
        columns = {name: column for name, column in chosen if column.has_values}
        taken = Columns(columns, self.tags.take(slots), len(slots))
        taken.revision = self.revision
        return taken

    def rows(self, slots: Slots) -> list[dict[str, Any]]:
        """The rows of ``slots`` (n,) without values of None, after `flush`."""
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
        """Which of the slots below ``length`` meet a condition.

        Raises:
            CostError: it would cost too much.
            TimeLimitError: the present query's time is over.
        """
        where.check_cost(length)
        found = np.zeros(length, bool)
        found[: self.length] = self._truths(where.tree) == TRUE
        for slot, row in polled(self._pending.items(), 16):
            found[slot] = where.matches(row)
        return found

    def meet(self, where: Where, slots: Slots) -> npt.NDArray[np.bool_]:
        """Which of ``slots`` (n,), ascending, meet a condition: `mask`, row by row.

        Raises:
            TimeLimitError: the present query's time is over.
        """
        known = [slot for slot in slots.tolist() if slot not in self._pending]
        rows = dict(zip(known, self.rows(np.array(known, np.int64)), strict=True))
        found = (where.matches(self._pending.get(slot) or rows[slot]) for slot in slots.tolist())
        return np.fromiter(polled(found, 16), bool, len(slots))

    def _truths(self, node: Node) -> Truths:
        if isinstance(node, Not):
            return np.asarray(2 - self._truths(node.inner), np.uint8)
        if isinstance(node, And | Or):
            join = np.minimum if isinstance(node, And) else np.maximum
            found = self._truths(node.parts[0]).copy()
            for part in node.parts[1:]:
                join(found, self._truths(part), out=found)
            return found
        check_time()
        if node.column == "tags":
            return self.tags.evaluate(node)
        column = self.columns.get(node.column)
        if column is None:  # no row has this column
            truth = node.test(None)
            value = UNKNOWN if truth is None else 2 * int(truth)
            return np.full(self.length, value, np.uint8)
        return column.evaluate(node)
