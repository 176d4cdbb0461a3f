"""The SQLite store where it is large: codes, parts, lists, filters, saving; in small."""

from __future__ import annotations

import dataclasses
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from hemline.catalog.index import disk
from hemline.catalog.index.columns import Columns
from hemline.catalog.index.scan import STEP, Flat, scan, threads
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where

DIM, COUNT = 32, 6000
ONE = StoreSettings(segment_rows=700, exact_rows=500, subset_rows=300, train_rows=2000)
LAYOUTS = {
    "one part": ONE,
    "two parts": dataclasses.replace(ONE, parts_rows=1000),
    "lists": dataclasses.replace(ONE, parts_rows=1000, lists_rows=1000, lists=16, probes=12),
}
LAYOUTS["finer codes"] = dataclasses.replace(
    LAYOUTS["lists"], huge_rows=1000, list_rows=100, huge_part=2, fine_part=60
)
Vectors = npt.NDArray[np.float32]


def made(count: int, seed: int) -> Vectors:
    """Clustered unit vectors (count, DIM)."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(60, DIM))
    vectors = centres[rng.integers(60, size=count)] + 0.5 * rng.normal(size=(count, DIM))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit, np.float32)


def rows(vectors: Vectors, first: int = 0) -> list[Row]:
    return [
        Row(
            image_id=f"image{n}",
            item_id=f"item{n // 2}",
            embedding=vector,
            norm=2.0,
            category="dress" if n % 10 < 5 else "shirt",
            tags=("season=summer",) if n % 100 < 10 else (),
            columns={"price": n % 1000},
        )
        for n, vector in enumerate(vectors, first)
    ]


def filled(folder: Path, settings: StoreSettings) -> SqliteStore:
    store = SqliteStore.create(folder, "print", DIM, settings)
    for start in range(0, COUNT, 1500):
        store.add(rows(made(COUNT, 0)[start : start + 1500], start))
    store.save()
    return store


def recall(store: SqliteStore, queries: Vectors, k: int, text: str | None = None) -> float:
    """Share of the exact answer; the similarities of what is found are exact."""
    where = None if text is None else Where.parse(text, ["price"])
    found = 0.0
    for query, answer in zip(queries, store.search_many(queries, k, where), strict=True):
        exact = store.search_exact(query, k, where)
        assert len(answer.ids) == len(exact.ids)
        known = dict(zip(exact.ids.tolist(), exact.similarity.tolist(), strict=True))
        for id_, similarity in zip(answer.ids.tolist(), answer.similarity.tolist(), strict=True):
            assert known.get(id_, similarity) == similarity
        assert (np.diff(answer.similarity) <= 0).all()
        common = set(answer.ids.tolist()) & set(exact.ids.tolist())
        found += len(common) / len(exact.ids) if len(exact.ids) else 1.0
    return found / len(queries)


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> StoreSettings:
    return LAYOUTS[request.param]


def codes_of(store: SqliteStore) -> Any:
    with store._reader.index() as index:
        return index.codes


def test_codes_find_what_a_scan_finds(layout: StoreSettings, tmp_path: Path) -> None:
    store = filled(tmp_path, layout)
    assert len(codes_of(store)) == COUNT
    queries = made(40, 1)
    for k in (1, 20, 100):
        assert recall(store, queries, k) >= 0.99
    for text in ("category = 'dress'", "'summer' in tags", "price < 10", "price < 0"):
        assert recall(store, queries, 20, text) >= 0.99
    store.close()


def test_a_known_condition_is_tested_on_changed_rows_alone(
    tmp_path: Path, monkeypatch: Any
) -> None:
    store = filled(tmp_path, ONE)
    wheres = [Where.parse(text, ["price"]) for text in ("price < 500", "category = 'dress'")]
    query = made(1, 1)[0]
    for where in wheres:
        store.search(query, 5, where)
    masks: list[str] = []
    whole = Columns.mask
    monkeypatch.setattr(
        Columns, "mask", lambda self, where, n: (masks.append(where.text), whole(self, where, n))[1]
    )
    fresh = made(60, 5)
    store.add(rows(fresh[:30], COUNT))  # new, and with the vectors and prices of others
    store.add([dataclasses.replace(row, columns={"price": 999}) for row in rows(fresh[30:], 100)])
    store.remove([f"item{n}" for n in range(400, 430)])
    for where in wheres:
        answer = store.search(query, 400, where)
        with store._reader.index(columns=True) as index:
            np.testing.assert_array_equal(
                index.mask(where), whole(index.columns, where, len(index)) & index.alive.data
            )
        assert not {row.item_id for row in store.take(answer.ids) if row} & {"item410", "item429"}
    assert masks == []
    store.add(rows(made(3000, 6), COUNT + 500))  # more than are tested one by one
    store.search(query, 5, wheres[0])
    assert masks == ["price < 500"]
    store.close()


def test_a_scan_is_what_numpy_says(tmp_path: Path) -> None:
    store = filled(tmp_path, ONE)
    vectors = made(COUNT, 0).astype(np.float16).astype(np.float64)
    for query in made(5, 1):
        exact = store.search_exact(query, 30)
        sums = (vectors @ query.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_equal(exact.ids, np.argsort(-sums, kind="stable")[:30] + 700)
        np.testing.assert_array_equal(exact.similarity, np.sort(sums)[::-1][:30])
    store.close()


@pytest.mark.parametrize("dim", [5, STEP - 1, STEP, STEP + 2])
def test_flat_vectors_are_scanned_in_whole_steps(dim: int) -> None:
    """FAISS's fast kernels take no other widths; the zeros behind the vectors change no sum."""
    draw = np.random.default_rng(dim)
    half = draw.standard_normal((70, dim)).astype(np.float16)
    query = draw.standard_normal(dim).astype(np.float32)
    flat = Flat(dim)
    flat.add(half[:40])
    flat.add(half[40:])
    assert flat._index.d % STEP == 0
    score, found = flat.search(query, 70)
    sums = half.astype(np.float32) @ query
    np.testing.assert_array_equal(found, np.argsort(-sums, kind="stable"))
    np.testing.assert_allclose(score, sums[found], atol=1e-4)


def test_changes_are_found_at_once_and_what_left_is_not(
    layout: StoreSettings, tmp_path: Path
) -> None:
    store = filled(tmp_path, layout)
    other = SqliteStore(tmp_path, layout)
    fresh = made(300, 7)
    other.search(fresh[0], 5)  # has loaded what was saved
    store.add(rows(fresh[:200], 0))  # of known image_ids
    store.add(rows(fresh[200:], COUNT))
    removed = [f"item{n}" for n in range(1000, 1400)]
    assert len(store.remove(removed)) == 400
    for one in (store, other):
        assert recall(one, fresh[:40], 20) >= 0.99
        first = [one.search(vector, 1).ids[0] for vector in fresh]
        names = [row.image_id for row in one.take(np.array(first)) if row]
        assert names == [f"image{n}" for n in [*range(200), *range(COUNT, COUNT + 100)]]
        answer = one.search(made(1, 3)[0], 3000)
        assert not {row.item_id for row in one.take(answer.ids) if row} & set(removed)
        assert codes_of(one) is not None
    store.close()
    other.close()


def test_without_codes_the_answer_is_exact_until_they_are_made(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path, "print", DIM, ONE)
    store.add(rows(made(2000, 0)))
    query = made(1, 1)[0]
    exact = store.search_exact(query, 20)
    for _ in range(3):
        np.testing.assert_array_equal(store.search(query, 20).ids, exact.ids)
    builder = store._reader._builder
    if builder is not None:
        builder.join()
    store.search(query, 20)
    assert len(codes_of(store)) == 2000
    store.close()


def test_litter_is_left_behind_beside_the_searches(tmp_path: Path) -> None:
    settings = dataclasses.replace(ONE, removed_share=0.2, retrain_growth=100.0)
    store, reader = filled(tmp_path, settings), SqliteStore(tmp_path, settings)
    first = codes_of_searched(reader)
    reader.search(made(1, 1)[0], 5, Where.parse("price < 500", ["price"]))
    store.remove([f"item{n}" for n in range(0, COUNT // 2, 3)])
    for n in range(4):
        store.add(rows(made(1, n), COUNT + n))
        assert codes_of_searched(reader) in (first, codes_of(reader))  # never without codes
    builder = reader._reader._builder
    if builder is not None:
        builder.join()
    assert recall(reader, made(20, 1), 20, "category = 'dress'") >= 0.99
    with reader._reader.index(flushed=True) as index:
        assert len(index) == index.live == COUNT * 2 // 3 + 4
        assert index.codes is not first
    assert reader.verify().ok
    store.compact()
    other = SqliteStore(tmp_path, settings)
    for one in (store, reader, other):
        assert recall(one, made(20, 1), 20, "category = 'dress'") >= 0.99
        assert one.verify().ok
        one.close()


def test_a_saved_index_is_used_and_caught_up(tmp_path: Path, monkeypatch: Any) -> None:
    store = filled(tmp_path, ONE)
    saved = disk.revision(tmp_path)
    assert saved == store.revision
    store.add(rows(made(20, 5), COUNT))
    store.close()
    monkeypatch.setattr("hemline.catalog.index.index.Index.build_codes", None)  # must not be needed
    again = SqliteStore(tmp_path, ONE)
    assert len(codes_of_searched(again)) == COUNT + 20
    assert recall(again, made(20, 5), 5, "price < 500") >= 0.99
    again.close()


def codes_of_searched(store: SqliteStore) -> Any:
    store.search(made(1, 1)[0], 1)
    return codes_of(store)


@pytest.mark.parametrize("damage", ["flip", "cut", "list", "gone"])
def test_a_damaged_index_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    store = filled(tmp_path, ONE)
    store.close()
    saved = disk.folders(tmp_path)[0]
    codes = saved / "codes-0.faiss"
    if damage == "flip":
        data = bytearray(codes.read_bytes())
        data[len(data) // 2] ^= 1
        codes.write_bytes(data)
    elif damage == "cut":
        codes.write_bytes(codes.read_bytes()[:-9])
    elif damage == "list":
        (saved / "index.json").write_text("{}")
    else:
        shutil.rmtree(saved)
    again = SqliteStore(tmp_path, ONE)
    assert recall(again, made(10, 1), 20, "category = 'dress'") == 1.0  # scanned
    again.close()


@pytest.mark.parametrize(("old", "new"), [("season=summer", "season=simmer"), ("price", "prica")])
def test_a_damaged_name_is_shown_by_no_answer(tmp_path: Path, old: str, new: str) -> None:
    """Failed before: the list of files had no checksum, and it has the tags and columns' names."""
    store = filled(tmp_path, ONE)
    good = store.facets(["tags", "price"])
    store.close()
    listed = disk.folders(tmp_path)[0] / "index.json"
    listed.write_text(listed.read_text().replace(f'"{old}"', f'"{new}"'))
    again = SqliteStore(tmp_path, ONE)
    assert again.facets(["tags", "price"]) == good
    assert again.search(made(1, 1)[0], 5, Where.parse("'summer' in tags")).ids.size == 5
    found = [problem for problem in again.verify().problems if problem.part == "index"]
    assert ["its list" in problem.found for problem in found] == [True]
    again.close()


def test_trained_anew_when_grown(tmp_path: Path) -> None:
    store = filled(tmp_path, dataclasses.replace(ONE, retrain_growth=2.0))
    assert codes_of(store).trained == COUNT
    store.add(rows(made(COUNT + 10, 8), COUNT))
    store.save()
    assert codes_of(store).trained == 2 * COUNT + 10
    store.close()


def test_trained_anew_when_drifted(tmp_path: Path) -> None:
    store = filled(tmp_path, dataclasses.replace(ONE, retrain_loss=1.2))
    store.add(rows(made(3000, 8), COUNT))
    store.save()
    assert codes_of(store).trained == COUNT  # more of the same
    rng = np.random.default_rng(0)
    away = rng.normal(size=(3000, DIM)).astype(np.float32)  # not clustered
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    store.add(rows(away, 2 * COUNT))
    store.save()
    assert codes_of(store).trained == COUNT + 6000
    assert recall(store, away[:20], 20) >= 0.99
    store.close()


def test_many_equal_vectors_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path, "print", DIM, ONE)
    one = made(1, 0)
    store.add(rows(np.repeat(one, 400, axis=0)))
    found = store.search(one[0], 10)
    np.testing.assert_array_equal(found.ids, np.arange(700, 710))
    ids = np.arange(5000, dtype=np.int64)  # more than a block
    same = np.repeat(one.astype(np.float16), 5000, axis=0)

    def read(some: npt.NDArray[np.int64], out: npt.NDArray[np.float16]) -> None:
        out[:] = same[some]

    np.testing.assert_array_equal(scan(one[0], 7, ids, read).ids, np.arange(7))
    store.close()


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_the_setting_of_threads_is_put_back() -> None:
    with threads(1):
        assert faiss.omp_get_max_threads() == 1
    assert faiss.omp_get_max_threads() == 3
    with pytest.raises(ZeroDivisionError), threads(1):
        1 / 0  # noqa: B018
    assert faiss.omp_get_max_threads() == 3


def test_a_forked_process_searches_in_two_parts(tmp_path: Path) -> None:
    store = filled(tmp_path, LAYOUTS["two parts"])
    query = made(1, 1)[0]
    expected = store.search(query, 5).ids.tolist()  # which starts the parent's threads
    codes = codes_of(store)
    mine, theirs = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        theirs.send([len(part) for part in codes.candidates(query[None], 40, None, COUNT)])

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert mine.poll(60), "the child waits for threads that it doesn't have"
    assert mine.recv() == [40]
    process.join(10)
    assert store.search(query, 5).ids.tolist() == expected
    store.close()
