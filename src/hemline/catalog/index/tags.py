"""The tags of all rows in memory, as codes, row after row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.column import FALSE, TRUE, Slots, Truths
from hemline.catalog.index.growing import GrowingArray
from hemline.catalog.where.conditions import HasTag


class Tags:
    """``codes`` and each row's ``start`` and ``count`` in them; a changed row's are appended."""

    def __init__(
        self,
        start: GrowingArray,
        count: GrowingArray,
        codes: GrowingArray,
        names: list[str],
    ) -> None:
        self.start = start
        self.count = count
        self.codes = codes
        self.names = names
        self._lookup = {name: code for code, name in enumerate(names)}

    @classmethod
    def empty(cls, length: int) -> Tags:
        start, count, codes = np.zeros(length, np.int64), *np.zeros((2, length), np.int32)
        return cls(GrowingArray(start), GrowingArray(count), GrowingArray(codes, 0), [])

    def take(self, slots: Slots) -> Tags:
        """The tags of ``slots`` (n,) only."""
        _, codes = self.pairs(slots)
        counts = self.count.data[slots]
        start = np.cumsum(counts, dtype=np.int64) - counts
        arrays = GrowingArray(start), GrowingArray(counts), GrowingArray(codes)
        return Tags(*arrays, list(self.names))

    def resize(self, length: int) -> None:
        self.start.resize(length, 0)
        self.count.resize(length, 0)

    def put(self, slots: Slots, values: Sequence[Sequence[str]]) -> None:
        flat: list[int] = []
        lookup = self._lookup
        for tags in values:
            for tag in tags:
                code = lookup.get(tag)
                if code is None:
                    code = lookup[tag] = len(self.names)
                    self.names.append(tag)
                flat.append(code)
        counts = np.array([len(tags) for tags in values], np.int32)
        before = len(self.codes)
        self.codes.resize(before + len(flat), 0)
        self.codes.data[before:] = flat
        self.count.data[slots] = counts
        self.start.data[slots] = before + np.cumsum(counts) - counts

    def evaluate(self, leaf: Any) -> Truths:
        """True or false, never unknown: a row without tags doesn't have the tag."""
        assert isinstance(leaf, HasTag)
        matching = np.array([leaf.test_tag(name) for name in self.names], bool)
        found = np.full(len(self.start), FALSE, np.uint8)
        if matching.any():
            # Matching tags before each place: a row has one if the number rises within it.
            before = np.zeros(len(self.codes) + 1, np.int64)
            np.cumsum(matching[self.codes.data], out=before[1:])
            start = self.start.data
            found[before[start + self.count.data] > before[start]] = TRUE
        return found

    def pairs(self, slots: Slots) -> tuple[Slots, npt.NDArray[np.int32]]:
        """(place in ``slots``, code) of every tag of ``slots``."""
        counts = self.count.data[slots].astype(np.int64)
        owners = np.repeat(np.arange(len(slots)), counts)
        starts = np.repeat(self.start.data[slots] - (np.cumsum(counts) - counts), counts)
        return owners, self.codes.data[starts + np.arange(len(owners))]
