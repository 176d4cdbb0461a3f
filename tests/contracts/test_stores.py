"""Every registered store agrees with the exact in-memory one."""

from __future__ import annotations

import dataclasses
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from helpers import milvus
from hemline.catalog.store import Row, Store
from hemline.catalog.stores import STORES
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError

DIM = 12
CONDITIONS = [
    "category = 'dress'",
    "price < 50 and 'floral' in tags",
    "not (price >= 20) or item_id in ('item1', 'item2')",
    "category = 'no such'",
    "'M' in size or size > 37",
]
FACETS = ["category", "tags", "item_id"]


def make_row(rng: np.random.Generator, image: int) -> Row:
    vector = rng.normal(size=DIM).astype(np.float32)
    norm = float(np.linalg.norm(vector))
    price = [None, float(rng.integers(1, 100)), int(rng.integers(1, 100))][int(rng.integers(3))]
    return Row(
        image_id=f"image{image} 'é'",
        item_id=f"item{int(rng.integers(12))}",
        embedding=vector / np.float32(norm),
        norm=norm,
        category=["dress", "shirt", ""][int(rng.integers(3))],
        tags=("pattern=floral", "colour=red")[: int(rng.integers(3))],
        columns={}
        if price is None
        else {"price": price, "title": f"Nº {image}", "size": ["S", "M", 38][: image % 4]},
        source=f"source{image}",
        image_digest=f"{image:04x}",
    )


def plain(row: Row) -> dict:
    whole = {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
    return whole | {"embedding": row.embedding.tolist()}


def assert_agree(store: Store, exact: Store, rng: np.random.Generator) -> None:
    assert store.counts() == exact.counts()
    assert [plain(r) for r in store.rows()] == [plain(r) for r in exact.rows()]
    assert list(store.row_keys()) == list(exact.row_keys())
    assert set(exact.columns()) <= set(store.columns())
    assert store.image_digests() == exact.image_digests()
    for text in [None, *CONDITIONS]:
        where = None if text is None else Where.parse(text, ["price", "title", "size"])
        query = rng.normal(size=DIM).astype(np.float32)
        query /= np.linalg.norm(query)
        k = int(rng.integers(1, 40))
        got, want = store.search(query, k, where), exact.search(query, k, where)
        np.testing.assert_allclose(got.similarity, want.similarity, atol=1e-5)
        if got.vectors is not None:  # what a search read is what the store has
            embedding, norm = store.vectors(got.ids)
            np.testing.assert_array_equal(got.vectors.embedding.astype(np.float32), embedding)
            np.testing.assert_array_equal(got.vectors.norm, norm)
            contexts = got.vectors.embedding * got.vectors.norm[:, None]
            np.testing.assert_array_equal(contexts, embedding * norm[:, None])
        assert store.tag_names() == exact.tag_names()
        facets = [*FACETS, *exact.columns(), *(f"tags.{name}" for name in exact.tag_names())]
        assert store.facets(facets, where, 4) == exact.facets(facets, where, 4)
        names = [[r.image_id for r in s.take(n.ids) if r] for s, n in ((store, got), (exact, want))]
        assert names[0] == names[1]
        for after in ("", "item1", "item5", "zzz"):
            limit = int(rng.integers(1, 14))
            assert store.item_page(limit, after, where) == exact.item_page(limit, after, where)


def reopened(name: str, store: Store, folder: Path) -> Store:
    store.close()
    return STORES[name].open(folder)


@pytest.fixture(
    params=[
        *(name for name in STORES if name != "milvus"),
        pytest.param("milvus-lite", marks=pytest.mark.slow),
        pytest.param("milvus-server", marks=pytest.mark.slow),
    ]
)
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if not request.param.startswith("milvus"):
        return request.param
    milvus.needed()
    if request.param == "milvus-server":
        milvus.write_address(tmp_path, milvus.server().address())
    return "milvus"


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_exact_store(name: str, seed: int, tmp_path: Path) -> None:
    rng, choose = np.random.default_rng(seed), random.Random(seed)
    store = STORES[name].create(tmp_path, "print", DIM)
    exact = MemoryStore("print", DIM)
    for _ in range(25):
        if choose.random() < 0.7:  # adds; often of an image_id that is there already
            images = [int(i) for i in rng.integers(0, 80, choose.randint(1, 15))]
            rows = [make_row(rng, image) for image in dict.fromkeys(images)]
            store.add(rows)
            exact.add(rows)
        else:
            items = [f"item{int(i)}" for i in rng.integers(0, 14, 3)]
            assert store.remove(items) == exact.remove(items)
        if STORES[name].file and choose.random() < 0.2:
            store = reopened(name, store, tmp_path)
        assert_agree(store, exact, rng)
        some = [r.image_id for r in exact.rows()][:5]
        assert store.get([*some, "none"]).keys() == set(some)
        assert [plain(r) for r in store.items(["item1", "item2"])] == [
            plain(r) for r in exact.items(["item1", "item2"])
        ]
        bare = store.items(["item1", "item2"], vectors=False)
        assert [plain(r) for r in bare] == [
            plain(r) for r in exact.items(["item1", "item2"], vectors=False)
        ]
    store.close()


def test_pictures_leave_in_the_commit_that_brings_others(name: str, tmp_path: Path) -> None:
    store = STORES[name].create(tmp_path, "print", DIM)
    rng = np.random.default_rng(0)
    rows = [dataclasses.replace(make_row(rng, n), image_id=f"image{n}") for n in range(5)]
    store.add(rows[:4])
    before = store.revision
    store.add([rows[4]], ["image1", "image3", "no such"])
    assert store.revision == before + 1
    assert [row.image_id for row in store.rows()] == ["image0", "image2", "image4"]
    assert [tuple(key) for key in store.row_keys()] == [
        (row.image_id, row.item_id, row.source, row.image_digest) for row in store.rows()
    ]
    store.add([], ["image0"])
    assert store.get(["image0"]) == {}
    found = store.take(store.search(rows[0].embedding, 9).ids)
    bare = store.take(store.search(rows[0].embedding, 9).ids, vectors=False)
    assert [row and row.image_id for row in bare] == [row and row.image_id for row in found]
    assert all(row is not None and len(row.embedding) == 0 for row in bare)
    assert {row.image_id for row in found if row} == {"image2", "image4"}


def test_rows_since_a_revision_are_those_written_after_it(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    store = STORES[name].create(tmp_path, "print", DIM)
    rows = [dataclasses.replace(make_row(rng, n), image_id=f"image{n}") for n in range(6)]
    store.add(rows[:4])
    before = store.revision
    assert [row.image_id for row in store.rows(before)] == []
    store.add([dataclasses.replace(rows[1], category="changed"), rows[4]])
    store.add([rows[5]], [rows[0].image_id])
    since = {row.image_id: row.category for row in store.rows(before)}
    assert (
        since.items()
        >= {
            rows[1].image_id: "changed",
            rows[4].image_id: rows[4].category,
            rows[5].image_id: rows[5].category,
        }.items()
    )
    assert rows[0].image_id not in since
    assert len(list(store.rows(0))) == 5


def test_an_empty_store_answers(name: str, tmp_path: Path) -> None:
    store = STORES[name].create(tmp_path, "print", DIM)
    assert store.counts() == (0, 0)
    assert len(store.search(np.ones(DIM, np.float32), 5).ids) == 0
    assert store.remove(["nothing"]) == {}
    assert (store.fingerprint, store.dim) == ("print", DIM)
    store.close()


@pytest.mark.parametrize("few", [0, 10_000], ids=["walked", "looked up"])
def test_products_page_by_page(
    name: str, tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hemline.catalog.stores._listing._FEW", few)
    store = STORES[name].create(tmp_path, "print", DIM)
    rng = np.random.default_rng(0)
    names = [f"{n * 37 % 300:03d} é" for n in range(300)]  # stored in another order than listed
    rows = [
        dataclasses.replace(
            make_row(rng, n), image_id=f"{n}", item_id=names[n // 2], columns={"n": n // 2 % 100}
        )
        for n in range(600)
    ]
    store.add(rows)
    assert store.item_page(5) == (tuple(sorted(names)[:5]), (600, 300), True)
    gone = sorted(names)[3:150]
    store.remove(gone)
    store.add([dataclasses.replace(rows[0], item_id="~ the last")])
    left = sorted({*names, "~ the last"} - {*gone})
    rare = Where.parse("n = 7", ["n"])
    for where, wanted in ((None, left), (rare, [i for i in left if i in names[7::100]])):
        listed: list[str] = []
        while True:
            page = store.item_page(7, listed[-1] if listed else "", where)
            assert page.counts.items == len(wanted)
            listed += page.item_ids
            if not page.more:
                break
        assert listed == wanted
    assert store.item_page(7, "~ the last") == ((), (2 * len(left) - 2, len(left)), False)
    store.close()


def test_equal_vectors_come_in_the_order_of_their_ids(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    same = make_row(rng, 0)
    store = STORES[name].create(tmp_path, "print", DIM)
    store.add([dataclasses.replace(same, image_id=f"i{n}") for n in range(9)])
    found = store.search(same.embedding, 9)
    assert found.ids.tolist() == sorted(found.ids.tolist())
    store.close()


def test_a_vector_of_another_length_is_refused_with_its_whole_batch(
    name: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    store = STORES[name].create(tmp_path, "print", DIM)
    wrong = dataclasses.replace(make_row(rng, 1), embedding=np.ones(3, np.float32))
    with pytest.raises(CatalogError, match=r"\(3,\), not \(12,\)"):
        store.add([make_row(rng, 0), wrong])
    assert store.counts().images == 0
    store.close()


def test_a_removed_id_is_none_and_never_comes_again(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store = STORES[name].create(tmp_path, "print", DIM)
    row = make_row(rng, 0)
    store.add([row])
    before = store.search(row.embedding, 1).ids
    store.add([dataclasses.replace(make_row(rng, 0), item_id=row.item_id)])
    after = store.search(row.embedding, 1).ids
    assert before.tolist() != after.tolist()
    assert store.take(before) == [None]
    store.remove([row.item_id])
    assert store.take(after) == [None]
    store.close()


def test_threads_write_and_search_at_once(name: str, tmp_path: Path) -> None:
    store = STORES[name].create(tmp_path, "print", DIM)
    rng = np.random.default_rng(0)
    batches = [[make_row(rng, 10 * b + i) for i in range(10)] for b in range(15)]
    failed: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        own, last = np.random.default_rng(1), 0
        try:
            while not done.is_set():
                found = store.search(own.normal(size=DIM).astype(np.float32), 500)
                assert len(found.ids) % 10 == 0  # whole batches only
                assert len(found.ids) >= last
                last = len(found.ids)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for batch in batches:
        store.add(batch)
    done.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert store.counts().images == 150
    store.close()
