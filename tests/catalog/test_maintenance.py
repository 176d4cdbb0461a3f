from __future__ import annotations

import os
import random
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from helpers.small_shop import manifest, state
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.store import CheckReport, Problem
from hemline.data.manifest import Manifest
from hemline.errors import CatalogError, UsageError
from hemline.runtime.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "bundle"))


@pytest.fixture
def catalog(tmp_path: Path, bundle: Bundle) -> Catalog:
    made = Catalog.create(tmp_path / "shop", bundle)
    made.add(manifest(tmp_path / "data", 20))
    return made


def test_a_whole_catalogue_is_whole(catalog: Catalog) -> None:
    health = catalog.check(deep=True)
    assert (health.ok, health.images, health.problems, health.lost) == (True, 20, [], [])


def test_copies_are_checked(catalog: Catalog, tmp_path: Path) -> None:
    rows = list(catalog.store.rows())
    copies = [catalog.image_path(row) for row in rows[:2]]
    assert copies[0] is not None
    assert copies[1] is not None
    copies[0].unlink()
    copies[1].write_bytes(b"torn")
    (tmp_path / "shop/pictures/ab").mkdir(exist_ok=True)
    stray = tmp_path / "shop/pictures/ab/stray.part"
    stray.write_bytes(b"half")
    found = catalog.check()
    assert [p.found for p in found.problems] == ["the copy is missing"]
    assert found.strays == 1
    health = catalog.check(deep=True, repair=True)
    assert [(p.found, p.repaired) for p in health.problems] == [
        ("the copy is missing", False),
        ("the copy is damaged", False),
    ]
    assert health.strays == 1
    assert not stray.exists()
    assert not health.ok
    catalog.remove(["item0"])
    assert catalog.check(deep=True).ok


def test_a_damaged_bundle_is_found(catalog: Catalog, tmp_path: Path) -> None:
    with (tmp_path / "shop/bundle/street.onnx").open("ab") as file:
        file.write(b"!")
    health = catalog.check()
    assert [problem.part for problem in health.problems] == ["bundle"]
    assert not health.ok


def test_lost_vectors_are_made_from_the_copies(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {row.image_id: row for row in catalog.store.rows()}
    wrong = np.eye(8, dtype=np.float32)[0]
    lost = ["3.jpg", "4.jpg"]
    catalog.store.add([replace(before[i], embedding=wrong, norm=1.0) for i in lost])
    copy = catalog.image_path(before["4.jpg"])
    assert copy is not None
    copy.unlink()
    torn = Problem("segment", "segments/1", "is damaged")
    reports = [CheckReport(20, (torn,), ("4.jpg",)), CheckReport(20, (torn,), ("3.jpg", "4.jpg"))]
    monkeypatch.setattr(type(catalog.store), "verify", lambda *_: reports.pop())
    health = catalog.check(repair=True)
    assert (health.embedded, health.lost, health.ok) == (1, ["4.jpg"], False)
    assert health.problems[0] == torn
    mended = catalog.store.get(["3.jpg"])["3.jpg"]
    np.testing.assert_allclose(mended.embedding, before["3.jpg"].embedding, atol=0.03)


@pytest.mark.parametrize("left", [None, 0, 100])
def test_a_segment_that_is_lost_is_made_from_the_copies(
    catalog: Catalog, tmp_path: Path, left: int | None
) -> None:
    """Failed before: the repair read the lost vectors, and ended with the advice to repair."""
    before = {row.image_id: row.embedding for row in catalog.store.rows()}
    catalog.close()
    segment = tmp_path / "shop/segments/000001.seg"
    if left is None:
        segment.unlink()
    else:
        os.truncate(segment, left)
    with Catalog.open(tmp_path / "shop") as again:
        health = again.check(repair=True)
        assert (health.ok, health.lost) == (True, [])
        assert health.embedded == 20 - (left or 0) // 24
        assert again.check(deep=True).problems == []
        for row in again.store.rows():
            np.testing.assert_allclose(row.embedding, before[row.image_id], atol=0.03)


def test_a_backup_is_a_catalogue(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "shop/feed.json").write_text('{"columns": {}, "without": [], "images": ""}')
    done = catalog.backup(tmp_path / "copies" / "monday")
    assert done["pictures"] == len({row.image_digest for row in catalog.store.rows()})
    with Catalog.open(tmp_path / "copies" / "monday") as copy:
        assert state(copy) == state(catalog)
        assert copy.check(deep=True).ok
        assert copy.remove(["item0"]) == {"item0": 2}
    assert (tmp_path / "copies/monday/feed.json").exists()
    assert [p.name for p in (tmp_path / "copies").iterdir()] == ["monday"]
    assert catalog.store.counts().items == 10
    with pytest.raises(CatalogError, match="is there already"):
        catalog.backup(tmp_path / "copies" / "monday")
    with pytest.raises(CatalogError, match="is inside the catalogue"):
        catalog.backup(tmp_path / "shop" / "inside")


def test_a_backup_of_a_rebuilt_catalogue_is_flat(catalog: Catalog, tmp_path: Path) -> None:
    new = Bundle.open(make_tiny_bundle(tmp_path / "new", seed=4))
    catalog.rebuild(new)
    catalog.backup(tmp_path / "copy")
    with Catalog.open(tmp_path / "copy") as copy:
        assert copy.bundle.fingerprint == new.fingerprint
        assert state(copy) == state(catalog)
        assert copy.check(deep=True).ok


def test_a_broken_off_backup_is_gone_on_with(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.backup(tmp_path / "copy", advance=broken)
    assert not (tmp_path / "copy").exists()
    copied: list[object] = []
    real = shutil.copyfile

    def copyfile(a: Path, b: Path, **options: bool) -> object:
        copied.append(a)
        return real(a, b, **options)

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    catalog.backup(tmp_path / "copy")
    copied = [path for path in copied if str(path).endswith(".jpg")]
    assert len(copied) == len({row.image_digest for row in catalog.store.rows()}) - 7
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_backup_while_it_is_written_to_is_of_one_moment(catalog: Catalog, tmp_path: Path) -> None:
    """Each commit moves a product's two pictures together; a copy has both or none of them."""
    stop = threading.Event()
    assert catalog.folder is not None

    def writing() -> None:
        with Catalog.open(tmp_path / "shop") as writer:
            clock = random.Random(0)
            while not stop.is_set():
                n = 2 * clock.randrange(10, 40)
                if clock.random() < 0.5:
                    writer.add(manifest(tmp_path / "data", 2, start=n))
                else:
                    writer.remove([f"item{n // 2}"])

    thread = threading.Thread(target=writing)
    thread.start()
    try:
        for turn in range(6):
            catalog.backup(tmp_path / f"copy{turn}")
    finally:
        stop.set()
        thread.join()
    for turn in range(6):
        with Catalog.open(tmp_path / f"copy{turn}") as copy:
            assert copy.check(deep=True).ok
            items = [row.item_id for row in copy.store.rows()]
            assert {items.count(item) for item in items} == {2}


def test_an_export_can_be_added_again(catalog: Catalog, bundle: Bundle, tmp_path: Path) -> None:
    odd = [
        replace(row, columns={**row.columns, "size": ["S", "M"][: n + 1], "mixed": [1, "a"][n]})
        for n, row in enumerate(list(catalog.store.rows())[:2])
    ]
    catalog.store.add(odd)
    done = catalog.export(tmp_path / "out" / "items.parquet", vectors=True)
    assert (done["pictures"], done["items"]) == (20, 10)
    table = pq.read_table(tmp_path / "out" / "items.parquet")
    rows = list(catalog.store.rows())
    assert table["image_id"].to_pylist() == [row.image_id for row in rows]
    np.testing.assert_array_equal(
        np.array(table["embedding"].to_pylist(), np.float32), np.stack([r.embedding for r in rows])
    )
    read = Manifest.read(tmp_path / "out" / "items.parquet")
    assert all(path.is_file() for path in read.files())
    other = Catalog.create(tmp_path / "other", bundle)
    report = other.add(read)
    assert (report.added, report.skipped) == (20, [])
    ours, theirs = state(catalog), state(other)
    assert {i: row[:3] for i, row in ours.items()} == {i: row[:3] for i, row in theirs.items()}
    assert theirs[odd[1].image_id][3]["size"] == ["S", "M"]
    assert theirs[odd[0].image_id][3]["mixed"] == "1"
    assert "embedding" not in theirs["3.jpg"][3]
    with pytest.raises(UsageError, match=r"an export is a \.parquet file"):
        catalog.export(tmp_path / "items.csv")


def test_an_export_below_the_catalogue_s_parent_has_relative_paths(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.export(tmp_path / "items.parquet")
    paths = pq.read_table(tmp_path / "items.parquet")["path"].to_pylist()
    assert all(path.startswith("shop/pictures/") for path in paths)
    assert "embedding" not in pq.read_table(tmp_path / "items.parquet").column_names


def test_compact_keeps_all(catalog: Catalog, tmp_path: Path) -> None:
    catalog.remove([f"item{n}" for n in range(8)])
    stray = tmp_path / "shop/pictures/aa/half.part"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    before = state(catalog)
    done = catalog.compact()
    assert done["copies_swept"] == 1
    assert state(catalog) == before
    assert catalog.check(deep=True).ok
    assert len(catalog.store.search(np.ones(8, np.float32), 50).ids) == 4


def test_stats_tell_what_it_takes(catalog: Catalog, tmp_path: Path) -> None:
    stats = catalog.stats()
    held = sum(
        p.stat().st_size for p in (tmp_path / "shop").rglob("*")
        if p.is_file() and p.relative_to(tmp_path / "shop").parts[0] not in ("pictures", "bundle")
    )  # fmt: skip
    assert stats["store_bytes"] == held
    assert 0 < stats["bytes_per_picture"] <= held / 20
    assert (stats["segments"], stats["dead_share"]) == (1, 0.0)
    assert stats["copies_bytes"] == sum(
        os.stat(p).st_size for p in (tmp_path / "shop/pictures").rglob("*.jpg")
    )
    assert stats["revision"] == catalog.store.revision
    assert "unfinished_rebuild" not in stats
