"""LookBench: parquet with embedded images, and fine relevance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.published import JPEG
from hemline.datasets import READERS, build
from hemline.datasets.lookbench import SUBSETS
from hemline.errors import DataError, UsageError

READ = READERS["lookbench"].read


def cells(category: str, main: str, others: Any, item: str, **more: Any) -> dict[str, Any]:
    return {
        "image": {"bytes": JPEG, "path": "a.jpg"}, "category": category, "main_attribute": main,
        "other_attributes": others, "item_ID": item, "task": "single", "difficulty": "easy", **more,
    }  # fmt: skip


QUERIES = [
    cells("dress", "floral", ["midi", "red"], "q1", bbox=[1.0, 2.0, 7.0, 8.0]),
    cells("dress", "plain", ["midi"], "q2"),
    cells("skirt", "plain", [], "q3"),
]
GALLERY = [
    cells("Dress", "Floral", ["red", "midi"], "g1"),
    cells("dress", "floral", ["midi"], "g2"),
    cells("dress", "floral", ["midi", "red"], "g3"),
    cells("skirt", "plain", [], "g4"),
]
NOISE = [cells("", "", None, "n1"), cells("dress", "plain", ["midi"], "n2")]


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(name for row in rows for name in row)
    whole = [{name: row.get(name) for name in names} for row in rows]
    pq.write_table(pa.Table.from_pylist(whole), file)  # type: ignore[no-untyped-call]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    version = tmp_path / "v20251201"
    write(version / "real_studio_flat/query.parquet", QUERIES)
    write(version / "real_studio_flat/gallery.parquet", GALLERY)
    write(version / "aigen_studio/query.parquet", QUERIES[:1])
    write(version / "aigen_studio/gallery.parquet", GALLERY[:1])
    write(version / "noise/gallery.parquet", NOISE)
    return tmp_path


def test_images_are_written_once_and_rows_are_read(root: Path) -> None:
    manifest, report = READ(root)
    assert (report.listed, report.found) == (11, 11)
    assert report.published["queries of real_studio_flat"] == (1_011, 3)
    assert report.notes == ("not here: real_streetlook, aigen_streetlook",)
    first, last = manifest[0], manifest[-1]
    assert (first.image_id, first.item_id) == (
        "real_studio_flat/query/000000",
        "real_studio_flat/q1",
    )
    assert (first.domain, first.role, first.split) == ("street", "query", "test")
    assert first.tags == ("main=floral", "other=midi", "other=red")
    assert first.box == (1, 2, 7, 8)
    assert last.extra["subset"] == "noise"
    assert manifest.file(0).read_bytes() == JPEG
    before = manifest.file(0).stat().st_mtime_ns
    again, _ = READ(root, version="v20251201")
    assert again.fingerprint() == manifest.fingerprint()
    assert again.file(0).stat().st_mtime_ns == before


def test_right_is_where_category_and_all_attributes_agree(root: Path) -> None:
    manifest, _ = READ(root)
    (made,) = build("lookbench/real_studio_flat", manifest)
    asked = [manifest[int(row)] for row in made.queries]
    searched = [manifest[int(row)] for row in made.gallery]
    assert [r.item_id.split("/")[1] for r in searched] == ["g1", "g2", "g3", "g4", "n1", "n2"]
    for query, right in zip(asked, made.relevant, strict=True):
        wanted = {
            r.item_id
            for r in searched
            if r.category.lower() == query.category.lower()
            and {t.lower() for t in r.tags} == {t.lower() for t in query.tags}
        }
        assert right == wanted
    assert [len(right) for right in made.relevant] == [2, 1, 1]
    assert "fine" in made.choices["relevance"]
    assert any(p.model == "GR-Lite" and p.value == 0.517 for p in made.published)
    every = build("lookbench/all", manifest)
    assert [part.name for part in every] == ["lookbench/real_studio_flat", "lookbench/aigen_studio"]
    assert len(every[1].gallery) == 1 + 2


def test_other_forms_of_the_fields(tmp_path: Path) -> None:
    (tmp_path / "own.jpg").write_bytes(JPEG)
    rows = [
        {"image": "own.jpg", "category": "dress", "other_attributes": "red, midi"},
        {"image": "own.jpg", "category": "dress", "other_attributes": '["midi", "red"]'},
    ]
    write(tmp_path / "aigen_studio/query.parquet", rows[:1])
    write(tmp_path / "aigen_studio/gallery-00000-of-00001.parquet", rows[1:])
    manifest, _ = READ(tmp_path)
    assert manifest[0].tags == manifest[1].tags == ("other=midi", "other=red")
    assert manifest[0].item_id == "aigen_studio/query/000000"
    (made,) = build("lookbench/aigen_studio", manifest)
    assert made.relevant == (frozenset({"aigen_studio/gallery/000000"}),)


def test_damaged(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        READ(root, version="v1")
    with pytest.raises(UsageError, match="lies outside"):
        READ(root, images="../elsewhere")
    write(root / "v20251201/aigen_studio/query.parquet", [{**QUERIES[0], "bbox": ["a"] * 4}])
    with pytest.raises(DataError, match="can't be read as LookBench's"):
        READ(root)
    (root / "v20251201/aigen_studio/query.parquet").write_bytes(b"PAR1 no parquet")
    with pytest.raises(DataError, match="can't be read as LookBench's"):
        READ(root)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=f"SUBSET/query.parquet.*{next(iter(SUBSETS))}"):
        READ(empty)
    write(empty / "aigen_studio/query.parquet", [{"image": None, "category": "dress"}])
    with pytest.raises(DataError, match="neither bytes nor a path"):
        READ(empty)
