"""Conditions and facets over columns in memory say what the plain row test says."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemline.catalog.facets import count_rows
from hemline.catalog.index import column, disk
from hemline.catalog.index.codes import Codes
from hemline.catalog.index.columns import Columns
from hemline.catalog.index.growing import GrowingArray, Texts
from hemline.catalog.index.index import Index
from hemline.catalog.index.tags import Tags
from hemline.catalog.segments import Segments
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores import _facet_columns
from hemline.catalog.stores._facet_columns import count_columns
from hemline.catalog.where.expression import Where
from hemline.errors import UsageError

TEXTS = st.sampled_from(
    [
        "",
        "S",
        "m",
        "M",
        "20",
        "20.0",
        "1e1",
        "nan",
        "Été",
        "ſ",
        "K",
        "100% wool",
        "a_b",
        "x\ny",
        "ÉTÉ",
        "12,5 €",
    ]
)
NUMBERS = st.one_of(
    st.integers(-3, 40), st.sampled_from([2**53 + 1, 10**400, 20.0, 0.5, -0.0, 1e300])
)
SIMPLE = st.one_of(TEXTS, NUMBERS, st.booleans())
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.one_of(st.integers(-3, 40), st.sampled_from([20.0, 0.5, -0.0])),
    "text": TEXTS,
    "mixed": st.one_of(SIMPLE, st.lists(SIMPLE, max_size=3)),
    "truth": st.booleans(),
}
TAGS = st.lists(st.sampled_from(["colour=red", "colour=blue", "tag=S", "S", "=x", "S=20"]))


@st.composite
def given_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for n in range(draw(st.integers(0, 12))):
        row: dict[str, Any] = {
            "image_id": f"image{n}",
            "item_id": f"item{draw(st.integers(0, 4))}",
            "category": draw(TEXTS),
            "tags": draw(TAGS),
        }
        for name, values in VALUES.items():
            value = draw(st.none() | values)
            if value is not None:
                row[name] = value
        rows.append(row)
    return rows


def literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else json.dumps(value)


NAMES = st.sampled_from(["number", "text", "mixed", "truth", "category", "item_id", "absent"])
CONSTANTS = st.one_of(TEXTS, st.integers(-3, 40), st.sampled_from([20.0, 0.5]), st.booleans())
LEAVES = st.one_of(
    st.builds(
        lambda name, symbol, value: f"{name} {symbol} {literal(value)}",
        NAMES,
        st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
        CONSTANTS,
    ),
    st.builds(
        lambda name, values: f"{name} in ({', '.join(map(literal, values))})",
        NAMES,
        st.lists(CONSTANTS, min_size=1, max_size=3),
    ),
    st.builds(
        lambda name, pattern: f"{name} like '{pattern}'",
        NAMES,
        st.sampled_from(["%", "m", "S%", "%0", "_", "é%", "k", "s", "%\n%", "2_%", "a\\_b"]),
    ),
    st.builds("{} is null".format, NAMES),
    st.builds(
        lambda name, symbol, value: f"{name} {symbol} {literal(value)} collate binary",
        NAMES,
        st.sampled_from(["=", "<>", "<", ">="]),
        TEXTS,
    ),
    st.builds(
        lambda name, values: f"{name} collate binary in ({', '.join(map(literal, values))})",
        NAMES,
        st.lists(TEXTS, min_size=1, max_size=3),
    ),
    st.sampled_from(["truth", "mixed", "text"]),
    st.sampled_from(
        [
            "'s' in tags",
            "'s' collate binary in tags",
            "'colour=red' in tags",
            "'x' in tags",
            "'M' in mixed",
        ]
    ),
    st.builds("number between {} and {}".format, st.integers(-3, 40), st.integers(-3, 40)),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=5,
)


def in_columns(rows: list[dict[str, Any]], pieces: int) -> Columns:
    """The rows put in by pieces, each of which goes through what a commit goes through."""
    columns = Columns.empty()
    slots = np.arange(len(rows))
    for part in np.array_split(slots, pieces):
        columns.put(part, [rows[i] for i in part])
        columns.flush()
    return columns


@settings(max_examples=200, deadline=None)
@given(given_rows(), CONDITIONS, st.integers(1, 3), st.sampled_from([0, 10**9]))
def test_columns_say_what_the_row_test_says(
    rows: list[dict[str, Any]], text: str, pieces: int, many: int
) -> None:
    """``many`` sends every condition through Arrow, or none."""
    where = Where.parse(text, [*VALUES, "absent"])
    wanted = [where.matches(row) for row in rows]
    before, column.MANY = column.MANY, many
    try:
        columns = in_columns(rows, pieces)
        assert columns.mask(where, len(rows)).tolist() == wanted
        waiting = Columns.empty()
        waiting.put(np.arange(len(rows)), rows)
        assert waiting.mask(where, len(rows)).tolist() == wanted
    finally:
        column.MANY = before
    assert columns.rows(np.arange(len(rows))) == rows


@settings(max_examples=100, deadline=None)
@given(given_rows(), given_rows(), CONDITIONS)
def test_rows_that_change(
    rows: list[dict[str, Any]], others: list[dict[str, Any]], text: str
) -> None:
    columns = in_columns(rows, 2)
    slots = np.arange(len(others))
    where = Where.parse(text, [*VALUES, "absent"])
    before, puts = columns.mask(where, len(rows)), columns.changes.count
    columns.put(slots, others)
    now = [*others, *rows[len(others) :]]
    changed = columns.changes.since(puts)
    assert changed is not None
    assert changed.tolist() == slots.tolist()
    for _ in range(2):
        assert columns.mask(where, len(now)).tolist() == [where.matches(row) for row in now]
        assert columns.meet(where, changed).tolist() == [where.matches(row) for row in others]
        np.testing.assert_array_equal(
            columns.mask(where, len(now))[len(others) : len(rows)], before[len(others) :]
        )
        columns.flush()
    assert columns.rows(np.arange(len(now))) == now
    kept = columns.take(np.arange(len(now)))
    assert kept.rows(np.arange(len(now))) == now
    assert kept.mask(where, len(now)).tolist() == [where.matches(row) for row in now]
    filled = {name for row in now for name, value in row.items() if value is not None}
    assert set(kept.columns) == filled - {"tags"}


def test_columns_forget_which_rows_changed_long_ago() -> None:
    columns = Columns.empty()
    for number in range(100):
        columns.put(np.array([number % 90]), [{"tags": [], "text": str(number)}])
    assert columns.changes.since(0) is None
    some = columns.changes.since(60)
    assert some is not None
    assert some.tolist() == [*range(10), *range(60, 90)]
    none = columns.changes.since(100)
    assert none is not None
    assert not len(none)
    columns.keep({"text"})
    assert columns.changes.since(99) is None


def as_row(values: dict[str, Any]) -> Row:
    fixed = {name: values[name] for name in ("image_id", "item_id", "category")}
    further = {k: v for k, v in values.items() if k not in fixed and k != "tags"}
    return Row(
        **fixed, embedding=np.zeros(1), norm=1.0, tags=tuple(values["tags"]), columns=further
    )


@settings(max_examples=100, deadline=None)
@given(given_rows(), st.integers(1, 3), st.integers(0, 3))
def test_facets_count_what_counting_rows_counts(
    rows: list[dict[str, Any]], pieces: int, limit: int
) -> None:
    names = ["category", "item_id", "tags", "tags.colour", "number", "text", "truth", "mixed"]
    items = np.array([int(row["item_id"][4:]) for row in rows], np.int64)
    slots = np.arange(len(rows))
    columns = in_columns(rows, pieces)
    counted = count_rows([as_row(row) for row in rows], names, limit)
    for block in (1, 3, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_facet_columns, "_BLOCK", block, raising=False)
            assert count_columns(columns, slots, items, names, limit) == counted


@pytest.mark.parametrize("name", ["sizes", "tags"])
def test_facets_of_lists_take_bounded_memory(name: str) -> None:
    """Failed before: 980 MB for a million images with lists of 20 sizes, for each such request."""
    rows, each = 200_000, 30
    codes = np.arange(rows, dtype=np.int32) % 100
    lists = pa.array([json.dumps([f"S{n}" for n in range(each)])] * 100, pa.large_string())
    start = np.arange(rows, dtype=np.int64) * each
    counts, tags = np.full(rows, each, np.int32), np.arange(rows * each, dtype=np.int32) % 90
    names = [f"size=S{n}" for n in range(90)]
    columns = Columns(
        {"sizes": column.CodedColumn(GrowingArray(codes), Texts([lists]), plain=False)},
        Tags(GrowingArray(start), GrowingArray(counts), GrowingArray(tags), names),
        rows,
    )
    slots = np.arange(rows)
    tracemalloc.start()
    try:
        (facet,) = count_columns(columns, slots, slots // 2, [name], 5).values()
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()
    assert facet.items == rows // 2


def test_columns_come_back_from_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "image_id": f"image{n}",
            "item_id": f"item{n // 2}",
            "category": "dress",
            "tags": ["colour=red"] * (n % 3),
            "number": n % 7 if n % 2 else n / 4,
            "mixed": [n, "S"] if n % 5 else {"a": n},
        }
        for n in range(200)
    ]
    index = Index(8, Segments(tmp_path, 8, 100), StoreSettings(train_rows=100))
    index.append(np.arange(100, 300), np.arange(200) // 2)
    index.columns = in_columns(rows, 3)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    index.codes = Codes.train(vectors, 200, index.settings)
    index.codes.add(np.arange(200), vectors)
    index.coded, index.revision = 200, 17
    disk.write(tmp_path, index)

    again = Index(8, Segments(tmp_path, 8, 100), StoreSettings())
    assert disk.read(tmp_path, again)
    assert (again.revision, again.live, len(again.codes or [])) == (17, 200, 200)
    assert again.columns is not None
    assert again.columns.rows(np.arange(200)) == rows
    changed = {**rows[3], "number": "three", "tags": ["new"]}
    again.columns.put(np.array([3, 200]), [changed, rows[0]])  # what is mapped can be changed
    again.columns.flush()
    assert again.columns.rows(np.arange(201)) == [*rows[:3], changed, *rows[4:], rows[0]]


@pytest.mark.parametrize("text", ["tags is null", "tags in ('a')", "tags like 'a'", "tags"])
def test_tags_are_only_asked_for_by_in(text: str) -> None:
    with pytest.raises(UsageError, match="tags are a list"):
        Where.parse(text)
