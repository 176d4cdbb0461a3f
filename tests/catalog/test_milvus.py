"""A catalogue on milvus-lite, and what a store on Milvus does when writing is cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hemline.catalog.milvus.reader as reader_module
import hemline.catalog.milvus.search as search_module
from helpers import milvus
from helpers.small_rows import DIM, rows
from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog import pointer
from hemline.catalog.catalog import Catalog
from hemline.catalog.milvus.address import Address
from hemline.catalog.milvus.client import LOG, Client
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.milvus import MilvusStore
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError, DamageError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _needed() -> None:
    milvus.needed()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MilvusStore]:
    made = MilvusStore.create(tmp_path, "print", DIM)
    yield made
    made.close()


def names(store: Any) -> list[str]:
    return [row.image_id for row in store.rows()]


# A catalogue


def test_a_catalogue_answers_as_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    shop = manifest(tmp_path / "data", 20)
    embedded = Catalog.create("embedded", bundle)
    remote = Catalog.create("shop", bundle, address="milvus-lite:shop.db")
    photo = str(next((tmp_path / "data").rglob("*.jpg")))
    for catalog in (embedded, remote):
        catalog.add(shop)
        catalog.remove([next(iter(catalog.store.row_keys())).item_id])
    answers = [
        Engine(catalog, threads=1).search(photo, k=9, where=where, facets=["category"])
        for catalog in (embedded, remote)
        for where in ("category = 'dress'", None)
    ]
    for mine, theirs in zip(answers[2:], answers[:2], strict=True):
        assert [h.image_id for h in mine.hits] == [h.image_id for h in theirs.hits]
        assert [h.score for h in mine.hits] == [h.score for h in theirs.hits]
        assert mine.facets == theirs.facets
    assert remote.check(deep=True).ok
    assert remote.stats()["pictures"] == embedded.stats()["pictures"]
    with pytest.raises(CatalogError, match="catalog copy"):
        remote.backup(tmp_path / "backup")
    remote.close()
    with Catalog.open("milvus-lite:shop.db") as opened:
        assert opened.folder == Path("shop")
        assert opened.store.counts() == embedded.store.counts()
    with pytest.raises(CatalogError, match="has a catalogue shop already"):
        Catalog.create("other", bundle, address="milvus-lite:shop.db")
    assert not Path("other").exists()
    embedded.close()


def test_a_rebuild_swaps_the_alias_and_drops_the_old_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Bundle.open(make_tiny_bundle(tmp_path / "old"))
    new = Bundle.open(make_tiny_bundle(tmp_path / "new", seed=9))
    lite = f"milvus-lite:{tmp_path / 'shop.db'}"
    with Catalog.create(tmp_path / "shop", old, address=lite) as catalog:
        catalog.add(manifest(tmp_path / "data", 12))
        before = names(catalog.store)
        first = catalog.store.stats()["collection"]
        assert catalog.rebuild(new).embedded == 12
        store = catalog.live().store
        assert (store.fingerprint, names(store)) == (new.fingerprint, before)
        assert isinstance(store, MilvusStore)
        assert store._client.has_alias
        monkeypatch.setattr(pointer, "GRACE", 0.0)
        catalog.remove([next(iter(store.row_keys())).item_id])
        second = store.stats()["collection"]
        assert sorted(store._client.call("list_collections")) == sorted([second, second + LOG])
        assert first != second


# Searching


@pytest.mark.parametrize("path", ["nearest", "listed", "exact"])
def test_every_way_of_a_search_agrees_with_the_exact_store(
    store: MilvusStore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = MemoryStore("print", DIM)
    for one in (store, exact):
        one.add(rows(0, 300))
        one.remove(["item3", "item30"])
        one.add(rows(100, 20, seed=1))
    if path != "exact":
        monkeypatch.setattr(search_module, "EXACT", 0)
        monkeypatch.setattr(search_module, "EXACT_MANY", 0)
    if path == "listed":
        monkeypatch.setattr(search_module, "MAX_HITS", 60)
        monkeypatch.setattr(search_module, "_IDS", 50)
    queries = np.stack([row.embedding for row in rows(1000, 3)])
    for text in (None, "price < 130", "price >= 390", "price < 0"):
        where = None if text is None else Where.parse(text, ["price"])
        for k in (1, 7, 40):
            got = store.search_many(queries, k, where)
            want = exact.search_many(queries, k, where)
            for mine, theirs in zip(got, want, strict=True):
                np.testing.assert_array_equal(mine.similarity, theirs.similarity)
                found = [row and row.image_id for row in store.take(mine.ids)]
                assert found == [row and row.image_id for row in exact.take(theirs.ids)]


def test_more_hits_than_milvus_gives_are_refused(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(rows(0, 50))
    for name, value in (("MAX_HITS", 30), ("EXACT", 5)):
        monkeypatch.setattr(search_module, name, value)
    assert len(store.search(rows(0, 1)[0].embedding, 40).ids) == 40  # few are compared exactly
    monkeypatch.setattr(search_module, "EXACT_MANY", 5)
    with pytest.raises(UsageError, match="at most, not 40"):
        store.search(rows(0, 1)[0].embedding, 40)


# Writing that is cut off


def cut_off(monkeypatch: pytest.MonkeyPatch, what: str, log: bool) -> None:
    """Lets the next call of a method for the log, or for the rows, fail after half of it."""
    original = getattr(Client, what)

    def failing(self: Client, given: Any, log: bool = False) -> None:
        if log is not wanted:
            return original(self, given, log=log)
        monkeypatch.setattr(Client, what, original)
        original(self, given[: len(given) // 2], log=log)
        raise CatalogError("cut off")

    wanted = log
    monkeypatch.setattr(Client, what, failing)


@pytest.mark.parametrize(
    ("what", "log", "stored"),
    [("upsert", False, False), ("upsert", True, False), ("delete", False, True)],
    ids=["rows", "record", "deletion"],
)
def test_a_commit_that_is_cut_off_is_there_whole_or_not_at_all(
    store: MilvusStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    log: bool,
    stored: bool,
) -> None:
    store.add(rows(0, 20))
    before = {row.image_id: row.embedding.tolist() for row in store.rows()}
    cut_off(monkeypatch, what, log)
    changed = rows(10, 20, seed=1)
    with pytest.raises(CatalogError, match="cut off"):
        store.add(changed)
    expected = before | (
        {row.image_id: row.embedding.astype(np.float16).tolist() for row in changed}
        if stored
        else {}
    )
    other = MilvusStore(tmp_path)
    for one in (store, other):
        found = {row.image_id: row.embedding.tolist() for row in one.rows()}
        assert found == expected
        assert one.counts().images == len(expected)
    other.add(changed)
    other.add(rows(50, 1))
    assert other.counts().images == 31
    other.compact()
    total = other._client.query("", ["count(*)"], strong=True)[0]["count(*)"]
    assert total == 31  # nothing is left of what was cut off
    other.close()
    store._reader.sync(strong=True)
    assert store.counts().images == 31
    assert store.verify().ok


def test_a_checkpoint_keeps_the_log_short_and_readers_up_to_date(
    store: MilvusStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hemline.catalog.milvus.writer.CHECKPOINT", 5)
    monkeypatch.setattr("hemline.catalog.milvus.log.PIECE", 4)
    reader = MilvusStore(tmp_path)
    for start in range(0, 60, 3):
        store.add(rows(start, 3))
        store.remove([f"item{start // 2}"])
    assert store.stats()["log_records"] <= 6
    assert len(store._client.query("id >= 0", ["id"], log=True)) <= 12
    reader._reader.sync(strong=True)
    again = MilvusStore(tmp_path)
    for one in (reader, again):
        assert names(one) == names(store)
        assert one.revision == store.revision == 40
        assert one.item_page(9) == store.item_page(9)
        one.close()


def test_missing_and_damaged_rows_are_found(store: MilvusStore, tmp_path: Path) -> None:
    store.add(rows(0, 10))
    found = store._client.query("id == 3", ["*"])[0]
    store._client.upsert([{**found, "payload": found["payload"].replace("dress", "shirt")}])
    report = store.verify()
    assert not report.ok
    assert "id" in report.problems[0].found or "damaged" in report.problems[0].found
    store._client.upsert([{**found, "vector": [0.5] * DIM}])
    assert store.verify().lost == (json.loads(found["payload"])[0],)
    store._client.delete([3])
    assert "missing" in store.verify().problems[0].found
    with pytest.raises(DamageError, match="missing"):
        MilvusStore(tmp_path)


def test_records_that_come_late_after_a_restart_are_waited_for(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: after a dozen looks they were called missing."""
    store.add(rows(0, 4))
    reader, looks = store._reader, []
    look = reader._try

    def late(strong: bool) -> tuple[bool, str]:
        looks.append(strong)
        if len(looks) <= 40:
            raise KeyError(1)
        return look(strong)

    monkeypatch.setattr(reader, "_try", late)
    monkeypatch.setattr(reader_module, "_PAUSE", 0.0)
    with monkeypatch.context() as server:
        server.setattr(Address, "is_lite", property(lambda self: False))
        reader.sync(strong=True)
    assert len(looks) == 41
    del looks[:]
    with pytest.raises(DamageError, match="log of commits is incomplete"):  # of a file
        reader.sync(strong=True)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_store_opens_while_another_process_writes(
    store: MilvusStore, tmp_path: Path, checkpoint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: rows that were replaced between two reads were called missing."""
    store.add(rows(0, 12))
    if checkpoint:
        store.compact()
    fetch, scan, busy = Client.fetch, Client.scan, []

    def write() -> None:
        if len(busy) < 40 and (not busy or busy[-1] == "done"):
            busy.append("writes")
            store.add([replace(row, columns={"price": len(busy)}) for row in rows(0, 2)])
            busy[-1] = "done"

    def slow_fetch(self: Client, *given: Any, **options: Any) -> Any:
        write()
        return fetch(self, *given, **options)

    def slow_scan(self: Client, *given: Any, **options: Any) -> Any:
        found = scan(self, *given, **options)
        write()
        return found

    with monkeypatch.context() as slow:
        slow.setattr(Client, "fetch", slow_fetch)
        slow.setattr(Client, "scan", slow_scan)
        other = MilvusStore(tmp_path)
    assert len(busy) >= 2
    other._reader.sync(strong=True)
    assert names(other) == names(store)
    assert [dict(row.columns) for row in other.rows()] == [dict(r.columns) for r in store.rows()]
    other.close()


def test_a_row_longer_than_milvus_keeps_is_refused(store: MilvusStore) -> None:
    row = replace(rows(0, 1)[0], columns={"text": "x" * 70_000})
    with pytest.raises(CatalogError, match="65535"):
        store.add([row])
    assert store.counts().images == 0
