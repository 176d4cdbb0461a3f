"""The manifest: what is read is what was written, and every wrong row is told at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemline.data.manifest import SCHEMA, Manifest
from hemline.data.manifest.text import join_tags, split_tags
from hemline.errors import DataError, UsageError
from hemline.types import Box, Record

MARKS = np.array([[10.5 * k, 3.25 * k, k % 3] for k in range(8)], np.float32)
RECORDS = [
    Record("a", "img/a.jpg", "007", "shop", "coat", Box(1, 2, 30, 40.5), ("colour=red",), MARKS),
    Record("", "img/b.jpg", "8", "street", tags=("colour=a;b=c", "tag=new"), split="test"),
    Record("", "img/b.jpg", "9", "street", role="query", extra={"price": 3.5, "sku": "0012"}),
]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest.from_records(RECORDS, tmp_path)


def write(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def same(left: Record, right: Record) -> bool:
    marks = [np.zeros(0) if r.landmarks is None else r.landmarks for r in (left, right)]
    fields = [name for name in Record.__slots__ if name not in ("landmarks", "extra")]
    extras = [{k: v for k, v in r.extra.items() if v not in (None, "")} for r in (left, right)]
    return (
        all(getattr(left, name) == getattr(right, name) for name in fields)
        and np.array_equal(*marks)
        and extras[0] == extras[1]
    )


def test_records_come_back(manifest: Manifest) -> None:
    assert len(manifest) == 3
    assert [r.image_id for r in manifest] == ["a", "img/b.jpg", "img/b.jpg#2"]
    assert same(manifest[0], RECORDS[0])
    assert manifest[-1].extra == {"price": 3.5, "sku": "0012"}
    assert manifest[1].extra == {"price": None, "sku": None}
    assert manifest.file(0) == manifest.root / "img/a.jpg"
    assert manifest.tag_vocabulary() == ("colour=a;b=c", "colour=red", "tag=new")
    with pytest.raises(IndexError):
        manifest[3]


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.tsv"])
def test_both_ways(manifest: Manifest, tmp_path: Path, name: str) -> None:
    written = manifest.write(tmp_path / name)
    again = Manifest.read(written)
    assert all(same(a, b) for a, b in zip(again, manifest, strict=True))
    assert again.fingerprint() == manifest.fingerprint()
    assert again.table.schema.names == manifest.table.schema.names
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_paths_follow_the_manifest(manifest: Manifest, tmp_path: Path) -> None:
    """Below the manifest's folder they stay relative, elsewhere they become absolute."""
    above = Manifest.from_table(manifest.table, tmp_path / "data")
    assert Manifest.read(above.write(tmp_path / "m.csv")).column("path")[0] == "data/img/a.jpg"
    beside = Manifest.read(above.write(tmp_path / "other" / "m.csv"))
    assert beside.column("path")[0] == str(tmp_path / "data/img/a.jpg")
    assert beside.file(0) == above.file(0)
    assert beside.fingerprint() == above.fingerprint()


def test_csv_of_windows(tmp_path: Path) -> None:
    text = '\ufeffpath;item_id;domain;note\r\na.jpg;1;shop;"two\r\nlines"\r\nb.jpg;2;street;\r\n'
    manifest = Manifest.read(write(tmp_path, text))
    assert [r.path for r in manifest] == ["a.jpg", "b.jpg"]
    assert manifest[0].extra["note"] == "two\r\nlines"


def test_a_folder_stands_for_its_manifest(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"without manifest\.parquet or manifest\.csv"):
        Manifest.read(tmp_path)
    manifest.write(tmp_path / "manifest.csv")
    assert len(Manifest.read(tmp_path)) == 3


def test_further_columns_get_types(tmp_path: Path) -> None:
    text = "path,item_id,domain,n,price,ok,sku,empty\na,1,shop,3,1.5,true,007,\nb,1,shop,,,,8,\n"
    table = Manifest.read(write(tmp_path, text)).table
    kinds = [str(table.schema.field(name).type) for name in ("n", "price", "ok", "sku", "empty")]
    assert kinds == ["int64", "double", "bool", "string", "string"]
    assert table["n"].to_pylist() == [3, None]
    assert table["sku"].to_pylist() == ["007", "8"]


def test_other_parquet_types_are_taken(tmp_path: Path) -> None:
    table = pa.table(
        {
            "path": pa.array(["a", "b"], pa.large_string()),
            "item_id": [12, 13],
            "domain": pa.array(["shop", "street"]).dictionary_encode(),
            "tags": pa.array([["red"], None], pa.large_list(pa.string())),
            "x1": [1, None],
            "y1": [1, None],
            "x2": [5, None],
            "y2": [5.0, float("nan")],
            "landmarks": [MARKS.tolist(), None],
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    first, second = Manifest.read(tmp_path / "m.parquet")
    assert (first.item_id, first.tags, first.box) == ("12", ("tag=red",), Box(1, 1, 5, 5))
    assert np.array_equal(first.landmarks, MARKS)
    assert (second.tags, second.box, second.landmarks) == ((), None, None)


MARKED = ";".join(["1"] * 24)
WRONG = [
    ("path,item_id,domain\n,1,shop\n", "row 1: path is empty|: path is empty"),
    ("path,item_id,domain\na,,shop\n", "item_id is empty"),
    ("path,item_id,domain\na,1,shopp\n", "row 1: domain is 'shopp', not street or shop"),
    ("path,item_id,domain,split\na,1,shop,dev\n", "split is 'dev', not train or val or test"),
    ("path,item_id,domain,role\na,1,shop,probe\n", "role is 'probe', not query or gallery"),
    ("path,item_id,domain,image_id\na,1,shop,i\nb,1,shop,i\n", "row 2: image_id 'i' .* row 1"),
    ("path,item_id,domain,x1,y1,x2,y2\na,1,shop,5,1,5,9\n", "box 5,1,5,9 has no area"),
    ("path,item_id,domain,x1,y1,x2,y2\na,1,shop,1,,5,9\n", "box 1,,5,9 lacks a side"),
    ("path,item_id,domain,x1,y1,x2,y2\na,1,shop,1,1,5,1e999\n", "1,1,5,inf is not finite"),
    ("path,item_id,domain,x1,y1,x2,y2\na,1,shop,1,1,5,1e300\n", "outside any picture"),
    ("path,item_id,domain,x1,y1,x2,y2\na,1,shop,1,1,x,9\n", "x2 is 'x', not a number"),
    ("path,item_id,domain,x1\na,1,shop,1\n", "lacks a side"),
    ("path,item_id,domain,landmarks\na,1,shop,1;2;3\n", "landmarks are 3 numbers, not 24"),
    ("path,item_id,domain,landmarks\na,1,shop,1 x 3\n", "something that is no number"),
    (f"path,item_id,domain,landmarks\na,1,shop,{MARKED[:-1]}3\n", "visibility is not 2"),
    ("path,item_id,domain,tags\na,1,shop,=red\n", r"tags \['=red'\]"),
    ("path,item_id,domain,tags\na,1,shop,colour=\n", "neither part empty"),
    ("path,item_id,domain\na,1,shop\nb,2\n", "row 2: 2 cells, where the header has 3"),
    ("path,item_id\na,1\n", "lacks the columns domain .found: path, item_id"),
    ('path,item_id,domain\na,"1\x1b[31m",shop\n', "item_id '1.x1b.31m' has control characters"),
    ("path,item_id,domain\na\x00,1,shop\n", "path 'a.x00' has control characters"),
    ("path,item_id,Domain\na,1,shop\n", "did you mean 'Domain' for 'domain'"),
    ("path,item_id,domain,path\na,1,shop,b\n", "'path' is in the header twice"),
    ("path,item_id,domain\n", "no rows"),
    ("", "is empty"),
    ("\n\n", "is empty"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Manifest.read(write(tmp_path, text))


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    rows = [f"p{k},1,{'shop' if k % 2 else 'x'},{'' if k else 'zz'}" for k in range(100)]
    rows[3] = "p3,1"
    rows[5] = "p5,,shop,"
    path = write(tmp_path, "path,item_id,domain,split\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError) as caught:
        Manifest.read(path)
    text = str(caught.value)
    assert "53 problems" in text
    assert "row 1: domain is 'x'" in text
    assert "row 1: split is 'zz'" in text
    assert "row 4: 2 cells" in text
    assert "row 6: item_id is empty" in text  # numbered as in the file, after the skipped row 4
    assert "33 more; in all" in text
    assert "50 wrong domain" in text
    assert text.count("; ") >= 20
    assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.csv", "path,item_id,domain\ncaf\xe9,1,shop\n".encode("latin-1"), "UTF-8"),
        ("m.csv", "path,item_id,domain\na,1,shop\n".encode("utf-16"), "UTF-8"),
        ("m.parquet", b"PAR1 nothing of the kind", "can't be read as Parquet"),
        ("m.json", b"{}", "neither .parquet nor .csv"),
    ],
)
def test_other_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        Manifest.read(tmp_path / name)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no manifest"):
        Manifest.read(tmp_path / "m.csv")


def test_a_failed_write_leaves_the_old_file(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest.write(tmp_path / "m.parquet")
    before = path.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hemline.data.manifest.files.pq.write_table", full)
    with pytest.raises(OSError, match="No space"):
        manifest.select([0]).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match=r"\.parquet or \.csv"):
        manifest.write(tmp_path / "m.xlsx")


def test_select_and_columns(manifest: Manifest) -> None:
    street = manifest.select(manifest.column("domain") == "street")
    assert [r.item_id for r in street] == ["8", "9"]
    assert [r.item_id for r in manifest.select([2, 0])] == ["9", "007"]
    assert len(manifest.select([])) == 0
    assert manifest.column("price").dtype == np.float64
    assert manifest.boxes()[0].tolist() == [1, 2, 30, 40.5]
    assert np.isnan(manifest.boxes()[1]).all()
    with pytest.raises(UsageError, match="Did you mean 'domain'"):
        manifest.column("domian")
    with pytest.raises(UsageError, match="mask"):
        manifest.select(np.array([True]))


def test_with_column(manifest: Manifest) -> None:
    changed = manifest.with_column("split", ["train"] * 3).with_column("seen", [1, 2, 3])
    assert set(changed.column("split")) == {"train"}
    assert changed[1].extra["seen"] == 2
    with pytest.raises(DataError, match="split is 'dev'"):
        manifest.with_column("split", ["dev"] * 3)


def test_the_fingerprint_follows_the_content(manifest: Manifest) -> None:
    prints = {manifest.fingerprint()}
    for change in (
        manifest.select([0, 1]),
        manifest.select([1, 0, 2]),
        manifest.with_column("tags", [["colour=red"], [], []]),
        manifest.with_column("category", ["coat", "", "c"]),
        manifest.with_column("x1", [0.5, None, None]),
        manifest.with_column("price", [None, None, 4.0]),
    ):
        prints.add(change.fingerprint())
    assert len(prints) == 7
    chunks = [manifest.table.slice(0, 1), manifest.table.slice(1, 2)]
    chunked = Manifest(pa.concat_tables(chunks), manifest.root)
    assert chunked.fingerprint() == manifest.fingerprint()


name = st.text("ab ;\\:,é", min_size=1).map(str.strip).filter(bool)
value = st.text("ab=;\\,\"'é", min_size=1).map(str.strip).filter(bool)


@settings(deadline=None)
@given(st.lists(st.tuples(name, value).map("=".join)))
def test_tags_survive_csv(tags: list[str]) -> None:
    assert split_tags(join_tags(tags)) == tags


def test_tags_in_words() -> None:
    assert split_tags(r"colour=red; new ;;a\=b;c\;d=e=f;back\\=\x") == [
        "colour=red",
        "tag=new",
        "tag=a=b",
        "c;d=e=f",
        "back\\=\\x",
    ]


def test_default_image_ids_against_a_loop() -> None:
    rng = np.random.default_rng(3)
    paths = [f"p{k}" for k in rng.integers(0, 40, 200)]
    table = pa.table({"path": paths, "item_id": ["1"] * 200, "domain": ["shop"] * 200})
    seen: dict[str, int] = {}
    expected = []
    for path in paths:
        seen[path] = seen.get(path, 0) + 1
        expected.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
    assert Manifest.from_table(table, ".").column("image_id").tolist() == expected


def test_every_column_is_filled(tmp_path: Path) -> None:
    manifest = Manifest.read(write(tmp_path, "path,item_id,domain\na,1,shop\n"))
    assert manifest.names == tuple(SCHEMA)
    assert [str(field.type) for field in manifest.table.schema] == [str(t) for t in SCHEMA.values()]
    assert manifest[0] == Record("a", "a", "1", "shop")
