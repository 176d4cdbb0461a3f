"""Facets: the values of a column and how many items have each.

An item counts once for each value of its images; a list has several values. A column of numbers
also gets its range and bins. A tag ``color=red`` counts under the facet ``tags.color``.
`count_rows` is the reference that counts row by row; `stores/_facet_columns.py` counts the columns
of the index.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hemline.budget import check_work, polled
from hemline.catalog.store import Bin, Facet, Row
from hemline.catalog.where.conditions import FIXED_COLUMNS
from hemline.errors import UsageError, nearest

BINS = 10
TAGS = "tags."
_OPERATIONS = 4  # a facet costs as much for each row as so many comparisons


def facet_columns(columns: Sequence[str], known: Iterable[str], tags: Iterable[str]) -> list[str]:
    """``columns`` without duplicates.

    Args:
        columns: ``category``, ``tags``, ``tags.NAME`` …
        known: the further columns of the catalogue.
        tags: the names of its tags.

    Raises:
        UsageError: a column or tag that the catalogue doesn't have.
    """
    names = {*FIXED_COLUMNS, *known}
    tag_columns = {TAGS + name for name in tags}
    for column in columns:
        if column not in names and column not in tag_columns:
            tag = column.removeprefix(TAGS)
            what = f"column {column!r}" if tag == column else f"tag {tag!r}"
            raise UsageError(
                f"no {what} to count. {nearest(column, names | tag_columns)} "
                f"Columns: {', '.join(sorted(names))}. "
                f"Tags: {', '.join(sorted(tag_columns)) or 'none'}"
            )
    return list(dict.fromkeys(columns))


def check_facets(rows: int, names: Sequence[str]) -> None:
    """
    Raises:
        CostError: counting ``names`` in so many rows costs too much.
    """
    check_work(rows, _OPERATIONS * len(names), "counting facets")


def bins(array: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Bin, ...]:
    """Bins of a sorted array with about equally many numbers; borders are numbers that occur."""
    places = (np.arange(1, BINS) * len(array)) // BINS
    borders = np.unique(np.concatenate([array[:1], array[places], array[-1:]]))
    if len(borders) == 1:
        return (Bin(float(borders[0]), float(borders[0]), len(array)),)
    starts = np.searchsorted(array, borders, "left")
    starts[-1] = len(array)
    return tuple(
        Bin(float(low), float(high), int(count))
        for low, high, count in zip(borders[:-1], borders[1:], np.diff(starts), strict=True)
    )


def _sortable(value: Any) -> tuple[int, Any]:
    if isinstance(value, str):
        return (2, value)
    return (1, value) if isinstance(value, int | float) else (3, json.dumps(value))


def shown(value: Any) -> Any:
    """The value as facets show it: 20.0 and 20 are one value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number_of(value: Any) -> float | None:
    """A JSON number as a float; None for any other value, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def count_rows(rows: Sequence[Row], names: Sequence[str], limit: int) -> dict[str, Facet]:
    """The facets ``names`` (checked by `facet_columns`) of ``rows``.

    Raises:
        CostError, TimeLimitError: as `check_facets`, `check_time`.
    """
    check_facets(len(rows), names)
    found: dict[str, dict[str, tuple[Any, set[str]]]] = {}
    for name in names:
        if name != "tags":
            found[name] = {}
    for row in polled(rows):
        for column, value in _values(row, names):
            pairs = found.setdefault(column, {})
            value = shown(value)
            pairs.setdefault(json.dumps(value), (value, set()))[1].add(row.item_id)
    return {name: _facet_of(found[name], limit) for name in found}


def _values(row: Row, names: Sequence[str]) -> Iterable[tuple[str, Any]]:
    values = row.values()
    for name in names:
        if name == "tags" or name.startswith(TAGS):
            for tag in row.tags:
                column, _, value = tag.partition("=")
                if name in ("tags", TAGS + column):
                    yield TAGS + column, value
        elif values.get(name) is not None:
            value = values[name]
            for part in value if isinstance(value, list | tuple) else [value]:
                if part is not None:
                    yield name, part


def _facet_of(pairs: Mapping[str, tuple[Any, set[str]]], limit: int) -> Facet:
    counts = {text: len(items) for text, (_, items) in pairs.items()}
    values = {text: value for text, (value, _) in pairs.items()}
    items = set[str]().union(*(own for _, own in pairs.values()))
    return from_texts(counts, values, len(items), limit)


def from_texts(
    counts: Mapping[str, int], values: Mapping[str, Any], items: int, limit: int
) -> Facet:
    """The facet of counts and values by the JSON of the values."""
    order = heapq.nsmallest(
        limit, polled(counts), key=lambda text: (-counts[text], _sortable(values[text]))
    )
    kept = tuple((values[text], counts[text]) for text in order)
    more = len(counts) - len(order)
    numbers = [number_of(value) for value in values.values()]
    if not numbers or any(number is None for number in numbers):
        return Facet(items, kept, more)
    array = np.sort(np.repeat(np.array(numbers, np.float64), [counts[t] for t in values]))
    return Facet(items, kept, more, float(array[0]), float(array[-1]), bins(array))
