"""The persistent store against the in-memory one, in any order of changes hypothesis finds.

The settings are so small that a hundred rows lie in many segments, have codes and inverted lists.
All lists are looked into and there are always fewer rows than candidates, so that answers by codes,
too, must be the exact ones.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers.crash_ops import plain
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where

DIM = 16
TINY = StoreSettings(
    segment_rows=32,
    exact_rows=30,
    subset_rows=10,
    subset_part=1000,
    train_rows=512,
    parts_rows=80,
    lists_rows=120,
    lists=4,
    probes=4,
    retrain_growth=1.5,
)
CONDITIONS = (
    "category = 'dress'",
    "price < 50 and 'floral' in tags",
    "not (price >= 20) or item_id in ('item1', 'item2')",
    "title like 'N% 1%' and price is not null",
    "'M' in size or size = 'L'",
    "category = 'no such'",
)
EXTRA = ("price", "size", "title")
images = st.integers(0, 150)
seeds = st.integers(0, 2**32 - 1)


def made(image: int, seed: int) -> Row:
    rng = np.random.default_rng([image, seed])
    vector = rng.normal(size=DIM) + 2 * np.eye(DIM)[int(rng.integers(4))]
    columns: dict[str, Any] = {"title": f"Nº {image}"}
    if rng.random() < 0.8:
        columns["price"] = int(rng.integers(1, 100))
    if rng.random() < 0.5:
        columns["size"] = ["S", "M", "L"][: int(rng.integers(4))]
    return Row(
        image_id=f"image{image} 'é'",
        item_id=f"item{image % 23}",
        embedding=(vector / np.linalg.norm(vector)).astype(np.float32),
        norm=float(rng.uniform(0.5, 20)),
        category=("dress", "shirt", "")[int(rng.integers(3))],
        tags=("pattern=floral", "colour=red")[: int(rng.integers(3))],
        columns=columns,
        source=f"source{seed}",
        image_digest=f"{image:04x}",
    )


class Stores(RuleBasedStateMachine):
    """Every change is made to both; every question is asked of both."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="hemline-stateful-"))
        self.folder = self.root / "store"
        self.folder.mkdir()
        self.store: Any = SqliteStore.create(self.folder, "print", DIM, TINY)
        self.exact: Any = MemoryStore("print", DIM)
        self.copies = 0

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.store.close()
            shutil.rmtree(self.root, ignore_errors=True)

    # Changes

    @rule(first=images, count=st.integers(1, 90), seed=seeds)
    def add_many(self, first: int, count: int, seed: int) -> None:
        rows = [made(image % 151, seed) for image in range(first, first + count)]
        self.store.add(rows)
        self.exact.add(rows)

    @rule(chosen=st.lists(images, min_size=1, max_size=6), seed=seeds)
    def add_some(self, chosen: list[int], seed: int) -> None:
        rows = [made(image, seed + at) for at, image in enumerate(chosen)]  # some come twice
        self.store.add(rows)
        self.exact.add(rows)

    @rule(share=st.floats(0.05, 1), price=st.integers(0, 99), seed=seeds)
    def change_columns(self, share: float, price: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = [
            replace(row, columns={**row.columns, "price": price}, category="coat")
            for row in self.exact.rows()
            if rng.random() < share
        ]
        ids = self.store.search(np.ones(DIM, np.float32), 1000).ids.tolist()
        self.store.add(rows)
        self.exact.add(rows)
        assert self.store.search(np.ones(DIM, np.float32), 1000).ids.tolist() == ids

    @rule(chosen=st.lists(images, max_size=6), gone=st.lists(images, max_size=6), seed=seeds)
    def exchange(self, chosen: list[int], gone: list[int], seed: int) -> None:
        rows = [made(image, seed) for image in chosen]
        names = [f"image{image} 'é'" for image in gone if image not in chosen]
        self.store.add(rows, names)
        self.exact.add(rows, names)

    @rule(items=st.lists(st.integers(0, 24), min_size=1, max_size=8))
    def remove(self, items: list[int]) -> None:
        names = [f"item{item}" for item in items]
        assert self.store.remove(names) == self.exact.remove(names)

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def save(self) -> None:
        self.store.save()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.folder, settings=TINY)

    # Questions

    @rule(seed=seeds, k=st.integers(1, 60), text=st.sampled_from([None, *CONDITIONS]))
    def search(self, seed: int, k: int, text: str | None) -> None:
        query = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
        query /= np.linalg.norm(query)
        where = None if text is None else Where.parse(text, EXTRA)
        want = self.exact.search(query, k, where)
        names = [row.image_id for row in self.exact.take(want.ids)]
        for got in (
            self.store.search(query, k, where),
            self.store.search_exact(query, k, where),
            self.store.search_many(np.stack([query, -query]), k, where)[0],
        ):
            assert got.similarity.tolist() == want.similarity.tolist()
            assert [row.image_id for row in self.store.take(got.ids)] == names
        kept = self.store.vectors(got.ids)
        right = self.exact.vectors(want.ids)
        assert np.array_equal(kept.embedding, right.embedding)
        assert np.array_equal(kept.norm, right.norm)
        codes = self.store.item_codes(got.ids).tolist()
        items = [row.item_id for row in self.exact.take(want.ids)]
        assert len(set(codes)) == len(set(items)) == len(set(zip(codes, items, strict=True)))

    @rule(text=st.sampled_from([None, *CONDITIONS]), limit=st.integers(1, 30))
    def facets(self, text: str | None, limit: int) -> None:
        where = None if text is None else Where.parse(text, EXTRA)
        columns = ["category", "item_id", "tags"]
        columns += [name for name in EXTRA if name in self.exact.columns()]
        assert self.store.facets(columns, where, limit) == self.exact.facets(columns, where, limit)

    @rule()
    def verify(self) -> None:
        report = self.store.verify()
        assert (report.ok, report.problems, report.lost) == (True, (), ())
        assert report.images == self.exact.counts().images

    @precondition(lambda self: self.copies < 3)
    @rule()
    def backup(self) -> None:
        self.copies += 1
        place = self.root / f"copy{self.copies}"
        place.mkdir()
        self.store.backup(place)
        copy = SqliteStore(place, settings=TINY)
        assert agree(copy, self.exact)
        assert copy.verify().ok
        copy.close()

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "store"):
            assert agree(self.store, self.exact)


def agree(store: Any, exact: Any) -> bool:
    """Whether both hold the same rows, and count them alike."""
    held, right = list(store.rows()), list(exact.rows())
    assert len(held) == len({row.image_id for row in held})
    assert store.counts() == exact.counts()
    assert store.image_digests() == exact.image_digests()
    assert set(exact.columns()) <= set(store.columns())
    assert sorted(store.row_keys()) == sorted(exact.row_keys())
    left = {row.image_id: plain(row) for row in held}
    return left == {row.image_id: plain(row) for row in right}


Stores.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestStores = Stores.TestCase
