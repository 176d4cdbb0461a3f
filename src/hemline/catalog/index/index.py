"""The index in memory: which vectors there are, of which items, and the search in them.

Vectors have slots in the order of their ids; a slot is never reused. Small stores are scanned
exactly. In large ones the codes give candidates, which are re-scored exactly; where few rows meet a
condition, those are scanned exactly. In huge ones finer codes choose among the candidates first.
The caller must not search while it changes the index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hemline.catalog.index.codes import Codes
from hemline.catalog.index.column import Slots
from hemline.catalog.index.columns import Columns
from hemline.catalog.index.fine import Fine
from hemline.catalog.index.growing import GrowingArray
from hemline.catalog.index.members import Mask, Members, SlotLog
from hemline.catalog.index.scan import Flat, scan
from hemline.catalog.segments import Halves, Segments
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import NO_NEIGHBOURS, Ids, Neighbours, Vectors
from hemline.catalog.where.expression import Where
from hemline.types import FloatArray

_BLOCK = 16_384  # vectors read at a time
_LOSS_SAMPLE = 2048  # vectors on which the quantisation error is measured
_FILTERS = 32  # conditions whose masks are cached,
_FILTER_BYTES = 1 << 27  # fewer where the masks would take more than this,
_LEAST_FILTERS = 8  # but so many at least
_FEW_CHANGES = 2048  # rows that a cached condition is tested on again, one by one


class _Filter(NamedTuple):
    """Which slots meet a condition, after so many changes of columns and removals."""

    revision: int
    changes: int
    removals: int
    members: Members


class Index:
    """Slots with their ids, items, vectors or codes, and columns.

    Attributes:
        ids: the id of each slot, ascending.
        alive: whether a slot's row still exists.
        items: the number of its item.
        live: how many slots are alive.
        revision: the last commit it includes.
        flat: all vectors, in a small store.
        codes: quantised vectors of the slots before ``coded``.
        columns: for conditions and facets; None until the first of them.
    """

    def __init__(self, dim: int, segments: Segments, settings: StoreSettings) -> None:
        self.dim = dim
        self.segments = segments
        self.settings = settings
        self.ids = GrowingArray(np.zeros(0, np.int64))
        self.alive = GrowingArray(np.zeros(0, bool))
        self.items = GrowingArray(np.zeros(0, np.int64))
        self.live = 0
        self.revision = 0
        self.flat: Flat | None = None
        self.codes: Codes | None = None
        self.coded = 0
        self.columns: Columns | None = None
        self._filters: dict[str, _Filter] = {}
        self._filtering = threading.Lock()
        self._all_alive: Members | None = None
        self._removals = SlotLog()
        self._tag_names: tuple[int, tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    # Changing

    def append(self, ids: Ids, items: Ids) -> None:
        """Adds slots; ``ids`` (n,) ascend and are greater than all others."""
        before, length = len(self), len(self) + len(ids)
        for array, values in ((self.ids, ids), (self.items, items)):
            array.resize(length, 0)
            array.data[before:] = values
        self.alive.resize(length, True)
        self.live += len(ids)
        if self._all_alive is not None:
            self._all_alive.put(np.arange(before, length), True)

    def remove(self, ids: Ids) -> None:
        """Marks rows as removed; unknown ids are ignored."""
        slots = self.slots(ids)
        slots = slots[slots >= 0]
        slots = slots[self.alive.data[slots]]
        self.alive.resize(len(self), False)
        self.alive.data[slots] = False
        self.live -= len(slots)
        self._removals.append(slots)
        if self._all_alive is not None:
            self._all_alive.put(slots, False)

    def slots(self, ids: Ids) -> Slots:
        """The slots of ``ids`` (n,); -1 for an unknown one."""
        known = self.ids.data
        if not len(known):
            return np.full(len(ids), -1, np.int64)
        found = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[found] == ids, found, -1)

    def fill(self) -> None:
        """Adds the newest slots to the flat vectors or, if there are any, to the codes.

        Raises:
            SegmentError: a segment can't be read.
        """
        if self.codes is None and self.live <= self.settings.exact_rows:
            if self.flat is None:
                self.flat = Flat(self.dim)
            while len(self.flat) < len(self):
                start = len(self.flat)
                self.flat.add(self._read(np.arange(start, min(len(self), start + _BLOCK))))
            return
        self.flat = None
        if self.codes is not None:
            self.add_codes(self.codes, self.coded)
            self.coded = len(self)

    def add_codes(self, codes: Codes, start: int, go_on: Callable[[], bool] = lambda: True) -> None:
        """Adds the live slots from ``start`` on to ``codes``; ``go_on`` can cancel it."""
        while start < len(self) and go_on():
            stop = min(len(self), start + _BLOCK)
            slots = start + np.flatnonzero(self.alive.data[start:stop])
            codes.add(slots, self.segments.halves(self.ids.data[slots]).astype(np.float32))
            start = stop

    def _read(self, slots: Slots) -> Halves:
        """The vectors of slots; zeros for removed ones, whose segment may be deleted."""
        out = np.zeros((len(slots), self.dim), np.float16)
        there = self.alive.data[slots]
        out[there] = self.segments.halves(self.ids.data[slots[there]])
        return out

    def without_removed(self) -> Index:
        """A copy without the slots of removed rows, and without vectors and codes."""
        slots = np.flatnonzero(self.alive.data)
        copy = Index(self.dim, self.segments, self.settings)
        copy.ids = GrowingArray(self.ids.data[slots])
        copy.items = GrowingArray(self.items.data[slots])
        copy.alive = GrowingArray(np.ones(len(slots), bool))
        copy.live, copy.revision = len(slots), self.revision
        if self.columns is not None:
            self.columns.flush()
            copy.columns = self.columns.take(slots)
        return copy

    def build_codes(self, go_on: Callable[[], bool] = lambda: True) -> None:
        """Trains a codebook and quantises all vectors; ``go_on`` can cancel it.

        Raises:
            SegmentError: a segment can't be read.
        """
        rng = np.random.default_rng(0)
        sample = self._sample(self.settings.sample(self.live), rng)
        folder = self.segments.folder.parent
        codes = Codes.train(sample, self.live, self.settings, len(self), folder)
        sample = self._sample(_LOSS_SAMPLE, rng)  # mostly other vectors than those trained on
        self.add_codes(codes, 0, go_on)
        codes.measure_loss(sample)
        self.codes, self.coded = codes, len(self)

    def _sample(self, count: int, rng: np.random.Generator) -> FloatArray:
        slots = np.flatnonzero(self.alive.data)
        chosen = rng.choice(slots, min(count, len(slots)), replace=False)
        return self.segments.halves(self.ids.data[np.sort(chosen)]).astype(np.float32)

    @property
    def needs_rebuild(self) -> bool:
        """Whether codes are missing or should be rebuilt."""
        if self.many_removed:
            return True
        if self.live <= self.settings.exact_rows:
            return False
        codes = self.codes
        return (
            codes is None
            or self.live >= self.settings.retrain_growth * codes.trained
            or codes.drifted
            or not codes.fits(self.live)
        )

    @property
    def many_removed(self) -> bool:
        """Whether too many slots belong to removed rows."""
        removed = len(self) - self.live
        return removed > 1024 and removed > self.settings.removed_share * len(self)

    def tag_names(self) -> tuple[str, ...]:
        """The names of the tags of all rows, sorted; the columns have no rows waiting."""
        assert self.columns is not None
        if self._tag_names is None or self._tag_names[0] != self.revision:
            names = self.columns.tags.names
            slots = np.flatnonzero(self.alive.data)
            _, codes = self.columns.tags.pairs(slots[slots < self.columns.length])
            used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
            found = {names[code].partition("=")[0] for code in used.tolist()}
            self._tag_names = (self.revision, tuple(sorted(found)))
        return self._tag_names[1]

    # Searching

    def mask(self, where: Where | None) -> Mask:
        """Which slots are alive and meet a condition."""
        return self.alive.data if where is None else self._filter(where).mask

    def _filter(self, where: Where) -> Members:
        with self._filtering:
            known = self._filters.pop(where.text, None)
        if known is None or known.revision != self.revision:
            # Outside the lock: a costly condition delays no other.
            assert self.columns is not None
            members = None if known is None else self._again(where, known)
            if members is None:
                members = Members(self.columns.mask(where, len(self)) & self.alive.data)
            counts = self.columns.changes.count, self._removals.count
            known = _Filter(self.revision, *counts, members)
        with self._filtering:
            most = min(_FILTERS, max(_LEAST_FILTERS, _FILTER_BYTES // max(1, len(self))))
            while len(self._filters) >= most:  # the first is the least recently used
                del self._filters[next(iter(self._filters))]
            self._filters[where.text] = known
        return known.members

    def _again(self, where: Where, known: _Filter) -> Members | None:
        """The members of a condition that was evaluated before; None after too many changes.

        Changes them in place: they were taken out of the cache, and no search has them, as the
        index changes only when none goes on.
        """
        assert self.columns is not None
        changed = self.columns.changes.since(known.changes)
        removed = self._removals.since(known.removals)
        if changed is None or removed is None or len(changed) > _FEW_CHANGES:
            return None
        met = self.columns.meet(where, changed) & self.alive.data[changed]
        known.members.resize(len(self))
        known.members.put(removed, False)
        known.members.put(changed, met)
        return known.members

    def _subset(self, where: Where | None) -> Members | None:
        """The slots that may be returned; None for all."""
        if where is not None:
            return self._filter(where)
        if self.live == len(self):
            return None
        if self._all_alive is None:
            self._all_alive = Members(self.alive.data)
        return self._all_alive

    def search_many(
        self, queries: FloatArray, k: int, where: Where | None, verified: bool = True
    ) -> list[Neighbours]:
        """See `Store.search_many`.

        Raises:
            SegmentError: a segment is missing or, where it is ``verified``, damaged.
        """
        found = self._search(queries, k, where)
        return [self._verified(one) if verified else one._replace(verified=False) for one in found]

    def _search(self, queries: FloatArray, k: int, where: Where | None) -> list[Neighbours]:
        subset = self._subset(where)
        count = len(self) if subset is None else subset.size
        if k < 1 or not count:
            return [NO_NEIGHBOURS] * len(queries)
        if self.flat is not None:
            return [self._flat(query, k, subset) for query in queries]
        candidates = self.settings.candidates(k, len(self), count)
        fine = None if self.codes is None else self.codes.fine
        part = self.settings.subset_part if fine is None else self.settings.fine_part
        few = max(self.settings.subset_rows, len(self) // part, 2 * candidates)
        if self.codes is None or self.coded < len(self) or (count <= few and fine is None):
            return [self._scan(query, k, where) for query in queries]
        if count <= few:
            found = [np.flatnonzero(self.mask(where))] * len(queries)
        else:
            found = self.codes.candidates(queries, candidates, subset, len(self))
        return [
            self._rescored(query, k, np.sort(slots), fine)
            if len(slots) >= min(k, count)
            else self._scan(query, k, where)
            for query, slots in zip(queries, found, strict=True)
        ]

    def _rescored(self, query: FloatArray, k: int, slots: Slots, fine: Fine | None) -> Neighbours:
        """The ``k`` nearest of ``slots``, ascending, of which the fine codes choose some."""
        if fine is not None:
            slots = fine.best(query, slots, self.settings.reread(k, len(self)))
            self.segments.prefetch(self.ids.data[slots])
        return scan(query, k, self.ids.data[slots], self.segments.read)

    def _flat(self, query: FloatArray, k: int, subset: Members | None) -> Neighbours:
        import faiss

        assert self.flat is not None
        among: Any = None
        if subset is not None:
            among = faiss.IDSelectorBitmap(len(subset.bits), faiss.swig_ptr(subset.bits))
        ids = self.ids.data
        records = self.segments.records
        return self.flat.exact(query, k, lambda found: records(ids[found])["half"], ids, among)

    def exact(self, query: FloatArray, k: int, where: Where | None) -> Neighbours:
        """See `Store.search_exact`.

        Raises:
            SegmentError: a segment is missing or damaged.
        """
        return self._verified(NO_NEIGHBOURS if k < 1 else self._scan(query, k, where))

    def _verified(self, found: Neighbours) -> Neighbours:
        """With their vectors, whose checksums are right.

        Raises:
            SegmentError: a segment is missing or damaged.
        """
        records = self.segments.verified(found.ids)
        return found._replace(vectors=Vectors(records["half"], records["norm"]))

    def _scan(self, query: FloatArray, k: int, where: Where | None) -> Neighbours:
        ids = self.ids.data[self.mask(where)]
        return scan(query, k, ids, self.segments.read)
