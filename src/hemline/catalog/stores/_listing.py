"""Pages of items in the order of their ids.

The index in memory has the items that exist and meet a condition; their ids come from SQLite's
index of them. Where few items meet the condition, those are looked up and sorted; otherwise the ids
are read in order from the last one on, so that a page costs no more than it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.index import Index
from hemline.catalog.store import Counts, ItemPage
from hemline.catalog.stores._rows import Damaged, json_list
from hemline.catalog.where.expression import Where

#: Whether an item meets the condition, by its number.
Members = npt.NDArray[np.bool_]
Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_FEW = 2000  # the most items that are looked up
_MAX_READ = 16_384  # ids read at a time
# The plus keeps SQLite from using the index on item_id for the order.
_LOOK_UP = (
    "SELECT item_id, number FROM items WHERE number IN (SELECT value FROM json_each(?)) "
    "AND +item_id > ? ORDER BY +item_id LIMIT ?"
)
# Of an intact item the table and its index of ids agree. The plus keeps SQLite from finding the
# number in the table, which would be compared with itself.
_DAMAGED = (
    "SELECT a.item_id FROM items AS a WHERE a.number IN (SELECT value FROM json_each(?)) AND NOT "
    "EXISTS (SELECT 1 FROM items AS b WHERE b.item_id = a.item_id AND +b.number = a.number)"
)
_IN_ORDER = "SELECT item_id, number FROM items WHERE item_id > ? ORDER BY item_id LIMIT ?"


def members(index: Index, where: Where | None) -> tuple[Members, Counts]:
    """Which items, by number, have an image that meets a condition; and their counts."""
    items = index.items.data[np.flatnonzero(index.mask(where))]
    there = np.zeros(int(items.max(initial=0)) + 1, bool)
    there[items] = True
    return there, Counts(len(items), int(np.count_nonzero(there)))


def page(there: Members, counts: Counts, query: Query, limit: int, after: str) -> ItemPage:
    """The first ``limit`` ids after ``after`` among the items of `members`.

    ``query`` runs SQL with its values.

    Raises:
        Damaged: an id of the page is damaged.
    """
    if counts.items <= _FEW:
        numbers = json_list(np.flatnonzero(there).tolist())
        found = query(_LOOK_UP, (numbers, after, limit + 1))
    else:
        found = _in_order(there, query, limit, after)
    shown = found[:limit]
    for (name,) in query(_DAMAGED, (json_list([number for _, number in shown]),)):
        raise Damaged(f"the item {name!r} (table items) is damaged; restore a backup")
    return ItemPage(tuple(name for name, _ in shown), counts, len(found) > limit)


def _in_order(there: Members, query: Query, limit: int, after: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    size = 2 * limit + 1
    while len(found) <= limit:
        batch = query(_IN_ORDER, (after, size))
        if not batch:
            break
        found += [row for row in batch if row[1] < len(there) and there[row[1]]]
        after, size = batch[-1][0], min(4 * size, _MAX_READ)
    return found
