"""Facets: which values a column has, and how many products have each.

A product counts once for each value that one of its pictures has; a list has several. A column
whose values are all numbers also gets its range and bins; a tag counts under its name
(``tags.colour``). Both ways of counting (over rows, over columns in memory) give their counts to
`from_texts`, so that they cut and order alike.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hemline.errors import UsageError, nearest
from hemline.search.catalog._column import Numbers, Slots
from hemline.search.catalog._columns import Columns
from hemline.search.catalog._protocol import Bin, Facet, Row

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


def _bins(array: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Bin, ...]:
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


def count_columns(
    memory: Columns,
    slots: Slots,
    items: Slots,
    columns: Sequence[str],
    known: Iterable[str],
    limit: int,
) -> dict[str, Facet]:
    """`count_rows` of the rows in ``slots`` (n,), whose products' numbers are ``items`` (n,).

    ``memory`` is settled."""
    kept = slots < memory.length
    slots, items = slots[kept], items[kept]
    found: dict[str, Facet] = {}
    for name in wanted(columns, known):
        if name == "tags" or name.startswith(TAGS):
            if name != "tags":
                found[name] = Facet(0)
            found |= _tag_facets(memory, slots, items, name, limit)
            continue
        column = memory.columns.get(name)
        if column is None:
            found[name] = Facet(0)
        elif isinstance(column, Numbers):
            distinct, codes = np.unique(column.array.data[slots], return_inverse=True)
            numbers = [None if math.isnan(value) else shown(value) for value in distinct.tolist()]
            found[name] = _coded_facet(codes, items, numbers, limit)
        else:
            codes = column.codes.data[slots]
            present, places = np.unique(codes, return_inverse=True)
            values, owners = column.some(present), np.arange(len(places))
            if not column.plain:
                values, places, owners = _parts(values, places)
            found[name] = _coded_facet(places, items[owners], values, limit)
    return found


def _parts(values: Sequence[Any], places: Slots) -> tuple[list[Any], Slots, Slots]:
    """Values with lists taken apart, the place of each row's values in them, and whose it is."""
    flat: list[Any] = []
    spans: list[tuple[int, int]] = []
    for value in values:
        parts = list(value) if isinstance(value, list) else [value]
        spans.append((len(flat), len(parts)))
        flat += parts
    starts, counts = np.array(spans, np.int64).reshape(-1, 2)[places].T
    owners = np.repeat(np.arange(len(places)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return flat, np.repeat(starts, counts) + within, owners


def _coded_facet(codes: Slots, items: Slots, values: Sequence[Any], limit: int) -> Facet:
    """``codes`` (n,) say which of ``values`` a row has; a value of None counts for nothing."""
    texts = [None if value is None else json.dumps(shown(value)) for value in values]
    places: dict[str, int] = {}
    for text in texts:
        if text is not None:
            places.setdefault(text, len(places))
    one = np.array([-1 if text is None else places[text] for text in texts], np.int64)
    chosen = one[codes]
    codes, items = chosen[chosen >= 0], items[chosen >= 0]
    span = int(items.max(initial=0)) + 1
    pairs = np.asarray(pc.unique(pa.array(codes * span + items)), np.int64)
    counts = np.bincount(pairs // span, minlength=len(places)).tolist()
    named = {text: shown(value) for text, value in zip(texts, values, strict=True) if text}
    by_text = {text: counts[place] for text, place in places.items()}
    return from_texts(by_text, named, len(pc.unique(pa.array(items))), limit)


def _tag_facets(
    memory: Columns, slots: Slots, items: Slots, name: str, limit: int
) -> dict[str, Facet]:
    owners, codes = memory.tags.pairs(slots)
    places = np.searchsorted(slots, owners)
    parts = [tag.partition("=") for tag in memory.tags.names]
    names = np.array([column for column, _, _ in parts], object)
    found: dict[str, Facet] = {}
    for column in sorted({names[code] for code in np.unique(codes)}):
        if name in ("tags", TAGS + column):
            chosen = np.isin(codes, np.flatnonzero(names == column))
            present, own = np.unique(codes[chosen], return_inverse=True)
            values = [parts[code][2] for code in present.tolist()]
            found[TAGS + column] = _coded_facet(own, items[places[chosen]], values, limit)
    return found


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
    return Facet(items, kept, more, float(array[0]), float(array[-1]), _bins(array))
