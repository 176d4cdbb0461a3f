"""The SQLite store's care: compaction, checking, repairing, copying, and disks that fail."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hemline.catalog.index import disk
from hemline.catalog.settings import StoreSettings
from hemline.catalog.store import Row
from hemline.catalog.stores._rows import WITH, select
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where
from hemline.errors import CatalogError

DIM = 16
SMALL = StoreSettings(segment_rows=100)
CODED = StoreSettings(segment_rows=100, exact_rows=200, subset_rows=50, train_rows=200)


def rows(first: int, count: int, seed: int = 0) -> list[Row]:
    vectors = np.random.default_rng([first, seed]).normal(size=(count, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Row(f"image{n}", f"item{n // 2}", v, 1.5, category="dress", columns={"price": n})
        for n, v in enumerate(vectors, first)
    ]


def filled(folder: Path, count: int = 450, settings: StoreSettings = SMALL) -> SqliteStore:
    folder.mkdir(exist_ok=True)
    store = SqliteStore.create(folder, "print", DIM, settings)
    for start in range(0, count, 90):
        store.add(rows(start, min(90, count - start)))
    return store


def twin(count: int = 450) -> MemoryStore:
    store = MemoryStore("print", DIM)
    for start in range(0, count, 90):
        store.add(rows(start, min(90, count - start)))
    return store


def same(store: SqliteStore, exact: MemoryStore) -> None:
    """All rows alike, and answers alike to the last bit."""
    found = {row.image_id: row for row in store.rows()}
    wanted = {row.image_id: row for row in exact.rows()}
    assert found.keys() == wanted.keys()
    for image_id, row in found.items():
        other = wanted[image_id]
        np.testing.assert_array_equal(row.embedding, other.embedding)
        # From Python 3.13 on an array is compared even with itself.
        plain, expected = (dataclasses.replace(one, embedding=None) for one in (row, other))  # type: ignore[arg-type]
        assert plain == expected
    where = Where.parse("price < 300", ["price"])
    for query in np.random.default_rng(1).normal(size=(5, DIM)).astype(np.float32):
        for condition in (None, where):
            got, want = store.search(query, 30, condition), exact.search(query, 30, condition)
            np.testing.assert_array_equal(got.similarity, want.similarity)
            names = [r.image_id for r in store.take(got.ids) if r]
            assert names == [r.image_id for r in exact.take(want.ids) if r]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


# Compaction


@pytest.mark.parametrize("column", sorted(WITH))
def test_rows_are_looked_up_by_an_index(tmp_path: Path, column: str) -> None:
    """Failed before for item_id: every product asked for read the whole table."""
    store = filled(tmp_path / "shop")
    assert len(store.items(["item3", "item7", "none"])) == 4
    store.close()
    with sqlite3.connect(tmp_path / "shop" / "catalog.sqlite") as db:
        plan = db.execute(f"EXPLAIN QUERY PLAN {select(True)} {WITH[column]}", ("[]",)).fetchall()
    steps = [step for *_, step in plan]
    assert not any(step.startswith(("SCAN pictures", "SCAN items")) for step in steps), steps


def test_compaction_gives_room_back_and_changes_nothing(tmp_path: Path) -> None:
    store, exact = filled(tmp_path), twin()
    other = SqliteStore(tmp_path)  # searches all the time
    same(other, exact)
    gone = [f"item{n}" for n in range(225) if n % 4]
    for one in (store, exact):
        one.remove(gone)
    before = sorted(p.name for p in (tmp_path / "segments").iterdir())
    told: list[tuple[int, int]] = []
    report = store.compact(lambda done, total: told.append((done, total)))
    assert report.segments == len(before) == 5
    assert report.moved == len(list(exact.rows())) == told[-1][0] == told[-1][1]
    assert report.bytes_freed > 5 * 90 * (2 * DIM + 8)
    after = sorted(p.name for p in (tmp_path / "segments").iterdir())
    assert not set(before) & set(after)
    same(store, exact)
    same(other, exact)
    again = store.compact()
    assert (again.moved, again.segments) == (0, 0)
    for one in (store, exact):
        one.add(rows(500, 30))
    same(other, exact)
    assert store.verify().ok
    store.close()
    other.close()


def test_ids_are_not_used_again_after_compaction(tmp_path: Path) -> None:
    store = filled(tmp_path, 90)
    before = set(store.search(np.ones(DIM, np.float32), 500).ids.tolist())
    store.remove([f"item{n}" for n in range(45)])
    store.compact()
    store.compact()
    store.add(rows(0, 90))
    after = set(store.search(np.ones(DIM, np.float32), 500).ids.tolist())
    assert not before & after
    assert store.take(np.array(sorted(before))) == [None] * 90
    assert np.isnan(store.vectors(np.array(sorted(before))).norm).all()
    store.close()


def test_readers_go_on_while_it_is_compacted(tmp_path: Path) -> None:
    store, exact = filled(tmp_path, settings=CODED), twin()
    gone = [f"item{n}" for n in range(225) if n % 3]
    for one in (store, exact):
        one.remove(gone)
    reader = SqliteStore(tmp_path, CODED)
    queries = np.random.default_rng(1).normal(size=(8, DIM)).astype(np.float32)
    exact_count = exact.counts().images
    wanted = [[r.image_id for r in exact.take(exact.search(q, 20).ids) if r] for q in queries]
    failed: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                for query, names in zip(queries, wanted, strict=True):
                    taken = reader.take(reader.search(query, 20).ids)
                    if None not in taken:  # moved between the two calls
                        found = [r.image_id for r in taken if r and len(r.image_id) < 9]
                        assert found == names[: len(found)]
                        assert len(found) >= 18  # the others are those that come and go
                assert sum(len(row.image_id) < 9 for row in reader.rows()) == exact_count
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(15):
        for one in (store, exact):
            one.add(rows(1000 + n, 1))
            one.remove([f"item{(1000 + n) // 2}"])
        store.compact()
    done.set()
    for thread in threads:
        thread.join()
    assert not failed, failed
    same(store, exact)
    store.close()
    reader.close()


def test_what_was_removed_is_forgotten_after_two_compactions(tmp_path: Path) -> None:
    store, exact = filled(tmp_path), twin()
    old = SqliteStore(tmp_path)
    same(old, exact)
    for one in (store, exact):
        one.remove([f"item{n}" for n in range(0, 225, 2)])
    store.compact()
    for one in (store, exact):
        one.remove([f"item{n}" for n in range(1, 225, 4)])
    store.compact()
    store.compact()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        assert db.execute("SELECT COUNT(*) FROM removed").fetchone()[0] < 60
        assert db.execute("SELECT COUNT(*) FROM items").fetchone()[0] == exact.counts().items
    same(old, exact)  # was behind all of it
    store.close()
    old.close()


# Checking


def test_a_whole_store_is_found_whole(tmp_path: Path) -> None:
    store = filled(tmp_path, settings=CODED)
    store.save()
    told: list[tuple[int, int]] = []
    report = store.verify(advance=lambda done, total: told.append((done, total)))
    assert (report.images, report.problems, report.lost, report.ok) == (450, (), (), True)
    assert told[-1] == (450, 450)
    store.close()


@pytest.mark.parametrize("settings", [SMALL, CODED], ids=["exact", "codes"])
def test_a_damaged_vector_is_never_answered_and_can_be_healed(
    tmp_path: Path, settings: StoreSettings
) -> None:
    store, exact = filled(tmp_path, settings=settings), twin()
    target = store.get(["image150"])["image150"]
    store.close()
    record = 2 * DIM + 8
    flip(tmp_path / "segments" / "000002.seg", 50 * record + 5)
    store = SqliteStore(tmp_path, settings)
    with pytest.raises(CatalogError, match=r"000002\.seg has damaged vectors.*--repair"):
        store.search(target.embedding, 450)
    with pytest.raises(CatalogError, match="has damaged vectors"):
        store.search_exact(target.embedding, 450)
    report = store.verify()
    assert report.lost == ("image150",)
    assert [(p.part, p.path, p.repaired) for p in report.problems] == [
        ("segment", "segments/000002.seg", False)
    ]
    assert "1 vector" in report.problems[0].found
    report = store.verify(repair=True)
    assert (report.lost, report.ok) == (("image150",), False)
    known = store.get(report.lost, vectors=False)["image150"]
    assert known.embedding.shape == (0,)
    store.add([dataclasses.replace(known, embedding=target.embedding, norm=target.norm)])
    assert store.verify().ok
    exact.add([dataclasses.replace(target, columns={"price": 150})])
    same(store, exact)
    store.close()


@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_segment_that_is_gone_or_cut_off(tmp_path: Path, damage: str) -> None:
    """Failed before: that an empty file can't be mapped was a traceback, also of the repair."""
    filled(tmp_path).close()
    path = tmp_path / "segments" / "000003.seg"
    if damage == "gone":
        path.unlink()
    else:
        os.truncate(path, 10 * (2 * DIM + 8) + 3 if damage == "cut" else 0)
    store = SqliteStore(tmp_path)
    words = r"segments/000003\.seg (has 1?0 vectors|can't be read)"
    with pytest.raises(CatalogError, match=words):
        store.search(np.ones(DIM, np.float32), 5)
    with pytest.raises(CatalogError, match=r"000003\.seg"):
        list(store.rows())
    report = store.verify()
    lost = range(210 if damage == "cut" else 200, 300)
    assert report.lost == tuple(f"image{n}" for n in lost)
    assert len(report.problems) == 1
    store.add([row for row in rows(180, 90) + rows(270, 90) if row.image_id in report.lost])
    assert store.verify().ok
    same(store, twin())
    store.close()


def test_what_can_be_derived_is_repaired(tmp_path: Path) -> None:
    store = filled(tmp_path, settings=CODED)
    store.save()
    store.close()
    flip(disk.folders(tmp_path)[0] / "tags-codes.npy", 3)
    shutil.copy(tmp_path / "segments" / "000001.seg", tmp_path / "segments" / "000044.seg")
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        db.execute("UPDATE segments SET count = 3 WHERE number = 2")
        db.execute("UPDATE meta SET value = '120' WHERE name = 'next_id'")
    store = SqliteStore(tmp_path, CODED)
    report = store.verify()
    assert not report.ok
    assert [p.part for p in report.problems] == ["database", "database", "index"]
    report = store.verify(repair=True)
    assert len(report.problems) == 4
    assert report.ok
    assert store.verify().problems == ()
    same(store, twin())
    exact = twin()
    for one in (store, exact):
        one.add(rows(450, 30))
    same(store, exact)
    store.close()


def test_an_index_that_disagrees_is_found_and_dropped(tmp_path: Path) -> None:
    store = filled(tmp_path, settings=CODED)
    store.save()
    with store._reader.index(flushed=True) as index:
        assert index.columns is not None
        index.columns.columns["price"].put(np.array([7]), [7000])
        index.alive.data[9] = False
    found = store.verify()
    assert [p.part for p in found.problems] == ["index"]
    assert store.verify(repair=True).ok
    assert store.verify().problems == ()
    with store._reader.index(flushed=True) as index:
        assert index.columns is not None
        index.columns.columns["price"].put(np.array([7]), [7000])
    assert [p.part for p in store.verify().problems] == ["columns"]
    assert store.verify(repair=True).ok
    same(store, twin())
    store.close()


def test_a_torn_database_is_told_in_one_line(tmp_path: Path) -> None:
    filled(tmp_path, 900).close()
    path = tmp_path / "catalog.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    try:
        store = SqliteStore(tmp_path)
    except CatalogError as error:
        assert "damaged" in str(error)  # noqa: PT017
        return
    report = store.verify()
    assert not report.ok
    assert {p.part for p in report.problems} == {"database"}
    with pytest.raises(CatalogError, match="damaged"):
        list(store.rows())
    store.close()


# Copying


def test_a_copy_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    store = filled(tmp_path / "shop", settings=CODED)
    failed: list[BaseException] = []
    done = threading.Event()

    def write() -> None:
        n = 1000
        try:
            while not done.is_set():
                store.add(rows(n, 10))
                store.remove([f"item{i}" for i in range(n // 2, n // 2 + 5)])
                if n % 100 == 0:
                    store.compact()
                n += 10
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    for copy in range(6):
        target = tmp_path / f"copy{copy}"
        target.mkdir()
        told: list[tuple[int, int]] = []
        store.backup(target, lambda d, t, told=told: told.append((d, t)))  # type: ignore[misc]
        assert told[-1][0] == told[-1][1]
        again = SqliteStore(target, CODED)
        assert again.verify().ok
        names = [row.image_id for row in again.rows()]
        assert len(names) % 10 == 0  # whole commits
        assert {f"image{n}" for n in range(450)} <= set(names)
        again.close()
    done.set()
    writer.join()
    assert not failed, failed
    store.close()


# Disks that fail


_LIMITED = """
import dataclasses, resource, signal, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_store import SqliteStore, rows
from hemline.errors import CatalogError

store = SqliteStore(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
for n in range(0, 6000, 300):
    some = rows(n, 300)
    vectors = np.random.default_rng(n).normal(size=(300, 512)).astype(np.float32)
    try:
        store.add([dataclasses.replace(r, embedding=v) for r, v in zip(some, vectors)])
    except CatalogError as error:
        print(error)
        break
    print(n + 300, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_segment_that_may_not_grow_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """The system refuses to write on in the middle of a record."""
    SqliteStore.create(tmp_path, "print", 512).close()
    command = [sys.executable, "-c", _LIMITED, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert "can't be written: no space on the disk" in lines[-1], done.stderr
    kept = int(lines[-2])
    assert (tmp_path / "segments" / "000001.seg").stat().st_size == 3_000_000
    store = SqliteStore(tmp_path)
    assert store.counts().images == kept > 0
    assert store.verify().ok
    again = [dataclasses.replace(r, embedding=np.ones(512, np.float32)) for r in rows(kept, 90)]
    store.add(again)
    assert store.verify().ok
    assert store.counts().images == kept + 90
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no folders of this kind")
def test_a_folder_that_cannot_be_written_to_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path, settings=CODED)
    store.save()
    store.close()

    def files() -> dict[Path, bytes]:
        found = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"]
        return {p: p.read_bytes() for p in found}

    before = files()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    fixed = SqliteStore(tmp_path, CODED)
    same(fixed, twin())
    assert fixed.verify().ok
    with pytest.raises(CatalogError, match="readonly"):
        fixed.add(rows(450, 5))
    fixed.close()
    assert files() == before


def test_an_index_that_cannot_be_saved_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path, settings=CODED)
    store.save()
    first = disk.revision(tmp_path)
    store.add(rows(450, 50))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write_array", full)
    store.save()
    assert disk.revision(tmp_path) == first
    assert len(list((tmp_path / "index").iterdir())) == 1
    monkeypatch.undo()
    store.save()
    assert disk.revision(tmp_path) == first + 1
    same(store, twin(500))
    store.close()


def test_a_write_that_breaks_off_in_a_segment_is_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, exact = filled(tmp_path), twin()
    write = os.write

    def torn(descriptor: int, data: Any) -> int:
        write(descriptor, bytes(data[: len(data) // 2]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", torn)
    with store.writing(), pytest.raises(CatalogError, match="no space on the disk.*is kept"):
        store.add(rows(450, 120, seed=5))
    monkeypatch.undo()
    same(store, exact)
    assert store.verify().ok
    for one in (store, exact):
        one.add(rows(450, 120))
    same(store, exact)
    assert store.verify().ok
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_writer_leaves_whole_commits(tmp_path: Path) -> None:
    SqliteStore.create(tmp_path, "print", DIM, SMALL).close()
    code = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_store import SqliteStore, rows
        store = SqliteStore(Path({str(tmp_path)!r}))
        n = store.counts().images
        while True:
            store.add(rows(n, 70))
            n += 70
            print(n, flush=True)
            if n % 3 == 0:
                store.compact()
        """
    )
    least = 0
    for attempt in range(4):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        goal = least + 70 * (attempt + 1)
        while least < goal:
            least = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        least = max([least, *map(int, child.stdout.read().split())])
        child.wait()
        child.stdout.close()
        store = SqliteStore(tmp_path)
        pictures = store.counts().images
        assert pictures >= least
        assert pictures % 70 == 0
        assert store.verify(repair=True).ok
        assert sorted(row.image_id for row in store.rows()) == sorted(
            f"image{n}" for n in range(pictures)
        )
        store.close()
