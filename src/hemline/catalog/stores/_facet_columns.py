"""Facets counted from the columns of the index; equal to those of `facets.count_rows`."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
            values, places, owners = _parts(column.some(present), places)
            found[name] = _any(places, items[owners], values, limit)
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
    texts = column.texts.take(pa.array(present)).dictionary_encode()
    one = np.asarray(texts.indices, np.int64)
    counts = _products(one[places], items, len(texts.dictionary))
    rank = np.empty(len(counts), np.int64)
    rank[np.asarray(pc.array_sort_indices(texts.dictionary))] = np.arange(len(counts))
    order = np.lexsort((rank, -counts))[:limit]
    names = texts.dictionary.take(pa.array(order)).to_pylist()
    values = tuple(zip(names, counts[order].tolist(), strict=True))
    return Facet(_different(items), values, len(counts) - len(order))


def _parts(values: Sequence[Any], places: Slots) -> tuple[list[Any], Slots, Slots]:
    """Flattens lists: all values, the place of each row's values among them, and their rows."""
    flat: list[Any] = []
    spans: list[tuple[int, int]] = []
    for value in polled(values):
        parts = list(value) if isinstance(value, list) else [value]
        spans.append((len(flat), len(parts)))
        flat += parts
    starts, counts = np.array(spans, np.int64).reshape(-1, 2)[places].T
    owners = np.repeat(np.arange(len(places)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return flat, np.repeat(starts, counts) + within, owners


def _any(codes: Slots, items: Slots, values: Sequence[Any], limit: int) -> Facet:
    """Counts the values that ``codes`` (n,) refer to; None isn't counted."""
    texts = [None if value is None else json.dumps(shown(value)) for value in polled(values)]
    places: dict[str, int] = {}
    for text in texts:
        if text is not None:
            places.setdefault(text, len(places))
    one = np.array([-1 if text is None else places[text] for text in texts], np.int64)
    chosen = one[codes]
    items = items[chosen >= 0]
    counts = _products(chosen[chosen >= 0], items, len(places)).tolist()
    named = {text: shown(value) for text, value in zip(texts, values, strict=True) if text}
    by_text = {text: counts[place] for text, place in places.items()}
    return from_texts(by_text, named, _different(items), limit)


def _tags(memory: Columns, slots: Slots, items: Slots, name: str, limit: int) -> dict[str, Facet]:
    owners, codes = memory.tags.pairs(slots)
    parts = [tag.partition("=") for tag in memory.tags.names]
    names = sorted({column for column, _, _ in parts})
    number = {column: i for i, column in enumerate(names)}
    numbers = np.array([number[column] for column, _, _ in parts], np.int64)[codes]
    found: dict[str, Facet] = {}
    for column in names:
        if name in ("tags", TAGS + column):
            chosen = numbers == number[column]
            if chosen.any():
                present, own = np.unique(codes[chosen], return_inverse=True)
                values = [parts[code][2] for code in present.tolist()]
                found[TAGS + column] = _any(own, items[owners[chosen]], values, limit)
    return found
