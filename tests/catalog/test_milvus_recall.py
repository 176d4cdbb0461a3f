"""Recall on a Milvus server under conditions, where a filtered walk over HNSW loses it silently."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hemline.catalog.milvus.search as search_module
from helpers import milvus
from hemline.catalog.store import Row
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.milvus import MilvusStore
from hemline.catalog.where.expression import Where

pytestmark = pytest.mark.slow

ROWS, DIM, K = 8_000, 32, 20
#: Conditions on what has nothing to do with the vectors, on what has all to do with them, and on
#: rows that were written one after the other.
CONDITIONS = (
    "price < 500", "price < 100", "price < 20", "category = 'c3'", "category != 'c3'", "lot = 3",
    "lot < 2",
)  # fmt: skip


def made() -> list[Row]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(16, DIM))
    groups = rng.integers(0, 16, ROWS)
    vectors = centres[groups] + 0.7 * rng.normal(size=(ROWS, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prices = rng.integers(0, 1000, ROWS).tolist()
    return [
        Row(str(n), f"item{n}", vectors[n].astype(np.float32), 1.0, category=f"c{groups[n]}",
            columns={"price": prices[n], "lot": n // 1000})
        for n in range(ROWS)
    ]  # fmt: skip


def index(store: MilvusStore) -> None:
    """Seals the rows, so that they are searched by HNSW."""
    client = store._client
    client.call("flush", client.collection)
    end = time.monotonic() + 300
    while client.call("describe_index", client.collection, "vector").get("pending_index_rows"):
        assert time.monotonic() < end
        time.sleep(0.5)
    client.call("refresh_load", client.collection)


#: Limits that are smaller than they are, so that each way of searching is taken, and the recall
#: that it has to have: of HNSW's nearest, by lists of ids that Milvus compares each.
WAYS = {
    "nearest": ({"EXACT": 300, "EXACT_MANY": 0, "MAX_HITS": 2_000, "LISTED": 0}, 0.99),
    "listed": ({"EXACT": 0, "EXACT_MANY": 0, "MAX_HITS": 60, "_CALL": -K - 16}, 1.0),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, MemoryStore]]:
    """The rows on Milvus, sealed and indexed, and in memory."""
    folder = tmp_path_factory.mktemp("recall")
    milvus.write_address(folder, milvus.server().address("?timeout=120"))
    rows, exact = made(), MemoryStore("print", DIM)
    exact.add(rows)
    store: Any = MilvusStore.create(folder, "print", DIM)
    for start in range(0, ROWS, 2_000):
        store.add(rows[start : start + 2_000])
    index(store)
    yield store, exact
    store.close()


@pytest.mark.parametrize("way", WAYS)
def test_recall_under_conditions(
    stores: tuple[Any, MemoryStore], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, exact = stores
    limits, least = WAYS[way]
    for name, value in limits.items():
        monkeypatch.setattr(search_module, name, value)
    queries = np.stack([row.embedding for row in made()[:: ROWS // 40]])
    for text in (None, *CONDITIONS) if way == "nearest" else CONDITIONS:
        where = None if text is None else Where.parse(text, ["price", "lot"])
        found = []
        for mine, right in zip(
            store.search_many(queries, K, where), exact.search_many(queries, K, where), strict=True
        ):
            assert len(mine.ids) == len(right.ids)
            got = {row.image_id for row in store.take(mine.ids, vectors=False)}
            want = {row.image_id for row in exact.take(right.ids) if row is not None}
            found.append(len(got & want) / len(want))
        assert np.mean(found) >= least, (text, np.mean(found))
