"""Products page by page, in the order of their ids.

The index in memory says which products are there and which meet a condition; their ids come from
SQLite's own index of them. Where few products are left over, those are looked up and sorted; where
many are, the ids are walked through from the last one on, so that a page costs what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.index import Index
from hemline.catalog.store import Counts, ItemPage
from hemline.catalog.stores._database import json_list
from hemline.catalog.where.expression import Where

#: Whether a product is meant, by its number.
Members = npt.NDArray[np.bool_]
Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_FEW = 2000  # products that are looked up rather than walked to
_MOST = 16_384  # ids read at a time
# The plus keeps SQLite from walking where it is to look up.
_LOOKED_UP = (
    "SELECT item_id FROM items WHERE number IN (SELECT value FROM json_each(?)) "
    "AND +item_id > ? ORDER BY +item_id LIMIT ?"
)
_WALKED = "SELECT item_id, number FROM items WHERE item_id > ? ORDER BY item_id LIMIT ?"


def members(index: Index, where: Where | None) -> tuple[Members, Counts]:
    """Of each number of a product, whether it has a picture that meets a condition."""
    items = index.items.data[np.flatnonzero(index.mask(where))]
    there = np.zeros(int(items.max(initial=0)) + 1, bool)
    there[items] = True
    return there, Counts(len(items), int(np.count_nonzero(there)))


def page(there: Members, counts: Counts, query: Query, limit: int, after: str) -> ItemPage:
    """The first ``limit`` ids behind ``after`` of the products of `members`.

    Args:
        query: answers SQL with its values.
    """
    if counts.items <= _FEW:
        numbers = json_list(np.flatnonzero(there).tolist())
        found = [name for (name,) in query(_LOOKED_UP, (numbers, after, limit + 1))]
    else:
        found = _walked(there, query, limit, after)
    return ItemPage(tuple(found[:limit]), counts, len(found) > limit)


def _walked(there: Members, query: Query, limit: int, after: str) -> list[str]:
    found: list[str] = []
    size = 2 * limit + 1
    while len(found) <= limit:
        passed = query(_WALKED, (after, size))
        if not passed:
            break
        found += [name for name, number in passed if number < len(there) and there[number]]
        after, size = passed[-1][0], min(4 * size, _MOST)
    return found
