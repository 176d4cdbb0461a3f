"""Texts that can't be stored are refused at every way in, and found where an older version left
them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hemline.catalog.facets import facet_columns
from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.update import AttributeChanges, Attributes, ImageUpdate, ItemUpdate
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where
from hemline.data.manifest.table import Manifest
from hemline.errors import CatalogError, DataError, UsageError
from hemline.types import SearchRequest

BAD = ["x\0", "\0", "a\0b", "\ud800", "x\udfff"]


def row(image_id: str, item_id: str, **further: object) -> Row:
    return Row(image_id, item_id, np.ones(4, np.float32) / 2, 1.0, **further)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", BAD)
def test_updates_requests_and_conditions(bad: str) -> None:
    updates = [
        ItemUpdate(bad),
        ItemUpdate(f"item{bad}", remove=True),
        ItemUpdate("item", Attributes(category=bad)),
        ItemUpdate("item", Attributes(tags=("a=b", bad))),
        ItemUpdate("item", Attributes(columns={bad: 1})),
        ItemUpdate("item", AttributeChanges(columns={"title": bad})),
        ItemUpdate("item", Attributes(columns={"sizes": ["S", {"eu": bad}]})),
        ItemUpdate("item", images=[ImageUpdate(b"", image_id=bad)]),
        ItemUpdate("item", images=[ImageUpdate(b"", attributes=Attributes(category=bad))]),
    ]
    for update in updates:
        with pytest.raises(UsageError, match=r"NUL|surrogate|control character"):
            update.check()
    for text in (f"category = '{bad}'", f"{bad} = 1", f"category like '{bad}%'"):
        with pytest.raises(UsageError, match=r"a condition: .*(NUL|surrogate)"):
            Where.parse(text)
    for given in ({"item_id": bad}, {"item_id": "a", "where": bad}, {"facets": [bad]}):
        with pytest.raises(UsageError, match=r"a request: .*(NUL|surrogate)"):
            SearchRequest.model_validate(given)
    with pytest.raises(UsageError):
        facet_columns([bad], [], [])


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_bad_id_names_no_item(kind: str, tmp_path: Path) -> None:
    """SQLite's ``json_each`` cuts ``ID`` and NUL to ``ID``, an item that exists."""
    store = (
        MemoryStore("print", 4)
        if kind == "memory"
        else SqliteStore.create(tmp_path, "print", 4, StoreSettings())
    )
    store.add([row("image", "ID")])
    for bad in ("ID\0x", "ID\0", "ID\ud800"):
        assert store.items([bad]) == []
        assert store.get([f"image{bad[2:]}"]) == {}
        assert store.remove([bad]) == {}
        store.add([], removed=[f"image{bad[2:]}"])
    assert store.counts().items == 1
    store.close()


LINES = [{"id": n, "title": f"title {n}", "image_link": f"{n}.jpg"} for n in range(5)]


def bad_feed(folder: Path, kind: str, bad: str) -> Path:
    """A feed whose third row has a bad title."""
    lines = [dict(line) for line in LINES]
    lines[2]["title"] = bad
    path = folder / f"feed.{kind}"
    if kind == "parquet":
        columns = {name: [str(line[name]).encode("utf-8", "surrogatepass") for line in lines]
                   for name in lines[0]}  # fmt: skip
        raw = {name: pa.array(cells, pa.binary()) for name, cells in columns.items()}
        pq.write_table(pa.table({n: pa.Array.from_buffers(pa.string(), len(c), c.buffers())
                                 for n, c in raw.items()}), path)  # fmt: skip
    elif kind == "csv":
        rows = [",".join(map(str, line.values())) for line in lines]
        path.write_text("\n".join([",".join(lines[0]), *rows]) + "\n", "utf-8")
    else:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        data = f"[{','.join(text.splitlines())}]" if kind == "json" else text
        opened = gzip.open if kind.endswith("gz") else open
        with opened(path, "wt", encoding="utf-8") as file:
            file.write(data)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("bad", ["a\0b", "\ud800"])
def test_a_bad_row_of_a_feed_is_one_bad_row(kind: str, bad: str, tmp_path: Path) -> None:
    if kind == "csv" and bad == "\ud800":
        return  # no text in UTF-8: the whole file is refused
    feed = Feed.read(bad_feed(tmp_path, kind, bad))
    assert [str(cell) for cell in feed.columns["id"]] == ["0", "1", "3", "4"]
    (wrong,) = feed.bad
    assert "'title'" in wrong.reason
    assert ("NUL" if "\0" in bad else "surrogate") in wrong.reason
    assert wrong.line == {"csv": 4}.get(kind, 3)


def test_a_bad_last_row_is_no_truncated_feed(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    lines = [{"id": "a", "title": "good"}, {"id": "b", "t\0": "x"}, {"id": "c", "s": ["\ud800"]}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    feed = Feed.read(path)
    assert feed.columns["id"] == ["a"]
    assert sorted(feed.columns) == ["id", "s", "title"]
    assert [bad.line for bad in feed.bad] == [2, 3]


def test_manifests_name_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("path,item_id,domain,title\na.jpg,1,shop,good\nb.jpg,2,shop,b\0d\n")
    with pytest.raises(DataError, match=r"row 2: 'title': 'b\\x00d' has a NUL"):
        Manifest.read(path)
    raw = pa.array([b"a.jpg", b"\xed\xa0\x80"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    fine = {"path": ["a.jpg", "b.jpg"], "item_id": ["1", "2"], "domain": ["shop", "shop"]}
    for name in ("path", "item_id", "title", "tags"):
        with pytest.raises(DataError, match=rf"row 2: '{name}': a text in it isn't UTF-8"):
            Manifest.from_table(pa.table(fine | {name: broken}), tmp_path)
    nested = pa.array([["S"], ["M", "a\0"]])
    with pytest.raises(DataError, match=r"row 2: 'sizes': .*NUL"):
        Manifest.from_table(pa.table(fine | {"sizes": nested}), tmp_path)


def test_check_names_what_an_older_version_stored(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path, "print", 4, StoreSettings())
    store.add([row(f"image{n}", f"item{n}", columns={"title": f"é{n}"}) for n in range(6)])
    assert store.verify().ok
    store.close()
    db = sqlite3.connect(tmp_path / "catalog.sqlite")
    db.execute("UPDATE items SET item_id = ? WHERE item_id = 'item1'", ("item1\0x",))
    db.execute("UPDATE pictures SET image_id = ? WHERE image_id = 'image2'", ("\0",))
    db.execute("""UPDATE pictures SET columns = '{"t": "a\\u0000"}' WHERE image_id = 'image3'""")
    db.execute("""UPDATE pictures SET tags = '["\\ud800"]' WHERE image_id = 'image4'""")
    db.execute("UPDATE pictures SET category = CAST(x'eda080' AS TEXT) WHERE image_id = 'image5'")
    db.commit()
    store = SqliteStore(tmp_path)
    with pytest.raises(CatalogError, match="Could not decode to UTF-8|is damaged"):
        store.item_page(5, "", Where.parse("category = 'dress'"))
    store.close()
    found = names(tmp_path)
    assert found.pop() == (
        r"the image 'image5': its category can't be looked up: b'\xed\xa0\x80' isn't UTF-8"
    )
    db.execute("UPDATE pictures SET category = '' WHERE image_id = 'image5'")
    db.commit()
    db.close()
    assert names(tmp_path) == found
    assert [text.partition(" can't")[0] for text in found] == [
        "the image 'image1': its item_id",
        r"the image '\x00': its image_id",
        "the image 'image3': its columns",
        "the image 'image4': its tags",
    ]
    assert "'item1\\x00x' has a NUL character" in found[0]


def test_check_names_rows_that_are_whole_otherwise(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path, "print", 4, StoreSettings())
    bad = {"tags": ("a=b\0",), "columns": {"title": "\0"}}
    store.add([row(f"image{n}", f"item{n}\0", **bad) for n in range(30)])
    store.add([row("fine", "fine", columns={"title": "\\u0000 as text", "é": "\U0001f457"})])
    store.close()
    found = names(tmp_path)
    assert len(found) == 20
    assert r"image 'image0': its item_id can't be looked up: 'item0\x00' has a NUL" in found[0]
    store = SqliteStore(tmp_path)
    report = store.verify()
    assert not report.ok
    assert "and 10 more such rows" in [problem.found for problem in report.problems]
    store.close()


def test_a_repair_removes_what_nothing_can_name(tmp_path: Path) -> None:
    """An update or a removal can't: such an id is refused, in every text from outside."""
    store = SqliteStore.create(tmp_path, "print", 4, StoreSettings())
    store.add([row(f"image{n}", f"item{n}\0") for n in range(30)])
    store.add([row("image\0", "half"), row("whole", "half"), row("fine", "fine")])
    store.add([row("text", "text", columns={"title": "\0"})])
    store.close()
    db = sqlite3.connect(tmp_path / "catalog.sqlite")
    db.execute("UPDATE pictures SET image_id = CAST(x'eda080' AS TEXT) WHERE image_id = 'whole'")
    db.commit()
    db.close()
    store = SqliteStore(tmp_path)
    report = store.verify(repair=True)
    told = [problem for problem in report.problems if problem.repaired]
    assert len(told) == 21
    assert told[-1].found == "and 12 more such rows"
    store.close()
    store = SqliteStore(tmp_path)
    assert sorted(item.image_id for item in store.rows()) == ["fine", "text"]
    assert store.counts().items == 2
    assert len(store.search(np.ones(4, np.float32) / 2, 9).ids) == 2
    (left,) = store.verify(repair=True).problems  # the item can be named, so it can be mended
    assert "'text': its columns" in left.found
    store.add([row("text", "text", columns={"title": "new"})])
    assert store.verify().ok
    store.compact()
    assert store.verify().ok
    store.close()


def names(folder: Path) -> list[str]:
    """The unstorable texts that a check finds."""
    store = SqliteStore(folder)
    found = [problem.found for problem in store.verify().problems]
    store.close()
    return [text for text in found if "looked up" in text]
