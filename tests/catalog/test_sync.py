from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.feed_map import parse_pairs
from hemline.catalog.intake.options import SyncOptions
from hemline.data.images import encode_jpeg
from hemline.errors import CatalogError, DataError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


def write_picture(path: Path, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(image))
    os.utime(path, (1_600_000_000 + seed, 1_600_000_000 + seed))


Line = dict[str, Any]


def lines(root: Path, count: int) -> list[Line]:
    """Products with one picture each."""
    for n in range(count):
        write_picture(root / f"img/{n}.jpg", n)
    return [
        {"id": f"sku{n}", "title": f"Dress {n}", "image_link": f"img/{n}.jpg",
         "price": f"{n}.50 EUR", "product_type": "Apparel > Dresses"}
        for n in range(count)
    ]  # fmt: skip


def feed(root: Path, rows: list[Line], name: str = "feed.jsonl") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def state(catalog: Catalog) -> dict[str, Any]:
    """All that is stored of each picture, but its number."""
    return {
        row.image_id: (
            row.item_id, row.category, row.tags, dict(row.columns), row.source, row.image_digest,
            row.norm, row.embedding.tobytes(),
        )
        for row in catalog.store.rows()
    }  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "bundle"))


@pytest.fixture
def catalog(tmp_path: Path, bundle: Bundle) -> Catalog:
    return Catalog.create(tmp_path / "shop", bundle)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of pictures at each call of the shop tower."""
    seen: list[int] = []
    encode = BundleEncoder.encode_shop

    def counting(self: BundleEncoder, images: list, tags: list) -> object:
        seen.append(len(images))
        return encode(self, images, tags)

    monkeypatch.setattr(BundleEncoder, "encode_shop", counting)
    return seen


def test_a_feed_comes_in_and_a_second_run_does_nothing(
    catalog: Catalog, tmp_path: Path, embedded: list[int]
) -> None:
    path = feed(tmp_path, lines(tmp_path, 5))
    report = catalog.sync(path, SyncOptions(batch=2))
    assert (report.items, report.new, report.images.embedded, report.removed_items) == (5, 5, 5, 0)
    row = catalog.store.get(["img/3.jpg"])["img/3.jpg"]
    assert (row.item_id, row.category, row.domain) == ("sku3", "Dresses", "shop")
    assert dict(row.columns) == {
        "title": "Dress 3", "price": 3.5, "currency": "EUR", "product_type": "Apparel > Dresses",
    }  # fmt: skip
    before = state(catalog)
    embedded.clear()
    again = catalog.sync(path)
    assert (again.unchanged, again.new, again.changed, embedded) == (5, 0, 0, [])
    assert state(catalog) == before


def test_a_known_file_isn_t_even_read(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = feed(tmp_path, lines(tmp_path, 3))
    catalog.sync(path)
    read: list[str] = []
    import hemline.catalog.intake.prepare as prepare

    real = prepare.read_bytes
    monkeypatch.setattr(prepare, "read_bytes", lambda p: read.append(Path(p).name) or real(p))
    catalog.sync(path)
    assert read == []
    os.utime(tmp_path / "img/1.jpg")
    assert catalog.sync(path).unchanged == 3
    assert read == ["1.jpg"]
    assert catalog.sync(path, SyncOptions(reread=True)).unchanged == 3
    assert sorted(read) == ["0.jpg", "1.jpg", "1.jpg", "2.jpg"]


def test_the_feed_s_changes_are_followed(
    catalog: Catalog, tmp_path: Path, embedded: list[int]
) -> None:
    rows = lines(tmp_path, 10)
    catalog.sync(feed(tmp_path, rows))
    embedded.clear()
    rows[0]["price"] = "99 EUR"  # columns only
    write_picture(tmp_path / "img/1.jpg", 77)  # another picture under the old name
    (tmp_path / "img/2.jpg").rename(tmp_path / "img/renamed.jpg")  # the same under another
    rows[2]["image_link"] = "img/renamed.jpg"
    write_picture(tmp_path / "img/new.jpg", 78)
    rows[3]["image_link"] = "img/new.jpg"  # another picture
    del rows[9]
    report = catalog.sync(feed(tmp_path, rows))
    assert (report.changed, report.unchanged, report.removed_items, report.new) == (4, 5, 1, 0)
    assert (report.images.embedded, report.images.duplicates, report.images.columns) == (2, 1, 1)
    assert report.images.removed == 3  # the old pictures of 2 and 3, and that of 9
    assert sum(embedded) == 2
    fresh = Catalog.create(tmp_path / "fresh", catalog.bundle)
    fresh.sync(feed(tmp_path, rows))
    assert state(catalog) == state(fresh)
    assert catalog.sweep() == 0  # no copy is left behind


def test_many_gone_products_stop_it(catalog: Catalog, tmp_path: Path) -> None:
    rows = lines(tmp_path, 10)
    catalog.sync(feed(tmp_path, rows))
    before = state(catalog)
    rows[0]["price"] = "99 EUR"
    with pytest.raises(CatalogError, match=r"lacks 3 of the catalogue's 10 .*--allow-removals 0.3"):
        catalog.sync(feed(tmp_path, rows[:7]))
    assert state(catalog) == before
    planned = catalog.sync(feed(tmp_path, rows[:7]), SyncOptions(dry_run=True))
    assert (planned.removed_items, planned.removal_share, planned.images.columns) == (3, 0.3, 1)
    assert state(catalog) == before
    asked = []
    catalog.sync(
        feed(tmp_path, rows[:9]),
        SyncOptions(allow_removals=lambda r: bool(asked.append(r)) or True),
    )
    assert [(r.removed, r.of) for r in asked] == [(1, 10)]
    catalog.sync(feed(tmp_path, rows[:7]), SyncOptions(allow_removals=0.3))
    assert catalog.store.counts().items == 7
    with pytest.raises(UsageError, match="from 0 to 1, not 3"):
        catalog.sync(feed(tmp_path, rows), SyncOptions(allow_removals=3.0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("id,image_link,price\n", "has no item"),
        ("id,image_link,price\nsku0,img/0.jpg,1\nsku1,img/", "breaks off.*line 3"),
        ('id,image_link,price\nsku0,img/0.jpg,"1', "breaks off"),
        ("id,image_link,price\n,img/0.jpg,1\nsku1,img/1.jpg,2\n", "1 rows of the feed can't"),
        ("id,image_link,price\nsku0,nowhere.jpg,1\n", "none of the feed's 1 images exists"),
        ("id,price\nsku0,1\n", "no column that is known as its images; say which: images=COLUMN"),
        ("id,id,image\n1,2,3\n", "'id' is in the header twice"),
    ],
)
def test_a_feed_that_can_t_be_trusted_changes_nothing(
    catalog: Catalog, tmp_path: Path, text: str, words: str
) -> None:
    catalog.sync(feed(tmp_path, lines(tmp_path, 4)))
    before = state(catalog)
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        catalog.sync(tmp_path / "bad.csv", SyncOptions(allow_removals=1.0))
    assert state(catalog) == before


def test_damaged_pictures_keep_the_old_ones_with_the_new_columns(
    catalog: Catalog, tmp_path: Path
) -> None:
    rows = lines(tmp_path, 4)
    catalog.sync(feed(tmp_path, rows))
    before = state(catalog)
    (tmp_path / "img/0.jpg").write_bytes(b"no picture")
    rows[0]["price"] = "70 EUR"
    rows[1]["image_link"] = "img/lost.jpg"
    rows[1]["price"] = "71 EUR"
    rows[2]["image_link"] = ""
    rows[2]["price"] = "72 EUR"
    rows.append({"id": "bare", "image_link": "img/nothing.jpg", "price": "1 EUR"})
    report = catalog.sync(feed(tmp_path, rows))
    assert {s.image_id for s in report.images.skipped} == {
        "img/0.jpg",
        "img/lost.jpg",
        "img/nothing.jpg",
    }
    assert (report.changed, report.unchanged, report.images.kept) == (3, 1, 2)
    assert report.without_image == ["bare"]
    after = {row.image_id: row for row in catalog.store.rows()}
    assert [after[f"img/{n}.jpg"].columns["price"] for n in range(3)] == [70.0, 71.0, 72.0]
    assert [state(catalog)[f"img/{n}.jpg"][4:] for n in range(4)] == [
        before[f"img/{n}.jpg"][4:] for n in range(4)
    ]
    again = catalog.sync(feed(tmp_path, rows))
    assert (again.changed, again.images.columns) == (0, 0)


def variants(root: Path) -> list[Line]:
    for n in range(3):
        write_picture(root / f"img/v{n}.jpg", 50 + n)
    base = {"item_group_id": "P1", "title": "Shirt", "image_link": "img/v0.jpg"}
    return [
        base | {"id": "P1-S", "size": "S", "color": "red", "price": "10 EUR"},
        base | {"id": "P1-M", "size": "M", "color": "red", "price": "12 EUR"},
        base | {"id": "P1-B", "size": "M", "color": "blue", "price": "15 EUR",
                "image_link": "img/v1.jpg", "additional_image_link": "img/v2.jpg"},
        {"id": "P2", "title": "Hat", "image_link": "img/v2.jpg", "price": "5 EUR"},
    ]  # fmt: skip


def test_variants_stand_under_one_product(catalog: Catalog, tmp_path: Path) -> None:
    report = catalog.sync(feed(tmp_path, variants(tmp_path)))
    assert (report.items, report.images.embedded) == (2, 4)
    rows = {row.image_id: row for row in catalog.store.rows()}
    assert set(rows) == {"img/v0.jpg", "img/v1.jpg", "img/v2.jpg#P1", "img/v2.jpg#P2"}
    red = rows["img/v0.jpg"]
    assert red.item_id == "P1"
    assert dict(red.columns) == {
        "title": "Shirt", "size": ["S", "M"], "color": "red", "price": 10.0, "price_max": 12.0,
        "currency": "EUR", "variant_id": ["P1-S", "P1-M"],
    }  # fmt: skip
    assert rows["img/v1.jpg"].columns["variant_id"] == "P1-B"
    assert "variant_id" not in rows["img/v2.jpg#P2"].columns
    assert rows["img/v2.jpg#P1"].source == rows["img/v2.jpg#P2"].source


def test_a_picture_that_moves_to_another_product(
    catalog: Catalog, tmp_path: Path, embedded: list[int]
) -> None:
    rows = lines(tmp_path, 10)
    catalog.sync(feed(tmp_path, rows))
    embedded.clear()
    rows[4]["id"] = "renamed"
    report = catalog.sync(feed(tmp_path, rows))
    assert (report.new, report.removed_items, report.images.embedded, report.images.removed) == (
        1,
        1,
        0,
        0,
    )
    assert catalog.store.get(["img/4.jpg"])["img/4.jpg"].item_id == "renamed"
    assert catalog.store.counts() == (10, 10)


def test_columns_are_mapped_once(catalog: Catalog, tmp_path: Path) -> None:
    rows = [
        {"Artikel": row["id"], "Foto": row["image_link"], "Preis": "1.299,00 €", "Farbe": "rot",
         "Text": "lang", "Muster": "floral"}
        for row in lines(tmp_path, 2)
    ]  # fmt: skip
    path = feed(tmp_path, rows)
    with pytest.raises(DataError, match="no column that is known as its id"):
        catalog.sync(path)
    said = parse_pairs(
        ["id=artikel", "images=Foto", "price=Preis", "tags=Farbe,Muster", "without=Text"]
    )
    catalog.sync(path, SyncOptions(mapping=said))
    row = next(catalog.store.rows())
    assert dict(row.columns) == {
        "price": 1299.0, "currency": "EUR", "farbe": "rot", "muster": "floral",
    }  # fmt: skip
    assert row.tags == ("farbe=rot", "muster=floral")
    assert catalog.sync(path).unchanged == 2
    with pytest.raises(DataError, match="no column 'Sku', which 'id' is mapped to"):
        catalog.sync(path, SyncOptions(mapping=parse_pairs(["id=Sku"])))
    with pytest.raises(UsageError, match="mapped by name=column"):
        parse_pairs(["id"])
    mapping = {"id": "artikel", "images": ["Foto"], "without": "Muster", "text": "Text"}
    assert catalog.sync(path, SyncOptions(mapping=mapping)).changed == 2
    assert next(catalog.store.rows()).columns["text"] == "lang"
    with pytest.raises(UsageError, match="neither a column nor a list of columns"):
        catalog.sync(path, SyncOptions(mapping={"id": 3}))


def test_csv_and_parquet_say_the_same(tmp_path: Path, bundle: Bundle) -> None:
    rows = variants(tmp_path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = "\t".join(names) + "\n"
    table += "".join("\t".join(row.get(name, "") for name in names) + "\n" for row in rows)
    (tmp_path / "feed.txt").write_text(table, encoding="utf-8-sig")
    columns = {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(columns), tmp_path / "feed.parquet")
    (tmp_path / "feed.json").write_text(json.dumps(rows))
    states = []
    for path in (
        feed(tmp_path, rows),
        *(tmp_path / f"feed.{s}" for s in ("txt", "parquet", "json")),
    ):
        made = Catalog.create(tmp_path / f"shop-{path.suffix[1:]}", bundle)
        made.sync(path)
        states.append(state(made))
    assert all(one == states[0] for one in states)


def test_addresses_are_matched_by_their_file_names(catalog: Catalog, tmp_path: Path) -> None:
    rows = lines(tmp_path / "pictures", 3)
    for n, row in enumerate(rows):
        row["image_link"] = f"https://cdn.example/{n}/a%20b/{n}.jpg?v=2"
    path = feed(tmp_path, rows)
    with pytest.raises(DataError, match="is an address, and nothing is fetched"):
        catalog.sync(path)
    report = catalog.sync(path, SyncOptions(images=tmp_path / "pictures"))
    assert (report.new, report.by_name) == (3, 3)
    assert {row.image_id for row in catalog.store.rows()} == {f"img/{n}.jpg" for n in range(3)}
    write_picture(tmp_path / "pictures/other/1.jpg", 5)
    again = catalog.sync(path)  # the folder is remembered
    assert [s.reason for s in again.images.skipped] == ["is there 2 times: img/1.jpg, other/1.jpg"]
    assert again.images.kept == 1


def test_duplicates_and_bad_rows_are_told(catalog: Catalog, tmp_path: Path) -> None:
    rows = lines(tmp_path, 30)
    rows.insert(5, {**rows[4], "price": "cheap"})
    path = feed(tmp_path, rows)
    text = path.read_text().splitlines()
    text.insert(2, "{broken")
    path.write_text("\n".join(text) + "\n")
    report = catalog.sync(path)
    assert report.duplicates == ["sku4"]
    assert [(bad.line, bad.reason[:7]) for bad in report.bad] == [(3, "no JSON")]
    assert report.unread_prices == {"price": 1}
    assert report.new == 30
    assert "price" not in catalog.store.get(["img/4.jpg"])["img/4.jpg"].columns


_SYNCING = textwrap.dedent(
    """
    import sys
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.intake.options import SyncOptions

    catalog = Catalog.open(sys.argv[1])
    print("ready", flush=True)
    catalog.sync(sys.argv[2], SyncOptions(batch=3, allow_removals=1.0))
    print("done", flush=True)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_the_next_run_ends_equal(
    tmp_path: Path, bundle: Bundle, catalog: Catalog
) -> None:
    rows = lines(tmp_path, 60)
    first = feed(tmp_path, rows[:40], "first.jsonl")
    for row in rows[10:20]:
        row["price"] = "1 EUR"
    for n in range(20, 30):
        write_picture(tmp_path / f"img/{n}.jpg", 100 + n)
    second = feed(tmp_path, rows[5:], "second.jsonl")
    whole = Catalog.create(tmp_path / "whole", bundle)
    whole.sync(second)
    wanted = state(whole)
    catalog.sync(first)
    catalog.close()
    clock = random.Random(4)
    killed = 0
    for turn in range(10):
        place = tmp_path / f"shop{turn}"
        shutil.copytree(tmp_path / "shop", place)
        command = [sys.executable, "-c", _SYNCING, place, second]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(clock.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            killed += process.stdout.read() == ""
        with Catalog.open(place) as torn:
            assert {row.item_id for row in torn.store.rows()} >= {f"sku{n}" for n in range(5, 40)}
            torn.sync(second, SyncOptions(allow_removals=1.0))
            assert state(torn) == wanted
            assert torn.sweep() == 0
            assert torn.sync(second).unchanged == 55
    assert killed >= 3


def test_what_is_cropped_is_remembered_once_it_has_worked(
    catalog: Catalog, tmp_path: Path, embedded: list[int]
) -> None:
    path = feed(tmp_path, lines(tmp_path, 3))
    with pytest.raises(DataError, match="no column 'Foto'"):
        catalog.sync(path, SyncOptions(mapping=parse_pairs(["images=Foto"]), crop="box"))
    catalog.sync(path)  # nothing of the failed run is remembered
    assert not (tmp_path / "shop" / "feed.json").exists()
    catalog.sync(path, SyncOptions(crop="box"))
    assert json.loads((tmp_path / "shop" / "feed.json").read_text())["crop"] == "box"
    assert catalog.sync(path).unchanged == 3
    with pytest.raises(UsageError, match="crop is none, box"):
        catalog.sync(path, SyncOptions(crop="middle"))
