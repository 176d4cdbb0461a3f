"""The ledger of a chaos run: what each item may be, by what the service has acknowledged.

An acknowledged change leaves one possible state. A change without an answer (the process was
killed, the connection cut) leaves two: before and after. What is found later must be one of them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The picture's digest and the price of an item; None: there is no such item.
State = tuple[str, int] | None
Change = Callable[[State], State]


@dataclass
class Entry:
    """One item.

    Attributes:
        possible: the states that it may have.
        touched: how often a change of it has begun.
    """

    possible: set[State] = field(default_factory=lambda: {None})
    touched: int = 0


class Ledger:
    """What may be in the catalogue; each line is also appended to a file.

    Attributes:
        counts: of acknowledged, refused and unanswered changes, by kind, and of what became of the
            unanswered ones.
        failures: what was found and may not be.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._items: dict[str, Entry] = {}
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def begin(self, kind: str, item: str, change: Change) -> None:
        """Notes a change before it is sent: from now on both states are possible."""
        with self._lock:
            entry = self._items.setdefault(item, Entry())
            entry.touched += 1
            entry.possible |= {change(state) for state in entry.possible}
            self._write(kind, item, "begun")

    def acknowledged(self, kind: str, item: str, state: State) -> None:
        """Notes that a change of an item is stored, which leaves one state."""
        with self._lock:
            entry = self._items[item]
            if state not in entry.possible:
                self._fail(f"{kind} of {item} was answered with {state}, not {entry.possible}")
            entry.possible = {state}
            entry.touched += 1
            self.counts[f"{kind} acknowledged"] += 1
            self._write(kind, item, "acknowledged", state)

    def absent(self, kind: str, item: str) -> None:
        """Notes that the service says that there is no such item."""
        with self._lock:
            entry = self._items[item]
            if None not in entry.possible:
                self._fail(f"{kind} of {item}: it is gone, and was {entry.possible}")
            entry.possible = {None}
            self.counts[f"{kind} of an absent item"] += 1
            self._write(kind, item, "absent")

    def unanswered(self, kind: str, why: str) -> None:
        """Counts a change whose outcome isn't known yet."""
        with self._lock:
            self.counts[f"{kind} {why}"] += 1
            self._write(kind, "", why)

    def event(self, name: str, **more: Any) -> None:
        """Notes what was done to the service or its disk."""
        with self._lock:
            self.counts[name] += 1
            self._write("event", name, "", more or None)

    def fail(self, text: str) -> None:
        with self._lock:
            self._fail(text)

    def stable(self) -> dict[str, tuple[State, int]]:
        """item → its state and how often it was touched, of the items with one possible state."""
        with self._lock:
            return {
                item: (next(iter(entry.possible)), entry.touched)
                for item, entry in self._items.items()
                if len(entry.possible) == 1
            }

    def untouched(self, item: str, touched: int) -> bool:
        """Whether no change of an item has begun or ended since it was ``touched`` times."""
        with self._lock:
            return self._items[item].touched == touched

    def compare(self, found: Mapping[str, State], where: str) -> None:
        """Compares a whole catalogue that nobody writes to, and settles what was unanswered."""
        with self._lock:
            for item in found.keys() - self._items.keys():
                self._fail(f"{where}: {item} was never written")
            for item, entry in self._items.items():
                state = found.get(item)
                if state not in entry.possible:
                    self._fail(f"{where}: {item} is {state}, not one of {entry.possible}")
                elif len(entry.possible) > 1:
                    self.counts["unanswered changes settled"] += 1
                entry.possible = {state}
            self.counts["items compared"] += len(self._items)

    def _fail(self, text: str) -> None:
        if len(self.failures) < 200:
            self.failures.append(text)
        self.counts["FAILURES"] += 1
        self._write("FAILURE", "", text)

    def _write(self, kind: str, item: str, what: str, more: Any = None) -> None:
        line = [round(time.time(), 3), kind, item, what, *([] if more is None else [more])]
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
