"""What a process keeps in memory of a catalogue on Milvus: all but the vectors.

Milvus can't evaluate a condition as `hemline.catalog.where` defines it, count items, or list them
in order. So the columns of all rows are in memory, as in the embedded store, and Milvus is asked
for vectors and rows. Memory grows with the rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.columns import Columns
from hemline.catalog.index.growing import GrowingArray
from hemline.catalog.index.index import Index
from hemline.catalog.index.members import Mask
from hemline.catalog.milvus.rows import key
from hemline.catalog.segments import Segments
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Counts, Ids, ItemPage, Row
from hemline.catalog.where.expression import Where


class Entry(NamedTuple):
    """A visible row: the id of its entity, of its vector, and the row without its vector."""

    id: int
    vector_id: int
    row: Row


class Mirror:
    """The rows of one revision, by slots that ascend with their vectors' ids.

    Attributes:
        index: slots with their vector ids, items and columns.
        revision: of the last commit in the log.
        commits: number of commits.
        next_id: where the next commit's ids may begin.
        next_vector: where its vectors' ids may begin.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self.revision, self.commits, self.next_id, self.next_vector = -1, 0, 1, 1
        self.index = Index(dim, Segments(Path(), dim, 1), StoreSettings())
        self.index.columns = Columns.empty()
        self._entities = GrowingArray(np.zeros(0, np.int64))
        self._keys = GrowingArray(np.zeros(0, np.int64))
        self._written = GrowingArray(np.zeros(0, np.int64))
        self._numbers: dict[str, int] = {}
        self._names = [""]
        self._columns: set[str] = set()
        self._order: list[str] | None = None
        self._sorted: Ids | None = None

    # Changing

    def apply(self, entries: Sequence[Entry], removed: Collection[int], commits: int) -> None:
        """Applies a commit: ``removed`` ids of entities, then the rows ``entries``."""
        self._sorted = None
        kept = {entry.vector_id for entry in entries}
        gone = np.flatnonzero(np.isin(self._entities.data, np.array(sorted(removed), np.int64)))
        gone = gone[self.index.alive.data[gone]]
        vector_ids = self.index.ids.data[gone]
        self.index.remove(vector_ids[~np.isin(vector_ids, sorted(kept))])
        self._put(sorted(entries, key=lambda entry: entry.vector_id), commits)
        self.commits = commits
        self.index.revision = commits
        assert self.index.columns is not None
        self.index.columns.revision = commits
        if self.index.many_removed:
            self._drop_removed()

    def _put(self, entries: Sequence[Entry], commits: int) -> None:
        if not entries:
            return
        vector_ids = np.array([entry.vector_id for entry in entries], np.int64)
        items = np.array([self._number(entry.row.item_id) for entry in entries], np.int64)
        new = self.index.slots(vector_ids) < 0
        self.index.append(vector_ids[new], items[new])
        slots = self.index.slots(vector_ids)
        for array in (self._entities, self._keys, self._written):
            array.resize(len(self.index), 0)
        self.index.items.data[slots] = items
        self._entities.data[slots] = [entry.id for entry in entries]
        self._keys.data[slots] = [key(entry.row.image_id) for entry in entries]
        self._written.data[slots] = commits
        columns = self.index.columns
        assert columns is not None
        columns.put(slots, [entry.row.values() for entry in entries])
        self._columns.update(*(entry.row.columns for entry in entries))

    def _number(self, item_id: str) -> int:
        number = self._numbers.get(item_id)
        if number is None:
            number = self._numbers[item_id] = len(self._names)
            self._names.append(item_id)
            self._order = None
        return number

    def _drop_removed(self) -> None:
        slots = np.flatnonzero(self.index.alive.data)
        self.flush()
        self.index = self.index.without_removed()
        for name in ("_entities", "_keys", "_written"):
            setattr(self, name, GrowingArray(getattr(self, name).data[slots]))

    def places(self, entities: Ids) -> Ids:
        """Where entities (n,) stand among all visible ones, in the order of their writing."""
        known = self._sorted  # another thread may do the same
        if known is None:
            alive = self.index.alive.data
            known = self._sorted = np.sort(self._entities.data[alive], kind="stable")
        return np.searchsorted(known, entities)

    def flush(self) -> None:
        """Puts rows that wait into the columns, which counting needs."""
        assert self.index.columns is not None
        self.index.columns.flush()

    # Reading

    def mask(self, where: Where | None) -> Mask:
        """A copy of which slots meet a condition."""
        return self.index.mask(where).copy()

    def entities(self, slots: Ids) -> Ids:
        """The ids of the entities of slots (n,)."""
        return np.asarray(self._entities.data[slots], np.int64)

    def slots_of(self, ids: Ids) -> Ids:
        """The slots of vector ids (n,), -1 for a removed row."""
        slots = self.index.slots(np.asarray(ids, np.int64))
        if not len(self.index):
            return slots
        return np.where((slots >= 0) & self.index.alive.data[slots], slots, -1)

    def of_images(self, image_ids: Iterable[str]) -> Ids:
        """The slots that images may have: those of equal `key`."""
        keys = np.array([key(image_id) for image_id in image_ids], np.int64)
        return np.flatnonzero(np.isin(self._keys.data, keys) & self.index.alive.data)

    def of_items(self, item_ids: Iterable[str]) -> Ids:
        """The slots of items."""
        numbers = [self._numbers[i] for i in item_ids if i in self._numbers]
        return np.flatnonzero(np.isin(self.index.items.data, numbers) & self.index.alive.data)

    def item_names(self, slots: Ids) -> list[str]:
        """The item_ids of slots (n,)."""
        return [self._names[number] for number in self.index.items.data[slots].tolist()]

    def since(self, revision: int) -> Ids:
        """The slots written after a revision."""
        return np.flatnonzero((self._written.data > revision) & self.index.alive.data)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(sorted(self._columns))

    def counts(self, slots: Ids | None = None) -> Counts:
        """Of some slots, or of all."""
        items = self.index.items.data
        chosen = items[self.index.alive.data] if slots is None else items[slots]
        return Counts(len(chosen), len(np.unique(chosen)))

    def item_page(self, limit: int, after: str, where: Where | None) -> ItemPage:
        items = self.index.items.data[np.flatnonzero(self.index.mask(where))]
        numbers = np.unique(items)
        there = _members(numbers)
        if self._order is None:
            self._order = sorted(self._numbers)
        order, found = self._order, list[str]()
        for place in range(bisect_right(order, after), len(order)):
            number = self._numbers[order[place]]
            if number < len(there) and there[number]:
                found.append(order[place])
                if len(found) > limit:
                    break
        counts = Counts(len(items), len(numbers))
        return ItemPage(tuple(found[:limit]), counts, len(found) > limit)


def _members(numbers: Ids) -> npt.NDArray[np.bool_]:
    there = np.zeros(int(numbers.max(initial=0)) + 1, bool)
    there[numbers] = True
    return there
