"""What a saved index has mapped grows without a copy, and is saved and read with room to grow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hemline.catalog.index import disk
from hemline.catalog.index.column import CodedColumn
from hemline.catalog.index.growing import GrowingArray, Texts
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where
from hemline.documents import CHECKSUM, checksum, read_document

DIM = 16
SETTINGS = StoreSettings(segment_rows=700, exact_rows=500, train_rows=1000)
CHEAP = Where.parse("price < 3", ["price"])


def rows(start: int, count: int) -> list[Row]:
    vectors = np.random.default_rng(start).normal(size=(count, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Row(
            f"image{n}",
            f"item{n}",
            vector,
            1.0,
            category="dress",
            tags=(f"size={n % 3}",),
            columns={"price": n % 10, "colour": f"red{n % 4}"},
        )
        for n, vector in enumerate(vectors, start)
    ]


def saved(folder: Path) -> SqliteStore:
    store = SqliteStore.create(folder, "print", DIM, SETTINGS)
    store.add(rows(0, 2000))
    store.save()
    store.close()
    return SqliteStore(folder, SETTINGS)


def memory_of(store: SqliteStore) -> dict[str, Any]:
    """Where each array of the index begins, and its longest piece of texts."""
    with store._reader.index(columns=True, fill=True) as index:
        assert index.columns is not None
        found: dict[str, Any] = {n: getattr(index, n).data for n in ("ids", "alive", "items")}
        tags = index.columns.tags
        found |= {n: getattr(tags, n).data for n in ("start", "count", "codes")}
        for name, column in index.columns.columns.items():
            if isinstance(column, CodedColumn):
                found[name] = column.codes.data
                found[f"{name} texts"] = column.texts.pieces[0].buffers()[2]
            else:
                found[name], found[f"{name} whole"] = column.array.data, column.whole.data
    return {
        name: data.address if isinstance(data, pa.Buffer) else data.ctypes.data
        for name, data in found.items()
    }


def test_commits_after_opening_copy_nothing_that_is_saved(tmp_path: Path) -> None:
    """Failed before: the first commit copied all, conditions all texts after each commit."""
    store = saved(tmp_path)
    query = rows(5, 1)[0].embedding
    store.search(query, 3, CHEAP)
    before = memory_of(store)
    assert len(before) == 16
    for start, count in ((2000, 600), (2600, 200)):
        store.add(rows(start, count))
        store.remove([f"item{start - 7}"])
        found = store.search(query, 3, CHEAP)
        np.testing.assert_array_equal(found.ids, store.search_exact(query, 3, CHEAP).ids)
        assert memory_of(store) == before
    row = store.get(["image2780"])["image2780"]
    assert row.columns == {"price": 0, "colour": "red0"}
    store.save()
    store.close()
    again = SqliteStore(tmp_path, SETTINGS)
    assert memory_of(again).keys() == before.keys()
    np.testing.assert_array_equal(
        again.search(query, 9, CHEAP).ids, again.search_exact(query, 9, CHEAP).ids
    )
    assert again.facets(["colour"])["colour"].values[0] == ("red0", 700)
    assert not again.verify().problems
    again.close()


def test_an_index_of_the_format_before_is_read_and_grows(tmp_path: Path) -> None:
    saved(tmp_path).close()
    folder = disk.folders(tmp_path)[0]
    about = read_document(folder / "index.json")
    slots, tag_codes = about.pop("slots"), about["columns"].pop("tag_codes")
    about["format"] = 1
    for path in folder.glob("*.npy"):
        length = tag_codes if path.stem == "tags-codes" else slots
        np.save(path, np.load(path)[:length])
        about["files"][path.name] = disk._size_and_crc(path)
    about[CHECKSUM] = checksum(about)
    (folder / "index.json").write_text(json.dumps(about), "utf-8")
    store = SqliteStore(tmp_path, SETTINGS)
    with store._reader.index(columns=True) as index:
        assert index.codes is not None
    store.add(rows(2000, 600))
    query = rows(2100, 1)[0].embedding
    np.testing.assert_array_equal(
        store.search(query, 9, CHEAP).ids, store.search_exact(query, 9, CHEAP).ids
    )
    assert not store.verify().problems
    store.close()


def test_arrays_that_are_too_short_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "some.npy"
    disk._write_array(path, np.arange(10))
    assert len(disk._read_array(path, 10)) == 10
    with pytest.raises(ValueError, match="fewer elements"):
        disk._read_array(path, 5000)


def test_texts_are_found_in_whatever_piece_they_are() -> None:
    texts, expected = Texts(), list[str]()
    rng = np.random.default_rng(0)
    for count in (0, 500, *rng.integers(1, 40, 60).tolist()):
        fresh = [f"text {n}" for n in range(len(expected), len(expected) + count)]
        texts.append(fresh)
        expected += fresh
        assert len(texts) == len(expected)
        assert len(texts.pieces) < 12
    assert texts.to_pylist() == expected
    some = rng.integers(0, len(expected), 300)
    assert texts.take(some).to_pylist() == [expected[n] for n in some]
    assert texts.take(some[:0]).to_pylist() == []
    told = {start: piece.to_pylist() for start, piece in texts.slices(70)}
    assert all(expected[start : start + len(piece)] == piece for start, piece in told.items())
    assert sum(map(len, told.values())) == len(expected)


def test_an_array_uses_its_room_and_then_moves() -> None:
    data = np.arange(10)
    array = GrowingArray(data, 4)
    array.resize(6, 7)
    assert array.data.tolist() == [0, 1, 2, 3, 7, 7]
    assert array.data.base is data
    array.resize(11, 8)
    assert array.data.tolist() == [0, 1, 2, 3, 7, 7, 8, 8, 8, 8, 8]
    fixed = np.arange(3)
    fixed.flags.writeable = False
    array = GrowingArray(fixed)
    array.resize(4, 1)
    assert array.data.tolist() == [0, 1, 2, 1]
