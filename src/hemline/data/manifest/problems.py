"""The problems of a table, collected and raised as one error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.errors import DataError

#: Row numbers (n,), from 0.
Rows = npt.NDArray[np.int64]
_SHOWN = 20  # rows that are described, of each kind and in all


@dataclass
class Problems:
    """Collects problems by kind; `stop` raises them as one error."""

    where: str
    rows: int
    found: list[tuple[int, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)
    numbers: Rows | None = None

    def number(self, rows: int, skipped: Rows) -> None:
        """The table has ``rows`` rows, and those of the file at ``skipped`` are not in it."""
        self.rows = rows
        self.numbers = np.setdiff1d(np.arange(rows + len(skipped)), skipped)

    def place(self, row: int) -> int:
        """The row of the file, from 0, that is the table's ``row``."""
        return int(row if self.numbers is None else self.numbers[row])

    def add(self, what: str, rows: Any, tell: Callable[[int], str], of_file: bool = False) -> None:
        """Adds a problem of ``rows`` (from 0) of kind ``what``; ``tell(row)`` describes one row.

        They are rows of the table, or with ``of_file`` of the file.
        """
        if len(rows) == 0:
            return
        self.counts[what] = self.counts.get(what, 0) + len(rows)
        for row in rows[:_SHOWN]:
            place = int(row) if of_file else self.place(row)
            self.found.append((place, tell(int(row))))

    def stop(self) -> None:
        """Raises DataError if anything was found: one message with first rows and counts."""
        total = sum(self.counts.values()) + len(self.general)
        if total == 0:
            return
        shown = sorted(self.found)[:_SHOWN]
        lines = self.general + [f"row {row + 1}: {text}" for row, text in shown]
        hidden = sum(self.counts.values()) - len(shown)
        if hidden:
            counts = ", ".join(f"{n:,} {what}" for what, n in self.counts.items())
            lines.append(f"and {hidden:,} more; in all {counts}")
        if total == 1:
            raise DataError(f"{self.where}: {lines[0]}")
        head = f"{self.where}: {total:,} problems (rows count from 1, without the header)"
        raise DataError(f"{head}: {'; '.join(lines)}")
