from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import hemline.files
from helpers.tiny_bundle import SIZE, make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.data.images import encode_jpeg, open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import PreparedImage, Preprocessing, square
from hemline.errors import CatalogError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Box, Record


def write_picture(path: Path, seed: int, side: int = 40) -> None:
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = np.kron(colours, np.ones((side // 2, side // 2, 1), np.uint8)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(image))


def records(root: Path, count: int, start: int = 0) -> list[Record]:
    made = []
    for n in range(start, start + count):
        write_picture(root / f"{n}.jpg", n)
        made.append(
            Record(
                image_id=f"{n}.jpg",
                path=f"{n}.jpg",
                item_id=f"item{n // 2}",
                domain="shop",
                category="dress",
                tags=("colour=red",),
                box=Box(0, 0, 20, 20),
                extra={"price": float(n)},
            )
        )
    return made


def manifest(root: Path, rows: list[Record]) -> Manifest:
    return Manifest.from_records(rows, root)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "bundle"))


@pytest.fixture
def catalog(tmp_path: Path, bundle: Bundle) -> Catalog:
    return Catalog.create(tmp_path / "shop", bundle)


def copies(catalog: Catalog) -> set[str]:
    assert catalog.folder is not None
    return {p.stem for p in (catalog.folder / "pictures").rglob("*") if p.is_file()}


def test_adds_and_keeps_copies(catalog: Catalog, tmp_path: Path) -> None:
    rows = records(tmp_path / "data", 5)
    write_picture(tmp_path / "data" / "0.jpg", 0, side=1500)
    seen: list[tuple[int, int]] = []
    report = catalog.add(
        manifest(tmp_path / "data", rows), batch=2, advance=lambda d, t: seen.append((d, t))
    )
    assert (report.added, report.unchanged, report.skipped) == (5, 0, [])
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert catalog.store.counts() == (5, 3)
    stored = next(iter(catalog.store.rows()))
    assert stored.shown() == {"category": "dress", "tags": ["colour=red"], "price": 0.0}
    path = catalog.image_path(stored)
    assert path is not None
    assert max(open_image(path).shape) == 640
    image = open_image(tmp_path / "data" / "0.jpg")
    coded = catalog.encoder().encode_shop([image], [["colour=red"]])
    np.testing.assert_allclose(stored.embedding, coded.embedding[0], atol=5e-4)  # float16
    assert stored.norm == pytest.approx(float(coded.norm[0]), rel=1e-5)


def test_a_photo_of_exactly_the_bundles_size_is_resized_and_cropped(tmp_path: Path) -> None:
    spec = Preprocessing(size=SIZE, resize="crop", crop_share=0.5)
    bundle = Bundle.open(make_tiny_bundle(tmp_path / "b", preprocessing=spec))
    catalog = Catalog.create(tmp_path / "c", bundle)
    photo = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    (tmp_path / "p.png").write_bytes(cv2.imencode(".png", photo[..., ::-1])[1].tobytes())
    catalog.add(manifest(tmp_path, [Record("p", "p.png", "i", "shop")]))
    stored = next(iter(catalog.store.rows())).embedding
    encode = catalog.encoder().encode_shop
    prepared = encode([PreparedImage(square(photo, spec))], [[]]).embedding[0]
    as_it_is = encode([PreparedImage(photo)], [[]]).embedding[0]
    np.testing.assert_allclose(stored, prepared, atol=5e-4)
    assert np.abs(stored - as_it_is).max() > 0.01


def test_a_second_run_does_nothing_and_changes_are_found(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    rows = records(root, 6)
    catalog.add(manifest(root, rows))
    embedded: list[int] = []
    encode = BundleEncoder.encode_shop

    def counting(self: BundleEncoder, images: list, tags: list) -> object:
        embedded.append(len(images))
        return encode(self, images, tags)

    monkeypatch.setattr(BundleEncoder, "encode_shop", counting)
    again = catalog.add(manifest(root, rows))
    assert (again.unchanged, again.added, embedded) == (6, 0, [])
    write_picture(root / "0.jpg", 99)  # another picture
    rows[1] = replace(rows[1], tags=("colour=blue",))  # tags attend, so it must be embedded
    rows[2] = replace(rows[2], extra={"price": 1.5})  # only a column
    rows[3] = replace(rows[3], item_id="moved")
    report = catalog.add(manifest(root, rows))
    assert (report.embedded_again, report.updated, report.unchanged) == (2, 2, 2)
    assert sum(embedded) == 2
    stored = {row.image_id: row for row in catalog.store.rows()}
    assert stored["2.jpg"].columns["price"] == 1.5
    assert stored["3.jpg"].item_id == "moved"
    assert len(stored) == 6
    assert len(copies(catalog)) == 6  # the copy of the picture that was replaced is gone
    assert catalog.sweep() == 0


def test_tags_that_do_not_attend_are_only_columns(tmp_path: Path) -> None:
    plain = Bundle.open(make_tiny_bundle(tmp_path / "plain", tags=False))
    catalog = Catalog.create(tmp_path / "shop", plain)
    rows = records(tmp_path / "data", 1)
    catalog.add(manifest(tmp_path / "data", rows))
    report = catalog.add(manifest(tmp_path / "data", [replace(rows[0], tags=("a=b",))]))
    assert (report.updated, report.embedded_again) == (1, 0)


def test_a_box_is_used_only_when_asked_for(catalog: Catalog, tmp_path: Path) -> None:
    root = tmp_path / "data"
    rows = records(root, 1)
    catalog.add(manifest(root, rows))
    whole = next(iter(catalog.store.rows()))
    report = catalog.add(manifest(root, rows), crop="box")
    assert report.embedded_again == 1
    part = next(iter(catalog.store.rows()))
    assert not np.allclose(whole.embedding, part.embedding)
    path = catalog.image_path(part)
    assert path is not None
    assert open_image(path).shape == (20, 20, 3)
    with pytest.raises(UsageError, match="crop is none, box, detect"):
        catalog.add(manifest(root, rows), crop="middle")


def test_only_gallery_rows_are_taken(catalog: Catalog, tmp_path: Path) -> None:
    rows = records(tmp_path / "data", 4)
    rows[0] = replace(rows[0], domain="street")
    rows[1] = replace(rows[1], role="query")
    rows[2] = replace(rows[2], domain="street", role="gallery")
    catalog.add(manifest(tmp_path / "data", rows))
    assert {row.image_id for row in catalog.store.rows()} == {"2.jpg", "3.jpg"}
    with pytest.raises(UsageError, match="none of the 2 rows is for a catalogue"):
        catalog.add(manifest(tmp_path / "data", rows[:2]))


def test_bad_pictures_are_listed_and_the_rest_goes_in(catalog: Catalog, tmp_path: Path) -> None:
    root = tmp_path / "data"
    rows = records(root, 5)
    (root / "1.jpg").write_bytes(b"this is no picture")
    (root / "2.jpg").unlink()
    (root / "4.jpg").write_bytes((root / "4.jpg").read_bytes()[:60])
    report = catalog.add(manifest(root, rows), batch=2)
    assert report.added == 2
    assert {s.image_id for s in report.skipped} == {"1.jpg", "2.jpg", "4.jpg"}
    assert all(s.reason and "\n" not in s.reason for s in report.skipped)
    report = catalog.add(manifest(root, records(root, 5)))
    assert (report.added, report.unchanged) == (3, 2)


def test_unknown_tags_are_reported(catalog: Catalog, tmp_path: Path) -> None:
    rows = [replace(r, tags=("fit=loose",)) for r in records(tmp_path / "data", 3)]
    assert catalog.add(manifest(tmp_path / "data", rows)).unknown_tags == {"fit=loose": 3}


def test_remove_takes_pictures_along_but_not_shared_ones(catalog: Catalog, tmp_path: Path) -> None:
    root = tmp_path / "data"
    rows = records(root, 4)
    (root / "3.jpg").write_bytes((root / "0.jpg").read_bytes())  # one copy for two rows
    catalog.add(manifest(root, rows))
    assert len(copies(catalog)) == 3
    assert catalog.remove(["item0", "none"]) == {"item0": 2}
    assert len(copies(catalog)) == 2
    assert catalog.store.counts() == (2, 1)


def test_a_catalogue_appears_whole_or_not_at_all(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise CatalogError("no room")

    monkeypatch.setattr(SqliteStore, "__init__", full)
    with pytest.raises(CatalogError, match="no room"):
        Catalog.create(tmp_path / "shelf" / "shop", bundle)
    assert list((tmp_path / "shelf").iterdir()) == []


def test_no_folder_is_overwritten(tmp_path: Path, catalog: Catalog, bundle: Bundle) -> None:
    with pytest.raises(CatalogError, match="a catalogue already"):
        Catalog.create(tmp_path / "shop", bundle)
    with pytest.raises(CatalogError, match="isn't empty"):
        Catalog.create(bundle.folder, bundle)
    (tmp_path / "empty").mkdir()
    assert Catalog.create(tmp_path / "empty", bundle).store.counts().items == 0


def test_what_is_no_catalogue_is_said(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="isn't there"):
        Catalog.open(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match="has no catalogue"):
        Catalog.open(tmp_path)
    catalog.close()
    (tmp_path / "shop" / "catalog.sqlite").write_bytes(b"rubbish " * 500)
    with pytest.raises(CatalogError, match="damaged"):
        Catalog.open(tmp_path / "shop")


def test_another_format_version_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    catalog.close()
    with sqlite3.connect(tmp_path / "shop" / "catalog.sqlite") as db:
        db.execute("UPDATE meta SET value = '77' WHERE name = 'format_version'")
    with pytest.raises(CatalogError, match="format version 77, this hemline reads 2"):
        Catalog.open(tmp_path / "shop")


def test_another_bundle_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    other = Bundle.open(make_tiny_bundle(tmp_path / "other", seed=5))
    rows = records(tmp_path / "data", 1)
    with pytest.raises(CatalogError, match="has the fingerprint"):
        catalog.add(manifest(tmp_path / "data", rows), encoder=BundleEncoder(other))
    catalog.close()
    for path in (tmp_path / "other").iterdir():
        (tmp_path / "shop" / "bundle" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CatalogError, match="the catalogue's vectors were made with"):
        Catalog.open(tmp_path / "shop")


def test_one_writer_at_a_time_and_readers_go_on(tmp_path: Path, catalog: Catalog) -> None:
    rows = records(tmp_path / "data", 2)
    other = Catalog.open(tmp_path / "shop")
    with catalog.store.writing():
        with pytest.raises(CatalogError, match=f"another process .process {os.getpid()}"):
            other.add(manifest(tmp_path / "data", rows))
        assert other.store.counts() == (0, 0)
    assert other.add(manifest(tmp_path / "data", rows)).added == 2


def test_a_reader_sees_another_process_commit(tmp_path: Path, catalog: Catalog) -> None:
    rows = records(tmp_path / "data", 6)
    manifest(tmp_path / "data", rows).write(tmp_path / "data" / "manifest.csv")
    query = np.ones(8, np.float32)
    assert len(catalog.store.search(query, 10).ids) == 0
    run_cli("catalog", "add", tmp_path / "shop", tmp_path / "data" / "manifest.csv")
    assert len(catalog.store.search(query, 10).ids) == 6
    run_cli("catalog", "remove", tmp_path / "shop", "item0")
    assert len(catalog.store.search(query, 10).ids) == 4


def run_cli(*args: object) -> dict:
    command = [sys.executable, "-m", "hemline", *map(str, args), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


_ADDING = textwrap.dedent(
    """
    import sys, time
    from hemline.data.manifest import Manifest
    from hemline.catalog.catalog import Catalog

    catalog = Catalog.open(sys.argv[1])
    def told(done, total):
        print(done, flush=True)
    print("ready", flush=True)
    catalog.add(Manifest.read(sys.argv[2]), batch=5, advance=told)
    """
)


def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, catalog: Catalog) -> None:
    count = 150
    rows = records(tmp_path / "data", count)
    path = tmp_path / "data" / "manifest.parquet"
    manifest(tmp_path / "data", rows).write(path)
    rng, least = np.random.default_rng(0), 0
    for attempt in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", _ADDING, str(tmp_path / "shop"), str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        goal = least + 5 * (attempt + 1)
        for line in child.stdout:
            if line.strip() != "ready" and int(line) >= goal:
                least = max(least, int(line))
                break
        time.sleep(float(rng.uniform(0, 0.01)))
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        least = max([least, *map(int, rest)])
        child.wait()
        child.stdout.close()
        with Catalog.open(tmp_path / "shop") as opened:
            names = [row.image_id for row in opened.store.rows()]
            assert len(names) == len(set(names)) >= least
            # Batches are in the manifest's order, and whole.
            assert names == [row.image_id for row in rows[: len(names)]]
            assert len(names) % 5 == 0
            for row in opened.store.rows():
                copy = opened.image_path(row)
                assert copy is not None
                assert copy.is_file()
    assert 0 < least < count
    report = catalog.add(Manifest.read(path), batch=5)
    assert report.unchanged >= least
    assert report.added == count - report.unchanged
    assert catalog.store.counts() == (count, count // 2)
    assert copies(catalog) == catalog.store.image_digests()  # nothing half-written stays behind
    assert len(catalog.store.search(np.ones(8, np.float32), 500).ids) == count


def test_a_full_disk_at_a_picture(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = records(tmp_path / "data", 9)
    sync, written = hemline.files.sync_file, []

    def full(path: Path) -> None:
        written.append(path)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(path)

    monkeypatch.setattr(hemline.files, "sync_file", full)
    with pytest.raises(CatalogError, match="the disk is full. What was acknowledged is kept"):
        catalog.add(manifest(tmp_path / "data", rows), batch=3)
    assert catalog.store.counts().images == 3
    monkeypatch.undo()
    assert len(copies(catalog)) == 5
    report = catalog.add(manifest(tmp_path / "data", rows), batch=3)
    assert (report.unchanged, report.added) == (3, 6)
    assert copies(catalog) == catalog.store.image_digests()


def test_a_full_disk_at_the_database(tmp_path: Path, catalog: Catalog) -> None:
    """A page limit makes SQLite itself say that the disk is full."""
    rows = records(tmp_path / "data", 120)
    database = catalog.store._db  # type: ignore[attr-defined]
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages + 3}")
    done: list[int] = []
    with pytest.raises(CatalogError, match="no space on the disk.*is kept"):
        catalog.add(manifest(tmp_path / "data", rows), batch=4, advance=lambda d, _: done.append(d))
    assert catalog.store.counts().images == done[-1] > 0
    database.execute("PRAGMA max_page_count = 1000000")
    assert catalog.add(manifest(tmp_path / "data", rows)).added == 120 - done[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_file_that_may_not_grow(tmp_path: Path, catalog: Catalog) -> None:
    """The system refuses to write on: one clear line, and nothing acknowledged is lost."""
    rows = records(tmp_path / "data", 200)
    manifest(tmp_path / "data", rows).write(tmp_path / "data" / "manifest.csv")
    code = (
        "import resource, signal, sys; from hemline.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000));"
        "sys.exit(main(sys.argv[1:]))"
    )
    args = ["catalog", "add", tmp_path / "shop", tmp_path / "data" / "manifest.csv", "--batch", "5"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't be written" in done.stderr
    kept = catalog.store.counts().images
    assert 0 < kept < 200
    report = catalog.add(manifest(tmp_path / "data", rows))
    assert (report.unchanged, report.added) == (kept, 200 - kept)


def test_a_folder_that_cannot_be_written_to_is_searched(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.add(manifest(tmp_path / "data", records(tmp_path / "data", 3)))
    log = tmp_path / "shop" / "catalog.sqlite-wal"
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert log.stat().st_size > 0  # the writer is still there
    with pytest.raises(CatalogError, match="can't be written to and its last writer"):
        Catalog.open(tmp_path / "shop")
    catalog.close()
    before = sorted(p.name for p in (tmp_path / "shop").iterdir())
    with Catalog.open(tmp_path / "shop") as fixed:
        assert len(fixed.store.search(np.ones(8, np.float32), 10).ids) == 3
        with pytest.raises(CatalogError, match="readonly"):
            fixed.remove(["item0"])
    assert sorted(p.name for p in (tmp_path / "shop").iterdir()) == before


def test_large_pictures_wait_as_small_squares(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = records(tmp_path / "data", 2)
    write_picture(tmp_path / "data" / "0.jpg", 0, side=900)
    given: list[tuple[int, ...]] = []
    encode = BundleEncoder.encode_shop

    def watching(self: BundleEncoder, images: list, tags: list) -> object:
        given.extend(image.pixels.shape for image in images)
        return encode(self, images, tags)

    monkeypatch.setattr(BundleEncoder, "encode_shop", watching)
    catalog.add(manifest(tmp_path / "data", rows))
    assert given == [(16, 16, 3), (16, 16, 3)]


def test_stats(catalog: Catalog, tmp_path: Path, bundle: Bundle) -> None:
    catalog.add(manifest(tmp_path / "data", records(tmp_path / "data", 3)))
    stats = catalog.stats()
    assert (stats["items"], stats["pictures"], stats["model"]) == (2, 3, "tiny")
    assert stats["columns"] == ["category", "tags", "price"]
    assert stats["fingerprint"] == bundle.fingerprint
    assert stats["store_bytes"] > 0


def test_in_memory(bundle: Bundle, tmp_path: Path) -> None:
    catalog = Catalog.in_memory(bundle)
    assert catalog.add(manifest(tmp_path / "data", records(tmp_path / "data", 3))).added == 3
    assert catalog.image_path(next(iter(catalog.store.rows()))) is None
    with pytest.raises(UsageError, match="in_memory"):
        Catalog.create(tmp_path / "memory", bundle, store="memory")
