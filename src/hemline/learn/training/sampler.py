"""Batches of pairs: B distinct items, each with one street photo and one shop image."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hemline.learn.training.rows import Rows


class Pair(NamedTuple):
    """Manifest rows of a street photo and a shop image of the same item, and the pair's seed."""

    street: int
    shop: int
    seed: int


class PairSampler:
    """The batches of any epoch, a function of (seed, stage, epoch) and nothing else.

    Args:
        items: (N,) item number of every manifest row.
        street, shop: training rows.
        batch_size: B; fewer where there are fewer items.
        groups: (N,) number of every manifest row's group; a batch is of one group. None: all are.
        by: ``photos`` visits every street photo, ``items`` every item with one random photo.
        repeats: visits in an epoch.
        times: (N,) how often a visit takes each manifest row; None: once.
        rank, world: this process has its part of each batch; parts follow one another, and differ
            by one pair at most.

    The last batches of an epoch may be smaller, where few items are left, but never below half of B
    (or 2 for each process); the photos that remain are left out of that epoch.
    """

    def __init__(
        self,
        items: Rows,
        street: Rows,
        shop: Rows,
        batch_size: int,
        *,
        groups: Rows | None = None,
        by: str = "photos",
        repeats: int = 1,
        times: Rows | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.items, self.street, self.by = items, street, by
        self.groups, self.times = groups, times
        self.repeats, self.seed, self.rank, self.world = repeats, seed, rank, world
        self.shops = _by_item(items, shop)
        self.photos = _by_item(items, street)
        self.batch_size = min(batch_size, len(self.photos))
        self.smallest = max(2 * world, self.batch_size // 2)

    def epoch(self, stage: int, epoch: int) -> list[list[Pair]]:
        """The batches of one epoch, in order."""
        rng = np.random.default_rng([self.seed, stage, epoch])
        batches: list[list[Pair]] = []
        for _ in range(self.repeats):
            for rows in self._grouped(self._visits(rng), rng):
                batches.append([self._pair(row, rng) for row in rows])
        return [self._part(batch) for batch in batches]

    def _part(self, batch: list[Pair]) -> list[Pair]:
        first, last = (len(batch) * rank // self.world for rank in (self.rank, self.rank + 1))
        return batch[first:last]

    def _grouped(self, visits: Rows, rng: np.random.Generator) -> list[list[int]]:
        """The batches of all groups, in a random order where there are several."""
        if self.groups is None:
            return list(self._batches(visits))
        own = self.groups[visits]
        batches = [rows for group in np.unique(own) for rows in self._batches(visits[own == group])]
        return [batches[place] for place in rng.permutation(len(batches))]

    def _visits(self, rng: np.random.Generator) -> Rows:
        rows = self.street
        if self.by == "items":
            rows = np.array([rng.choice(rows) for _, rows in sorted(self.photos.items())], np.int64)
        return rng.permutation(rows if self.times is None else np.repeat(rows, self.times[rows]))

    def _pair(self, row: int, rng: np.random.Generator) -> Pair:
        shops = self.shops[int(self.items[row])]
        return Pair(row, int(shops[rng.integers(len(shops))]), int(rng.integers(2**62)))

    def _batches(self, order: Rows) -> Iterator[list[int]]:
        """Takes photos in order; one whose item is already in the batch waits for the next."""
        ahead, waiting = deque(order.tolist()), deque[int]()
        while ahead or waiting:
            batch: list[int] = []
            seen: set[int] = set()
            later: deque[int] = deque()
            for queue in (waiting, ahead):
                while queue and len(batch) < self.batch_size:
                    row = queue.popleft()
                    item = int(self.items[row])
                    if item in seen:
                        later.append(row)
                    else:
                        seen.add(item)
                        batch.append(row)
            later.extend(waiting)
            waiting = later
            if len(batch) < self.smallest:
                return
            yield batch


def _by_item(items: Rows, rows: Rows) -> dict[int, Rows]:
    groups: dict[int, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(int(items[row]), []).append(row)
    return {item: np.asarray(group, np.int64) for item, group in groups.items()}
