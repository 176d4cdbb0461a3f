"""Facets: which values a column has, and how many products have each.

A product counts once for each value that one of its pictures has; a list has several. A column
whose values are all numbers also gets its range and bins; a tag counts under its name
(``tags.colour``). Here rows are counted plainly; `_facet_columns` counts columns in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hemline.catalog.store import Bin, Facet, Row
from hemline.errors import UsageError, nearest

BINS = 10
TAGS = "tags."


def wanted(columns: Sequence[str], known: Iterable[str]) -> list[str]:
    """``columns`` without doubles, each of them known.

    Raises:
        UsageError: an unknown column.
    """
    names = {"category", "image_id", "item_id", "tags", *known}
    for column in columns:
        if column not in names and not column.startswith(TAGS):
            raise UsageError(
                f"no column {column!r}. {nearest(column, names)} "
                f"Columns: {', '.join(sorted(names))}, and tags.NAME for the values of one tag"
            )
    return list(dict.fromkeys(columns))


def bins(array: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Bin, ...]:
    """Bins with about as many in each: borders are values that occur, so none is cut through."""
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
    """A value as facets show it: 20.0 and 20 are one value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number_of(value: Any) -> float | None:
    """A JSON value as the number that it is; None for what isn't one (true and false aren't)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def count_rows(
    rows: Sequence[Row], columns: Sequence[str], known: Iterable[str], limit: int
) -> dict[str, Facet]:
    """The facets of ``rows``, slowly and plainly."""
    found: dict[str, dict[str, tuple[Any, set[str]]]] = {}
    names = wanted(columns, known)
    for name in names:
        if name != "tags":
            found[name] = {}
    for row in rows:
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
    everyone = set[str]().union(*(items for _, items in pairs.values()))
    return from_texts(counts, values, len(everyone), limit)


def from_texts(
    counts: Mapping[str, int], values: Mapping[str, Any], items: int, limit: int
) -> Facet:
    """A facet from counts by the JSON text of the values."""
    order = sorted(counts, key=lambda text: (-counts[text], _sortable(values[text])))
    kept = tuple((values[text], counts[text]) for text in order[:limit])
    more = max(0, len(order) - limit)
    numbers = [number_of(value) for value in values.values()]
    if not numbers or any(number is None for number in numbers):
        return Facet(items, kept, more)
    array = np.sort(np.repeat(np.array(numbers, np.float64), [counts[t] for t in values]))
    return Facet(items, kept, more, float(array[0]), float(array[-1]), bins(array))
