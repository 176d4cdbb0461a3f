"""How many columns an item, a manifest and a feed may have, and how they leave a catalogue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.options import SyncOptions
from hemline.catalog.intake.update import AttributeChanges, Attributes, ImageUpdate, ItemUpdate
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.data.manifest import Manifest
from hemline.errors import DataError, HemlineError, UsageError
from hemline.limits import MAX_CATALOG_COLUMNS, MAX_COLUMN_NAME, MAX_COLUMNS, MAX_FEED_COLUMNS
from hemline.runtime.bundle import Bundle

TOO_MANY = {f"c{n}": n for n in range(MAX_COLUMNS + 1)}
TOO_LONG = {"n" * (MAX_COLUMN_NAME + 1): 1}
MOST = {f"c{n}".ljust(MAX_COLUMN_NAME, "x"): n for n in range(MAX_COLUMNS)}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.create(tmp_path / "shop", Bundle.open(make_tiny_bundle(tmp_path / "bundle")))
    made.add(manifest(tmp_path / "data", 6))
    return made


def with_columns(rows: Manifest, columns: dict[str, int]) -> Manifest:
    records = [replace(record, extra={**record.extra, **columns}) for record in rows]
    return Manifest.from_records(records, rows.root)


@pytest.mark.parametrize("columns", [TOO_MANY, TOO_LONG], ids=["many", "long"])
def test_every_entry_has_the_same_limit(
    catalog: Catalog, tmp_path: Path, columns: dict[str, int]
) -> None:
    before = catalog.store.columns()
    image = (tmp_path / "data/0.jpg").read_bytes()
    update = ItemUpdate("new", Attributes("", (), columns), [ImageUpdate(image)])
    (outcome,) = catalog.update([update])
    assert (outcome.status, "column" in outcome.reason) == ("refused", True)
    (outcome,) = catalog.update([ItemUpdate("item0", AttributeChanges(columns=columns))])
    assert outcome.status == "refused"
    rows = manifest(tmp_path / "data", 6)
    with pytest.raises(UsageError, match="column"):
        catalog.add(with_columns(rows, columns))
    row = {"id": "a", "image": "data/0.jpg", **columns}
    for name, text in (
        ("feed.jsonl", json.dumps(row)),
        ("feed.csv", f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(HemlineError, match="column"):
            catalog.sync(tmp_path / name)
    assert catalog.store.columns() == before
    assert catalog.check().ok


def test_what_the_limit_allows_is_stored(catalog: Catalog, tmp_path: Path) -> None:
    image = (tmp_path / "data/0.jpg").read_bytes()
    update = ItemUpdate("new", Attributes("", (), MOST), [ImageUpdate(image)])
    assert [o.status for o in catalog.update([update])] == ["added"]
    one_more = ItemUpdate("new", AttributeChanges(columns={"more": 1}))
    (outcome,) = catalog.update([one_more])
    assert outcome.status == "refused"
    assert f"more than {MAX_COLUMNS} columns" in outcome.reason
    name = next(iter(MOST))
    instead = ItemUpdate("new", AttributeChanges(columns={"more": 1, name: None}))
    assert [o.status for o in catalog.update([instead])] == ["updated"]


def test_a_feed_of_ever_new_columns_is_refused_early(catalog: Catalog, tmp_path: Path) -> None:
    new = MAX_FEED_COLUMNS // 10
    rows = [
        {"id": n, "image": "data/0.jpg", **{f"c{n}_{k}": 1 for k in range(new)}} for n in range(50)
    ]
    (tmp_path / "feed.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(HemlineError, match="more than 1,000 columns"):
        catalog.sync(tmp_path / "feed.jsonl")


def test_a_header_of_countless_columns_is_refused_at_once(tmp_path: Path) -> None:
    """Each name was compared with all others, which for so many takes hours."""
    names = [f"c{n}" for n in range(400_000)]
    path = tmp_path / "feed.csv"
    path.write_text(f"{','.join(names)}\n")
    with pytest.raises(DataError, match="more than 1,000 columns"):
        Feed.read(path)
    path.write_text(f"{','.join([*names, names[-1]])}\n")
    with pytest.raises(DataError, match="in the header twice"):
        Manifest.read(path)


def test_columns_that_no_item_has_leave_at_compaction(catalog: Catalog, tmp_path: Path) -> None:
    image = (tmp_path / "data/0.jpg").read_bytes()
    before = catalog.store.columns()
    many = {f"passing{n}": n for n in range(50)}
    attributes = Attributes("", (), {**many, "kept": 1})
    catalog.update([ItemUpdate("new", attributes, [ImageUpdate(image)])])
    catalog.update([ItemUpdate("item0", AttributeChanges(columns={"kept": 2, "short": 1}))])
    catalog.update([ItemUpdate("item0", AttributeChanges(columns={"short": None}))])
    catalog.compact()
    assert set(catalog.store.columns()) == {*before, *many, "kept"}  # "short" left
    catalog.remove(["new"])
    catalog.compact()
    assert set(catalog.store.columns()) == {*before, "kept"}
    with pytest.raises(UsageError, match="passing1"):
        catalog.store.facets(["passing1"])
    assert catalog.store.facets(["kept"])["kept"].items == 1
    assert catalog.check(deep=True).ok
    with Catalog.open(tmp_path / "shop") as again:
        assert set(again.store.columns()) == {*before, "kept"}


def test_columns_that_no_item_has_leave_at_a_rebuild(catalog: Catalog, tmp_path: Path) -> None:
    before = catalog.store.columns()
    catalog.update([ItemUpdate("item0", AttributeChanges(columns={"passing": 1}))])
    catalog.update([ItemUpdate("item0", AttributeChanges(columns={"passing": None}))])
    assert "passing" in catalog.store.columns()
    catalog.rebuild(Bundle.open(make_tiny_bundle(tmp_path / "new", seed=9)))
    assert catalog.store.columns() == before


def new_item(image: bytes, number: int) -> ItemUpdate:
    """An item with as many columns as it may have, which no other has."""
    columns = {f"{number}_{n}": float(n) for n in range(MAX_COLUMNS)}
    return ItemUpdate(f"new{number}", Attributes("", (), columns), [ImageUpdate(image)])


def test_a_catalogue_has_a_bounded_number_of_columns(catalog: Catalog, tmp_path: Path) -> None:
    image = (tmp_path / "data/0.jpg").read_bytes()
    fits = (MAX_CATALOG_COLUMNS - len(catalog.store.columns())) // MAX_COLUMNS
    outcomes = list(catalog.update([new_item(image, n) for n in range(fits + 3)]))
    assert [o.status for o in outcomes] == ["added"] * fits + ["refused"] * 3
    assert f"{MAX_CATALOG_COLUMNS:,} are the most" in outcomes[-1].reason
    before = catalog.store.columns()
    assert len(before) <= MAX_CATALOG_COLUMNS
    room = MAX_CATALOG_COLUMNS - len(before)
    some = {"price": 1.0, before[0]: 2.0, **{f"some{n}": n for n in range(room // 2)}}
    (outcome,) = catalog.update([ItemUpdate("item0", AttributeChanges(columns=some))])
    assert outcome.status == "updated"
    before = catalog.store.columns()
    many = {f"more{n}": n for n in range(room - room // 2 + 1)}
    with pytest.raises(UsageError, match="are the most"):
        catalog.add(with_columns(manifest(tmp_path / "more", 2), many))
    (tmp_path / "feed.jsonl").write_text(json.dumps({"id": "a", "image": "data/0.jpg", **many}))
    with pytest.raises(UsageError, match="are the most"):
        catalog.sync(tmp_path / "feed.jsonl", SyncOptions(allow_removals=1.0))
    assert catalog.store.columns() == before


def test_names_that_have_left_take_no_memory_for_good(catalog: Catalog, tmp_path: Path) -> None:
    image = (tmp_path / "data/0.jpg").read_bytes()
    assert isinstance(catalog.store, SqliteStore)
    for number in range(3 * MAX_CATALOG_COLUMNS // MAX_COLUMNS):
        (outcome,) = catalog.update([new_item(image, number)])
        assert outcome.status == "added"
        assert catalog.store.facets([f"{number}_1"])[f"{number}_1"].items == 1
        catalog.remove([f"new{number}"])
        catalog.compact()
    with catalog.store._reader.index(columns=True) as index:
        assert index.columns is not None
        assert len(index.columns.columns) <= MAX_CATALOG_COLUMNS + MAX_COLUMNS + 10
    assert catalog.check(deep=True).ok
