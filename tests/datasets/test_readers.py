"""Each reader on a tiny tree in the published format: counts, first and last record, complaints."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import needs
from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.errors import DataError, UsageError
from hemline.types import Box, Record

JPEG = cv2.imencode(".jpg", np.full((8, 8, 3), 128, np.uint8))[1].tobytes()


def plant(root: Path, *paths: str) -> None:
    """Small pictures at these paths."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(JPEG)


def test_every_reader_says_what_it_is() -> None:
    assert {"grocery", "folder", "csv", "oml"} <= set(READERS)
    for name, spec in READERS.items():
        assert spec.name == name
        assert spec.summary.endswith(".")
        assert spec.get
        assert spec.licence


@pytest.mark.parametrize("name", sorted(READERS))
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="To get the data"):
        READERS[name].read(tmp_path / "none")
    with pytest.raises(DataError):
        READERS[name].read(tmp_path)
    with pytest.raises(UsageError, match="has no option 'colour'"):
        READERS[name].read(tmp_path, colour="red")


@pytest.mark.parametrize("name", sorted(n for n, spec in READERS.items() if spec.folder))
def test_a_file_where_a_folder_should_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=f"is a file; the root of {name} is a folder"):
        READERS[name].read(tmp_path / "file.zip")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for wrong in (tmp_path / "loop", tmp_path / "a\0b"):
        with pytest.raises(DataError, match=r"there is no|can't be read"):
            READERS[name].read(wrong)


# --- grocery -------------------------------------------------------------------------------------

CLASSES = """\
Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path \
(str),Product Description Path (str)
Golden-Delicious,0,Apple,0,/iconic/Golden_Iconic.jpg,/iconic/Golden_Description.txt
Oatly-Oat-Milk,1,Oat-Milk,1,/iconic/Oatly_Iconic.jpg,/iconic/Oatly_Description.txt
"""


@pytest.fixture
def grocery(tmp_path: Path) -> Path:
    (tmp_path / "classes.csv").write_text(CLASSES)
    photos = ["train/Apple/a_001.jpg", "train/Milk/m_001.jpg", "val/Apple/a_001.jpg"]
    plant(tmp_path, "iconic/Golden_Iconic.jpg", "iconic/Oatly_Iconic.jpg", *photos)
    (tmp_path / "iconic/Golden_Description.txt").write_text("A sweet apple.\n", "utf-8")
    (tmp_path / "train.txt").write_text(f"{photos[0]}, 0, 0\n{photos[1]}, 1, 1\n")
    (tmp_path / "val.txt").write_text(f"{photos[2]}, 0, 0\nval/Apple/gone.jpg, 0, 0\n")
    return tmp_path


def test_grocery(grocery: Path) -> None:
    manifest, report = READERS["grocery"].read(grocery)
    assert (report.listed, report.found, report.missing, report.broken) == (6, 5, 1, 0)
    assert report.examples == (str(grocery.resolve() / "val/Apple/gone.jpg"),)
    assert report.notes[0] == "photos listed by train.txt, val.txt"
    first, last = manifest[0], manifest[-1]
    assert first == Record(
        image_id="iconic/Golden_Iconic.jpg",
        path="iconic/Golden_Iconic.jpg",
        item_id="Golden-Delicious",
        domain="shop",
        category="Apple",
        tags=("coarse=Apple",),
        extra={"description": "A sweet apple."},
    )
    assert (last.path, last.domain, last.split) == ("val/Apple/a_001.jpg", "street", "val")
    assert manifest.column("split").tolist() == ["", "", "train", "train", "val"]
    assert manifest[3].item_id == "Oatly-Oat-Milk"


def test_grocery_with_a_test_list_below_dataset(grocery: Path) -> None:
    plant(grocery, "test/Apple/t.jpg")
    (grocery / "test.txt").write_text("test/Apple/t.jpg, 0, 0")
    nested = grocery.parent / "cloned"
    nested.mkdir()
    os.symlink(grocery, nested / "dataset")
    manifest, _ = READERS["grocery"].read(nested)
    assert manifest[-1].split == "test"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.txt", "train/a.jpg, 7, 0\n", "line 1.*0 to 1"),
        ("train.txt", "\ntrain/a.jpg\n", "line 2"),
        ("classes.csv", "header\nA,0,B\n", "line 2: 3 cells"),
        ("classes.csv", "header\n", "lists no classes"),
    ],
)
def test_grocery_damaged(grocery: Path, file: str, text: str, message: str) -> None:
    (grocery / file).write_text(text)
    with pytest.raises(DataError, match=message):
        READERS["grocery"].read(grocery)


def test_grocery_as_published() -> None:
    shared = Path(os.environ.get("HEMLINE_SHARED", Path(__file__).parents[3] / "shared"))
    root = shared / "data" / "grocery"
    if not root.is_dir():
        needs.skip("photos")
    manifest, report = READERS["grocery"].read(root)
    counts = [int((manifest.column("split") == split).sum()) for split in ("train", "val", "")]
    assert counts == [2640, 296, 81]
    assert report.missing == 0
    assert len(set(manifest.column("item_id"))) == 81
    assert manifest[0].item_id == "Golden-Delicious"
    assert manifest[-1].path == "val/Vegetables/Zucchini/Zucchini_005.jpg"


# --- folder --------------------------------------------------------------------------------------


def rows(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [(r.path, r.item_id, r.domain) for r in manifest]


def test_folder_by_item(tmp_path: Path) -> None:
    plant(tmp_path, "17/street/a.jpg", "17/shop/b.PNG", "dress/18/shop/c.webp", ".hidden/x.jpg")
    (tmp_path / "17/notes.txt").write_text("no picture")
    manifest, report = READERS["folder"].read(tmp_path)
    assert rows(manifest) == [
        ("17/shop/b.PNG", "17", "shop"),
        ("17/street/a.jpg", "17", "street"),
        ("dress/18/shop/c.webp", "dress/18", "shop"),
    ]
    assert report.notes == ("3 pictures laid out as ITEM/DOMAIN/picture",)


def test_folder_by_domain(tmp_path: Path) -> None:
    plant(tmp_path, "street/17/a.jpg", "shop/17/b.jpg", "shop/18.jpg", "street/18.jpg")
    manifest, report = READERS["folder"].read(tmp_path, split="test")
    assert rows(manifest) == [
        ("shop/18.jpg", "18", "shop"),
        ("shop/17/b.jpg", "17", "shop"),
        ("street/18.jpg", "18", "street"),
        ("street/17/a.jpg", "17", "street"),
    ]
    assert set(manifest.column("split")) == {"test"}
    assert "2 pictures laid out as DOMAIN/ITEM/picture" in report.notes


def test_folder_plain(tmp_path: Path) -> None:
    plant(tmp_path, "17/a.jpg", "17/b.jpg", "loose.jpg")
    (tmp_path / "17" / "empty.jpg").write_bytes(b"")
    manifest, report = READERS["folder"].read(tmp_path)
    assert rows(manifest) == [
        ("loose.jpg", "loose", "shop"),
        ("17/a.jpg", "17", "shop"),
        ("17/b.jpg", "17", "shop"),
    ]
    assert (report.listed, report.found, report.broken) == (4, 3, 1)
    assert report.notes[-1] == "all are shop pictures; no folder says otherwise"
    manifest, _ = READERS["folder"].read(tmp_path, domain="street")
    assert set(manifest.column("domain")) == {"street"}
    with pytest.raises(UsageError, match="split=dev"):
        READERS["folder"].read(tmp_path, split="dev")
    with pytest.raises(DataError, match="is a file"):
        READERS["folder"].read(tmp_path / "loose.jpg")


# --- csv -----------------------------------------------------------------------------------------


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    plant(tmp_path, "pics/a.jpg", "pics/b.jpg")
    text = "file,sku,kind,colour,collar,price\na.jpg,007,coat,red,,9.5\nb.jpg,8,coat,red,round,3\n"
    (tmp_path / "list.csv").write_text(text + "gone.jpg,9,coat,,,1\n")
    return tmp_path / "list.csv"


def test_csv_mapped(listing: Path) -> None:
    manifest, report = READERS["csv"].read(
        listing,
        path="file",
        item_id="sku",
        domain="@shop",
        category="kind",
        tags="colour,collar",
        images="pics",
    )
    assert (report.listed, report.found, report.missing) == (3, 2, 1)
    extra = {"colour": "red", "collar": "", "price": 9.5}
    assert manifest[0] == Record(
        "a.jpg", "a.jpg", "007", "shop", "coat", tags=("colour=red",), extra=extra
    )
    assert manifest[1].tags == ("colour=red", "collar=round")
    assert manifest.file(0) == listing.parent.resolve() / "pics/a.jpg"


def test_csv_wrong(listing: Path) -> None:
    read = READERS["csv"].read
    with pytest.raises(DataError, match="lacks the columns path"):
        read(listing)
    with pytest.raises(UsageError, match="no column 'skw'. Did you mean 'sku'"):
        read(listing, item_id="skw")
    with pytest.raises(DataError, match="none of the 3 pictures is there"):
        read(listing, path="file", item_id="sku", domain="@shop")
    with pytest.raises(DataError, match="domain is 'shopp'"):
        read(listing, path="file", item_id="sku", domain="@shopp", images="pics")


def test_csv_keeps_the_text_of_ids(tmp_path: Path) -> None:
    """1.50 and 1.5 are two products, and 2024.10 is not 2024.1."""
    plant(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "m.csv").write_text("path,code,domain\na.jpg,1.50,shop\nb.jpg,1.5,shop\n")
    manifest, _ = READERS["csv"].read(tmp_path / "m.csv", item_id="code")
    assert manifest.column("item_id").tolist() == ["1.50", "1.5"]


def test_csv_takes_a_manifest_as_it_is(listing: Path, tmp_path: Path) -> None:
    records = [Record("i", "pics/a.jpg", "1", "street", "c", Box(1, 1, 5, 5), ("a=b",))]
    made = Manifest.from_records(records, tmp_path)
    for name in ("m.csv", "m.parquet"):
        manifest, _ = READERS["csv"].read(made.write(tmp_path / name))
        assert manifest.fingerprint() == made.fingerprint()


def test_csv_knows_the_names_of_feeds(tmp_path: Path) -> None:
    """Failed before: `sku`, `image` and Google's names were unknown, and the hints absurd."""
    plant(tmp_path, "pics/a.jpg", "pics/b, c.jpg", "pics/deep/d.jpg")
    (tmp_path / "feed.csv").write_text(
        "id,item_group_id,title,g:image link,additional_image_link,product_type,price,sale_price\n"
        '1,g,Coat,"https://shop.example/x/a.jpg?v=2",pics/deep/d.jpg,Women > Coats,"1.299,00 €",\n'
        '2,,Hat,"b, c.jpg",,Hats,12.34 EUR,cheap\n'
    )
    (tmp_path / "pics/pics/deep").mkdir(parents=True)
    (tmp_path / "pics/pics/deep/d.jpg").write_bytes((tmp_path / "pics/deep/d.jpg").read_bytes())
    manifest, report = READERS["csv"].read(tmp_path / "feed.csv", images="pics")
    assert manifest.column("path").tolist() == ["a.jpg", "pics/deep/d.jpg", "b, c.jpg"]
    assert manifest.column("item_id").tolist() == ["g", "g", "2"]
    assert manifest.column("variant_id").tolist() == ["1", "1", "2"]
    assert manifest.column("category").tolist() == ["Coats", "Coats", "Hats"]
    assert set(manifest.column("domain")) == {"shop"}
    assert manifest.column("price").tolist() == [1299.0, 1299.0, 12.34]
    assert manifest.column("sale_price").tolist() == ["", "", "cheap"]
    assert manifest.column("currency").tolist() == ["EUR"] * 3
    assert "item_id=item_group_id, else id" in report.notes[0]
    assert "all are shop images" in report.notes[1]
    (tmp_path / "own.csv").write_text("sku,image,title\n7,pics/a.jpg,Coat\n")
    manifest, _ = READERS["csv"].read(tmp_path / "own.csv")
    assert (manifest[0].item_id, manifest[0].path) == ("7", "pics/a.jpg")
    with pytest.raises(DataError, match="'image' for 'path', 'sku' for 'item_id'"):
        Manifest.read(tmp_path / "own.csv")
    (tmp_path / "none.csv").write_text("title,domain\na,shop\n")
    with pytest.raises(DataError) as error:
        Manifest.read(tmp_path / "none.csv")
    assert "did you mean" not in str(error.value), "'title' is no item_id"


# --- open-metric-learning ------------------------------------------------------------------------

FRAME = """\
,label,path,split,is_query,is_gallery,category,x_1,x_2,y_1,y_2,sequence
0,3,a.jpg,train,,,coat,1,5,2,8,0
1,4,b.jpg,validation,True,False,coat,,,,,1
2,4,c.jpg,validation,False,True,coat,,,,,1
3,5,d.jpg,validation,1,1,coat,,,,,2
4,5,gone.jpg,validation,0,1,coat,,,,,2
"""


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    plant(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "df.csv").write_text(FRAME)
    return tmp_path / "df.csv"


def test_oml(frame: Path) -> None:
    manifest, report = READERS["oml"].read(frame, query_domain="street")
    assert (report.listed, report.found, report.missing) == (5, 4, 1)
    assert report.notes == ("1 rows are query and gallery both; their role is empty",)
    assert manifest.column("item_id").tolist() == ["3", "4", "4", "5"]
    assert manifest.column("split").tolist() == ["train", "val", "val", "val"]
    assert manifest.column("role").tolist() == ["", "query", "gallery", ""]
    assert manifest.column("domain").tolist() == ["shop", "street", "shop", "shop"]
    assert manifest[0].box == Box(1, 2, 5, 8)
    assert manifest[1].box is None
    assert manifest[0].extra["sequence"] == 0
    assert "" not in manifest.names
    manifest, _ = READERS["oml"].read(frame, validation="test")
    assert manifest[-1].split == "test"
    assert set(manifest.column("domain")) == {"shop"}


def test_oml_both_ways(frame: Path, tmp_path: Path) -> None:
    spec = READERS["oml"]
    assert spec.writer is not None
    manifest, _ = spec.read(frame, query_domain="street")
    for name in ("out.csv", "out.parquet"):
        spec.writer(manifest, tmp_path / name)
        again, _ = spec.read(tmp_path / name)
        for column in ("item_id", "domain", "role", "split", "category"):
            assert again.column(column).tolist() == manifest.column(column).tolist()
        assert np.array_equal(again.boxes(), manifest.boxes(), equal_nan=True)
        assert again.column("sequence").tolist() == manifest.column("sequence").tolist()


@pytest.mark.parametrize("name", ["frame.csv", "frame.parquet"])
def test_a_manifest_comes_back_through_the_frame(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    marks = np.arange(24, dtype=np.float32).reshape(8, 3) % 3
    records = [
        Record("first", "a.jpg", "coat/7", "street", "coat", Box(1.5, 2, 30, 40.25), split="train"),
        Record("", "b.jpg", "coat/7", "shop", "coat", tags=("color=a;b", "fit=x=y"), split="train"),
        Record("", "c.jpg", "8", "street", landmarks=marks, split="test", extra={"price": 9.5}),
        Record("", "c.jpg", "9", "street", box=Box(0, 0, 5, 5), split="val", extra={"sku": "007"}),
        Record("", "d.jpg", "8", "shop", role="gallery"),
        Record("", "a.jpg", "9", "shop", role="query", split="test"),
    ]
    manifest = Manifest.from_records(records, tmp_path)
    spec = READERS["oml"]
    assert spec.writer is not None
    spec.writer(manifest, tmp_path / name)
    again, report = spec.read(tmp_path / name)
    assert report.found == 6
    kept = [column for column in manifest.names if column not in ("path", "landmarks")]
    for column in kept:
        left, right = again.table[column].to_pylist(), manifest.table[column].to_pylist()
        assert [v or None for v in left] == [v or None for v in right], column
    assert np.array_equal(again[2].landmarks, marks)
    assert again.files() == manifest.files()
    assert set(again.names) - set(manifest.names) == {"is_query", "is_gallery"}


def test_oml_keeps_to_its_rules(tmp_path: Path) -> None:
    """What open-metric-learning's own check of a data frame asks for, said again here."""
    records = [
        Record("", "/p/a.jpg", "coat", "street", split="train", box=Box(0.5, 1.5, 7.2, 8.1)),
        Record("", "/p/b.jpg", "coat", "shop", split="test"),
        Record("", "/p/c.jpg", "hat", "street", split="val"),
        Record("", "/p/d.jpg", "hat", "shop", role="query"),
    ]
    writer = READERS["oml"].writer
    assert writer is not None
    writer(Manifest.from_records(records, tmp_path), tmp_path / "df.parquet")
    table = pq.read_table(tmp_path / "df.parquet").to_pydict()
    assert table["label"] == [0, 0, 1, 1]
    assert table["split"] == ["train", "validation", "validation", "validation"]
    assert table["is_query"] == [None, "False", "True", "True"]
    assert table["is_gallery"] == [None, "True", "False", "False"]
    assert [table[name][0] for name in ("x_1", "x_2", "y_1", "y_2")] == [0, 8, 1, 9]
    assert table["x_1"][1] is None
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        writer(Manifest.from_records(records, tmp_path), tmp_path / "df.json")


def test_oml_wrong(frame: Path) -> None:
    read = READERS["oml"].read
    text = FRAME.replace("train", "dev").replace("b.jpg,validation,True", "b.jpg,validation,maybe")
    frame.write_text(text)
    with pytest.raises(DataError) as caught:
        read(frame)
    assert "row 1: split is 'dev', not train or validation" in str(caught.value)
    assert "row 2: is_query is 'maybe', not true or false" in str(caught.value)
    frame.write_text("label,path\n1,a.jpg\n")
    with pytest.raises(DataError, match="lacks split, is_query, is_gallery"):
        read(frame)


def test_oml_reads_typed_columns(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "b.jpg")
    columns = {
        "label": [1, 2],
        "path": ["a.jpg", "b.jpg"],
        "split": ["validation"] * 2,
        "is_query": [True, False],
        "is_gallery": [0.0, 1.0],
    }
    pq.write_table(pa.table(columns), tmp_path / "df.parquet")
    manifest, _ = READERS["oml"].read(tmp_path / "df.parquet")
    assert manifest.column("role").tolist() == ["query", "gallery"]


def test_folder_leaves_out_names_that_no_manifest_holds_and_loops(tmp_path: Path) -> None:
    (tmp_path / "item/shop").mkdir(parents=True)
    (tmp_path / "item/shop/a\u202f1.jpg").write_bytes(b"x")  # as some systems name screenshots
    (tmp_path / "item/shop/b\x1b.jpg").write_bytes(b"x")
    (tmp_path / "item/shop/again").symlink_to(tmp_path)
    try:
        (tmp_path / os.fsdecode(b"c\xff.jpg")).write_bytes(b"x")
        strange = 2
    except OSError:  # a file system that takes UTF-8 only
        strange = 1
    manifest, report = READERS["folder"].read(tmp_path)
    assert manifest.column("path").tolist() == ["item/shop/a\u202f1.jpg"]
    assert any(f"{strange} pictures are left out" in note for note in report.notes)
    (tmp_path / "item/shop/a\u202f1.jpg").unlink()
    with pytest.raises(DataError, match="aren't plain UTF-8"):
        READERS["folder"].read(tmp_path)
