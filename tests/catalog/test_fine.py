"""The finer codes of huge stores: their order, growth and files, and how a store gets them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hemline.catalog.index import disk, fine
from hemline.catalog.index.fine import Fine
from hemline.catalog.segments import SegmentError
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores.sqlite import SqliteStore

DIM = 32
PLAIN = StoreSettings(segment_rows=700, exact_rows=500, train_rows=2000)
HUGE = dataclasses.replace(
    PLAIN, lists_rows=1000, lists=16, huge_rows=1000, list_rows=100, huge_part=1
)


def made(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Unit vectors (count, DIM)."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def rows(vectors: npt.NDArray[np.float32], first: int = 0) -> list[Row]:
    return [Row(f"image{n}", f"item{n}", vector, 1.0) for n, vector in enumerate(vectors, first)]


def fine_of(store: SqliteStore) -> Fine | None:
    with store._reader.index(fill=True) as index:
        assert index.codes is not None
        return index.codes.fine


def test_the_best_are_those_of_the_decoded_codes(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fine, "_BLOCK", 300)
    vectors = made(2000, 0)
    codes = Fine.train(vectors[:500], 1500, tmp_path)
    assert not list(tmp_path.iterdir())  # the room has no name
    codes.add(np.arange(0, 900), vectors[:900])
    codes.add(np.arange(901, 1600), vectors[901:1600])  # slot 900 was removed
    codes.add(np.arange(1600, 2000), vectors[1600:])  # beyond the room
    assert len(codes) == 2000
    slots = np.delete(np.arange(1, 2000, 2), 30)
    coded = codes._quantizer.sa_encode(vectors[slots])
    again = codes._quantizer.sa_decode(coded)
    for query in made(5, 1):
        best = codes.best(query, slots, 40)
        assert (np.diff(best) > 0).all()
        expected = np.sort(slots[np.argsort(-(again @ query))[:40]])
        assert len(np.intersect1d(best, expected)) >= 39  # sums differ in the last bit
    np.testing.assert_array_equal(codes.best(made(1, 1)[0], slots[:7], 40), slots[:7])


def test_what_was_written_is_read_and_grows(tmp_path: Path) -> None:
    vectors = made(1000, 0)
    codes = Fine.train(vectors, 600, tmp_path)
    codes.add(np.arange(800), vectors[:800])
    (tmp_path / "saved").mkdir()
    codes.write(tmp_path / "saved")
    again = Fine.read(tmp_path / "saved")
    assert again is not None
    assert len(again) == 800
    for one in (codes, again):
        one.add(np.arange(800, 1000), vectors[800:])
        some = np.array([0, 599, 600, 799, 800, 999])
        np.testing.assert_array_equal(one._take(some), one._quantizer.sa_encode(vectors[some]))
    assert Fine.read(tmp_path) is None


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), None])
def test_without_a_file_the_room_is_memory(
    tmp_path: Path, monkeypatch: Any, fault: OSError | None
) -> None:
    def full(*_: Any) -> None:
        assert fault is not None
        raise fault

    if fault is None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    codes = Fine.train(made(100, 0), 100, tmp_path)
    codes.add(np.arange(100), made(100, 0))
    assert codes._mapped.base is None


def test_a_store_gets_them_when_it_has_grown_or_comes_from_an_earlier_version(
    tmp_path: Path,
) -> None:
    small = dataclasses.replace(HUGE, huge_rows=10_000)
    store = SqliteStore.create(tmp_path, "print", DIM, small)
    store.add(rows(made(3000, 0)))
    store.save()
    assert fine_of(store) is None
    store.close()
    store = SqliteStore(tmp_path, HUGE)
    query = made(1, 1)[0]
    exact = store.search_exact(query, 5)
    np.testing.assert_array_equal(store.search(query, 5).ids, exact.ids)
    store.save()
    found = fine_of(store)
    assert found is not None
    assert len(found) == 3000
    store.add(rows(made(30, 2), 3000))
    assert store.search(made(30, 2)[7], 1).ids[0] == store.search_exact(made(30, 2)[7], 1).ids[0]
    store.close()
    again = SqliteStore(tmp_path, HUGE)
    assert fine_of(again) is not None
    np.testing.assert_array_equal(again.search(query, 5).ids, again.search_exact(query, 5).ids)
    again.close()


def test_damaged_ones_are_as_good_as_none(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path, "print", DIM, HUGE)
    store.add(rows(made(3000, 0)))
    store.save()
    store.close()
    path = disk.folders(tmp_path)[0] / "fine.npy"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    assert list(disk.damaged_files(path.parent)) == ["fine.npy"]
    again = SqliteStore(tmp_path, HUGE)
    query = made(1, 1)[0]
    np.testing.assert_array_equal(again.search(query, 9).ids, again.search_exact(query, 9).ids)
    again.close()


def test_prefetching_changes_nothing_and_names_a_missing_segment(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path, "print", DIM, PLAIN)
    store.add(rows(made(1500, 0)))
    segments = store._segments
    ids = np.array([700, 701, 1399, 1400, 2199])
    before = segments.halves(ids)
    segments.prefetch(ids)
    np.testing.assert_array_equal(segments.halves(ids), before)
    with pytest.raises(SegmentError):
        segments.prefetch(np.array([700 * 50]))
    store.close()


def test_the_number_of_lists_grows_with_the_images() -> None:
    settings = StoreSettings()
    assert [settings.lists_for(n * 1_000_000) for n in (1, 4, 10, 19, 20, 50, 100, 1000)] == [
        1, 1024, 1024, 1024, 1024, 2048, 4096, 65536,
    ]  # fmt: skip
    assert settings.sample(50_000_000) == 40 * 2048
    assert settings.sample(10_000_000) == 40 * 1024
    assert settings.reread(20, 100_000_000) > settings.reread(20, 50_000_000) >= 20
