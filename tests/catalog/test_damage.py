"""Damaged rows, lost commits and older databases: what is said, and how it is mended."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.small_rows import filled, flip_text, lose_commits, older, rows
from helpers.small_shop import manifest, state
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog import pointer
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.update import ItemUpdate
from hemline.catalog.stores import _counter
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError, DamageError
from hemline.runtime.bundle import Bundle

NAMED = r"catalog\.sqlite: the row of image 'image6' \(item 'item3', table pictures, id \d+\)"


@pytest.fixture
def damaged(tmp_path: Path) -> SqliteStore:
    filled(tmp_path / "store", 20).close()
    flip_text(tmp_path / "store", b'"price": 106', b'"price": 906')
    return SqliteStore(tmp_path / "store")


READS: dict[str, Callable[[SqliteStore], object]] = {
    "get": lambda store: store.get(["image5", "image6"]),
    "items": lambda store: store.items(["item3"], vectors=False),
    "take": lambda store: store.take(store.search(rows(6, 1)[0].embedding, 3).ids),
    "rows": lambda store: list(store.rows()),
    "condition": lambda store: store.search(
        rows(0, 1)[0].embedding, 3, Where.parse("price > 500", ["price"])
    ),
    "facets": lambda store: store.facets(["price"]),
}


@pytest.mark.parametrize("read", READS)
def test_no_answer_shows_a_damaged_row(damaged: SqliteStore, read: str) -> None:
    with pytest.raises(DamageError, match=NAMED):
        READS[read](damaged)
    damaged.close()


def test_other_answers_stay(damaged: SqliteStore) -> None:
    assert damaged.get(["image5"])["image5"].columns == {"price": 105}
    found = damaged.search(rows(1, 1)[0].embedding, 1)
    assert [row.image_id for row in damaged.take(found.ids) if row] == ["image1"]
    damaged.close()


def test_check_names_a_damaged_row_and_adding_it_again_mends_it(damaged: SqliteStore) -> None:
    for repair in (False, True):
        report = damaged.verify(repair)
        assert [problem.part for problem in report.problems] == ["row"]
        assert "image6" in report.problems[0].found
        assert not report.ok
    damaged.add(rows(6, 1))
    assert damaged.verify().problems == ()
    assert damaged.get(["image6"])["image6"].columns == {"price": 106}
    damaged.close()


@pytest.mark.parametrize("summed", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"price": 106', b'"pr\xe9ce": 106'),  # no UTF-8
        (b'{"price": 106', b'["price": 106'),
        (b'["red"]{"price": 106}', b'["red"] "price: 106" '),
        (b'["red"]{"price": 106}', b'{"e":1}{"price": 106}'),
    ],
)
def test_text_that_cannot_be_read_is_named(
    tmp_path: Path, summed: bool, old: bytes, new: bytes
) -> None:
    filled(tmp_path, 20).close()
    if not summed:
        older(tmp_path)
    flip_text(tmp_path, old, new)
    store = SqliteStore(tmp_path)
    for read in READS.values():
        with pytest.raises(DamageError, match=NAMED):
            read(store)
    report = store.verify(repair=True)
    assert report.problems[0].part == "row"
    assert not any(problem.repaired for problem in report.problems)
    assert report.unsummed == (0 if summed else 20)
    store.add(rows(6, 1))
    assert store.verify(repair=True).problems == ()
    assert store.verify() == store.verify(repair=True)
    store.close()


@pytest.mark.parametrize("text", [' {"a": 1}', '{"a": 1} \n'])
def test_columns_with_blanks_around_them_are_read(tmp_path: Path, text: str) -> None:
    filled(tmp_path, 20).close()
    older(tmp_path)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        db.execute("UPDATE pictures SET columns = ? WHERE image_id = 'image6'", (text,))
    store = SqliteStore(tmp_path)
    assert store.get(["image6"])["image6"].columns == {"a": 1}
    store.close()


@pytest.mark.parametrize("text", ['{"a": 1} {}', '{"a": 1', "", "{} x"])
def test_columns_that_are_no_json_are_damage(tmp_path: Path, text: str) -> None:
    filled(tmp_path, 20).close()
    older(tmp_path)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        db.execute("UPDATE pictures SET columns = ? WHERE image_id = 'image6'", (text,))
    store = SqliteStore(tmp_path)
    with pytest.raises(DamageError, match=NAMED):
        store.get(["image6"])
    store.close()


def test_deeply_nested_columns_are_damage(tmp_path: Path) -> None:
    filled(tmp_path, 20).close()
    older(tmp_path)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        deep = '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"
        db.execute("UPDATE pictures SET columns = ? WHERE image_id = 'image6'", (deep,))
    store = SqliteStore(tmp_path)
    with pytest.raises(DamageError, match=NAMED):
        store.get(["image6"])
    store.close()


def test_an_index_of_sqlite_that_disagrees_is_made_anew(tmp_path: Path) -> None:
    filled(tmp_path, 20).close()
    data = bytearray((tmp_path / "catalog.sqlite").read_bytes())
    places = [found.start() for found in re.finditer(b"image6", data)]
    [place] = [place for place in places if data[place + 7 : place + 11] != b"shop"]
    data[place + 5] = ord("x")  # in the index, not in the row
    (tmp_path / "catalog.sqlite").write_bytes(data)
    store = SqliteStore(tmp_path)
    assert not store.verify().ok
    assert store.verify(repair=True).ok
    assert store.get(["image6"])["image6"].columns == {"price": 106}
    store.close()


def test_compaction_keeps_checksums_and_damage(tmp_path: Path) -> None:
    store = filled(tmp_path, 300)
    store.remove([f"item{n}" for n in range(100) if n != 3])
    store.close()
    flip_text(tmp_path, b'"price": 106', b'"price": 906')
    store = SqliteStore(tmp_path)
    assert store.compact().moved == 2
    assert [p.part for p in store.verify().problems] == ["row"]
    store.add(rows(6, 1))
    assert store.verify().problems == ()
    store.close()


# Older databases


def test_an_older_database_works_and_gets_its_checksums(tmp_path: Path) -> None:
    filled(tmp_path, 20).close()
    older(tmp_path)
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    store.add(rows(20, 2))
    assert store.get(["image6", "image20"]).keys() == {"image6", "image20"}
    report = store.verify()
    assert (report.ok, report.problems, report.unsummed) == (True, (), 22)
    assert store.verify(repair=True).unsummed == 0
    assert store.verify() == other.verify()
    store.add(rows(22, 2))
    other.add(rows(24, 2))
    assert other.verify().problems == ()
    for one in (store, other):
        one.close()
    flip_text(tmp_path, b'"price": 106', b'"price": 906')
    with pytest.raises(DamageError, match=NAMED):
        SqliteStore(tmp_path).get(["image6"])


# Commits


def test_lost_commits_are_told_and_can_be_accepted(tmp_path: Path) -> None:
    lose_commits(tmp_path, kept=2, lost=3)
    with pytest.raises(DamageError, match=r"is 3 commits behind.*restore a backup"):
        SqliteStore(tmp_path)
    store = SqliteStore(tmp_path, damaged=True)
    assert not store.verify().ok
    assert "3 commits behind" in store.verify().problems[0].found
    report = store.verify(repair=True)
    assert report.ok
    assert report.images == 4
    assert store.verify().problems == ()
    assert store.revision > 5  # no revision means two commits
    store.close()
    store = SqliteStore(tmp_path)
    store.add(rows(4, 2))
    assert store.counts().images == 6
    assert store.search(rows(5, 1)[0].embedding, 1).similarity[0] > 0.99
    store.close()


def test_a_counter_that_is_behind_torn_or_missing_is_no_damage(tmp_path: Path) -> None:
    store = filled(tmp_path, 20)
    revision = store.revision
    store.close()
    path = tmp_path / _counter.FILE
    assert _counter.read(tmp_path) == revision
    whole = path.read_bytes()
    for damage in (0, 512):
        torn = bytearray(whole)
        torn[damage + 9] ^= 4
        path.write_bytes(torn)
        assert _counter.read(tmp_path) in (revision, revision - 1)
        SqliteStore(tmp_path).close()
    path.unlink()
    store = SqliteStore(tmp_path)
    assert store.verify().ok
    store.add(rows(0, 1, seed=9))
    assert _counter.read(tmp_path) == revision + 1
    store.close()


def test_an_older_copy_of_the_database_alone_is_told(tmp_path: Path) -> None:
    store = filled(tmp_path, 20)
    store.close()
    shutil.copy(tmp_path / "catalog.sqlite", tmp_path / "old")
    store = SqliteStore(tmp_path)
    store.add(rows(20, 1))
    store.close()
    (tmp_path / "old").replace(tmp_path / "catalog.sqlite")
    with pytest.raises(DamageError, match="1 commit behind"):
        SqliteStore(tmp_path)


# The catalogue


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(manifest(tmp_path / "images", 12), workers=1)
    flip_text(
        tmp_path / "shop", b'"price": 6.0, "title": "No. 6"', b'"price": 9.0, "title": "No. 6"'
    )
    return tmp_path / "shop"


def test_a_backup_refuses_damage_unless_asked(shop: Path, tmp_path: Path) -> None:
    with Catalog.open(shop) as catalog:
        with pytest.raises(DamageError, match=r"so it isn't copied: the row of image '6\.jpg'"):
            catalog.backup(tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        catalog.backup(tmp_path / "copy", damaged=True)
    with Catalog.open(tmp_path / "copy") as copy:
        health = copy.check()
        assert [problem.part for problem in health.problems] == ["row"]


def test_a_backup_of_a_catalogue_without_its_last_commits_is_told(tmp_path: Path) -> None:
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "bundle"))
    rows_ = manifest(tmp_path / "images", 12)
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(rows_, workers=1)
    _counter.reset(tmp_path / "shop", 99)
    with pytest.raises(CatalogError, match="behind"):
        Catalog.open(tmp_path / "shop")
    with Catalog.open(tmp_path / "shop", damaged=True) as catalog:
        with pytest.raises(DamageError, match="behind"):
            catalog.backup(tmp_path / "copy")
        catalog.backup(tmp_path / "copy", damaged=True)
        assert catalog.check(repair=True).ok
        catalog.backup(tmp_path / "good")
    with pytest.raises(CatalogError, match="behind"):
        Catalog.open(tmp_path / "copy")
    with Catalog.open(tmp_path / "good") as catalog:
        assert catalog.check().problems == []


def test_writing_or_removing_a_damaged_item_mends_it(shop: Path, tmp_path: Path) -> None:
    rows_ = manifest(tmp_path / "images", 12)
    before = tmp_path / "before"
    shutil.copytree(shop, before)
    with Catalog.open(before) as catalog:
        catalog.add(rows_, workers=1)
        assert catalog.check(deep=True).ok
        assert state(catalog)["6.jpg"][3]["price"] == 6.0
    with Catalog.open(shop) as catalog:
        [outcome] = catalog.update([ItemUpdate("item3", remove=True)])
        assert (outcome.status, outcome.images, outcome.found) == ("removed", 2, True)
        assert catalog.check(deep=True).ok
        assert catalog.store.counts().images == 10


def test_a_rebuild_and_an_export_refuse_a_damaged_row(shop: Path, tmp_path: Path) -> None:
    other = Bundle.open(make_tiny_bundle(tmp_path / "other", seed=5))
    with Catalog.open(shop) as catalog:
        for verb in (
            lambda: catalog.rebuild(other),
            lambda: catalog.export(tmp_path / "items.parquet"),
        ):
            with pytest.raises(DamageError, match=r"image '6\.jpg'"):
                verb()


def test_the_pointer_has_a_checksum(tmp_path: Path) -> None:
    for number in (1, 3):
        (tmp_path / f"rebuilt-{number}").mkdir()
    pointer.make_live(tmp_path, tmp_path / "rebuilt-3")
    whole = (tmp_path / "live").read_text()
    assert pointer.live_folder(tmp_path).name == "rebuilt-3"
    for damaged in (whole.replace("rebuilt-3", "rebuilt-1"), whole[:-2] + "\n", "\udcff" + whole):
        (tmp_path / "live").write_text(damaged, errors="surrogateescape")
        with pytest.raises(DamageError, match="live"):
            pointer.live_folder(tmp_path)
    (tmp_path / "live").write_text("rebuilt-1\n")  # as earlier versions wrote it
    assert pointer.live_folder(tmp_path).name == "rebuilt-1"


def test_damage_of_the_schema_is_one_line(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    path = tmp_path / "catalog.sqlite"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"TABLE pictures", b'TABLE "ictures'))  # SQLite names all of it
    with pytest.raises(CatalogError, match="is damaged: ") as caught:
        SqliteStore(tmp_path)
    assert "\n" not in str(caught.value)
