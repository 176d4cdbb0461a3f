"""Recall on a Milvus server under conditions, where a filtered walk over HNSW loses it silently."""

from __future__ import annotations

import time
from pathlib import Path
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
#: Conditions on what has nothing to do with the vectors, and on what has all to do with them.
CONDITIONS = ("price < 500", "price < 100", "price < 20", "category = 'c3'", "category != 'c3'")


def made() -> list[Row]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(16, DIM))
    groups = rng.integers(0, 16, ROWS)
    vectors = centres[groups] + 0.7 * rng.normal(size=(ROWS, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prices = rng.integers(0, 1000, ROWS).tolist()
    return [
        Row(str(n), f"item{n}", vectors[n].astype(np.float32), 1.0, category=f"c{groups[n]}",
            columns={"price": prices[n]})
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


def test_recall_under_conditions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    milvus.write_address(tmp_path, milvus.server().address("?timeout=120"))
    # Smaller than they are, so that each way of searching is taken.
    for name, value in (("EXACT", 300), ("EXACT_MANY", 0), ("MAX_HITS", 2_000)):
        monkeypatch.setattr(search_module, name, value)
    rows, exact = made(), MemoryStore("print", DIM)
    exact.add(rows)
    store: Any = MilvusStore.create(tmp_path, "print", DIM)
    for start in range(0, ROWS, 2_000):
        store.add(rows[start : start + 2_000])
    index(store)
    queries = np.stack([row.embedding for row in rows[:: ROWS // 40]])
    for text in (None, *CONDITIONS):
        where = None if text is None else Where.parse(text, ["price"])
        found = []
        for mine, right in zip(
            store.search_many(queries, K, where), exact.search_many(queries, K, where), strict=True
        ):
            assert len(mine.ids) == len(right.ids)
            got = {row.image_id for row in store.take(mine.ids, vectors=False)}
            want = {row.image_id for row in exact.take(right.ids) if row is not None}
            found.append(len(got & want) / len(want))
        assert np.mean(found) >= 0.99, (text, np.mean(found))
    store.close()
