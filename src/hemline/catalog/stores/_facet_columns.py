"""Facets counted from the columns of the index; equal to those of `facets.count_rows`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hemline.budget import check_time, polled
from hemline.catalog.facets import TAGS, bins, check_facets, from_texts, shown
from hemline.catalog.index.column import CodedColumn, NumberColumn, Slots
from hemline.catalog.index.columns import Columns
from hemline.catalog.store import Facet

#: Elements of lists that are counted at a time: each takes some 50 bytes meanwhile.
_BLOCK = 1 << 20


def count_columns(
    memory: Columns, slots: Slots, items: Slots, names: Sequence[str], limit: int
) -> dict[str, Facet]:
    """`count_rows` for the rows in ``slots`` (n,), whose items have the numbers ``items`` (n,).

    ``memory`` has no rows waiting.

    Raises:
        CostError, TimeLimitError: as `check_facets`, `check_time`.
    """
    check_facets(len(slots), names)
    kept = slots < memory.length
    slots, items = slots[kept], items[kept]
    found: dict[str, Facet] = {}
    for name in names:
        check_time()
        if name == "tags" or name.startswith(TAGS):
            if name != "tags":
                found[name] = Facet(0)
            found |= _tags(memory, slots, items, name, limit)
            continue
        column = memory.columns.get(name)
        if column is None:
            found[name] = Facet(0)
        elif isinstance(column, NumberColumn):
            found[name] = _numbers(column.array.data[slots], items, limit)
        elif column.plain:
            found[name] = _texts(column, slots, items, limit)
        else:
            present, places = np.unique(column.codes.data[slots], return_inverse=True)
            found[name] = _lists(column.some(present), places, items, limit)
    return found


def _products(codes: Slots, items: Slots, count: int) -> npt.NDArray[np.int64]:
    """The number of distinct items of each of ``count`` codes."""
    span = int(items.max(initial=0)) + 1
    pairs = np.asarray(pc.unique(pa.array(codes * span + items)), np.int64)
    return np.bincount(pairs // span, minlength=count)


def _different(items: Slots) -> int:
    return len(pc.unique(pa.array(items)))


def _numbers(data: npt.NDArray[np.float64], items: Slots, limit: int) -> Facet:
    there = ~np.isnan(data)
    items = items[there]
    if not len(items):
        return Facet(0)
    distinct, codes = np.unique(data[there], return_inverse=True)
    counts = _products(codes, items, len(distinct))
    order = np.lexsort((distinct, -counts))[:limit]
    values = tuple(
        (shown(v), int(c)) for v, c in zip(distinct[order].tolist(), counts[order], strict=True)
    )
    ends = float(distinct[0]), float(distinct[-1])
    parts = bins(np.repeat(distinct, counts))
    return Facet(_different(items), values, len(distinct) - len(order), *ends, parts)


def _texts(column: CodedColumn, slots: Slots, items: Slots, limit: int) -> Facet:
    codes = column.codes.data[slots]
    there = codes >= 0
    items = items[there]
    if not len(items):
        return Facet(0)
    present, places = np.unique(codes[there], return_inverse=True)
    # A value may have several codes.
    texts = column.texts.take(present).dictionary_encode()
    one = np.asarray(texts.indices, np.int64)
    counts = _products(one[places], items, len(texts.dictionary))
    rank = np.empty(len(counts), np.int64)
    rank[np.asarray(pc.array_sort_indices(texts.dictionary))] = np.arange(len(counts))
    order = np.lexsort((rank, -counts))[:limit]
    names = texts.dictionary.take(pa.array(order)).to_pylist()
    values = tuple(zip(names, counts[order].tolist(), strict=True))
    return Facet(_different(items), values, len(counts) - len(order))


def _blocks(lengths: Slots, items: Slots) -> Iterator[Slots]:
    """The places of rows with lists of ``lengths`` (n,), about `_BLOCK` elements at a time.

    All rows of an item are in one block, so that the items of the blocks add up.

    Raises:
        TimeLimitError: the present query's time is over.
    """
    order = np.argsort(items, kind="stable")
    ordered, ends = items[order], np.cumsum(lengths[order])
    start = done = 0
    while start < len(order):
        check_time()
        last = min(int(np.searchsorted(ends, done + _BLOCK)), len(order) - 1)
        stop = int(np.searchsorted(ordered, ordered[last], "right"))
        yield order[start:stop]
        start, done = stop, int(ends[stop - 1])


def _lists(values: Sequence[Any], places: Slots, items: Slots, limit: int) -> Facet:
    """Counts the elements of ``values``, lists or single ones, which ``places`` (n,) refer to."""
    codes: dict[str, int] = {}
    named: dict[str, Any] = {}
    flat: list[int] = []
    lengths = np.zeros(len(values), np.int64)
    for number, value in enumerate(polled(values)):
        for part in polled(value if isinstance(value, list) else [value]):
            if part is not None:
                text = json.dumps(part := shown(part))
                flat.append(codes.setdefault(text, len(codes)))
                named.setdefault(text, part)
                lengths[number] += 1
    parts, starts = np.array(flat, np.int64), np.cumsum(lengths) - lengths
    counts, different = np.zeros(len(codes), np.int64), 0
    for block in _blocks(lengths[places], items):
        some = places[block]
        owners = np.repeat(np.arange(len(some)), lengths[some])
        begins = np.repeat(starts[some] - (np.cumsum(lengths[some]) - lengths[some]), lengths[some])
        own = items[block][owners]
        counts += _products(parts[begins + np.arange(len(owners))], own, len(codes))
        different += _different(own)
    by_text = dict(zip(codes, counts.tolist(), strict=True))
    return from_texts(by_text, named, different, limit)


def _tags(memory: Columns, slots: Slots, items: Slots, name: str, limit: int) -> dict[str, Facet]:
    parts = [tag.partition("=") for tag in memory.tags.names]
    names = sorted({column for column, _, _ in parts})
    number = {column: i for i, column in enumerate(names)}
    columns = np.array([number[column] for column, _, _ in parts], np.int64)
    counts = np.zeros(len(parts), np.int64)
    different = np.zeros(len(names), np.int64)
    for block in _blocks(memory.tags.count.data[slots].astype(np.int64), items):
        owners, codes = memory.tags.pairs(slots[block])
        own = items[block][owners]
        counts += _products(codes.astype(np.int64), own, len(parts))
        different += _products(columns[codes], own, len(names))
    by_column: dict[str, dict[str, int]] = {column: {} for column in names}
    for code in np.flatnonzero(counts).tolist():
        column, _, value = parts[code]
        by_column[column][value] = int(counts[code])
    found = {}
    for column, values in by_column.items():
        if values and name in ("tags", TAGS + column):
            by_text = {json.dumps(value): count for value, count in values.items()}
            texts = {json.dumps(value): value for value in values}
            found[TAGS + column] = from_texts(by_text, texts, int(different[number[column]]), limit)
    return found
