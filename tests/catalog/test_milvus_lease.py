"""The right to write that machines without a common folder share in a database."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from helpers import milvus, postgres
from helpers.small_rows import DIM, rows
from hemline.catalog.milvus import lease as lease_module
from hemline.catalog.milvus.lease import Lease, lease
from hemline.catalog.stores.milvus import MilvusStore
from hemline.errors import CatalogBusy, CatalogError
from hemline.sql import DATABASE

WRITER = Path(milvus.__file__).with_name("milvus_shared_writer.py")
_PATIENCE = 300.0  # seconds
url = postgres.url


@pytest.fixture
def two(url: str) -> Iterator[tuple[Lease, Lease]]:
    both = Lease(url, "shop_1"), Lease(url, "shop_1")
    yield both
    for one in both:
        one.close()


def test_one_at_a_time(two: tuple[Lease, Lease], url: str) -> None:
    a, b = two
    assert not a.acquire()
    a.check()
    for _ in range(2):
        with pytest.raises(CatalogBusy, match=rf"shop_1 is being .* process {os.getpid()}") as said:
            b.acquire()
        assert "\n" not in str(said.value)
    other = Lease(url, "shop_2")
    assert not other.acquire()
    other.release()
    other.close()
    a.release()
    assert not b.acquire()
    b.check()
    b.release(clean=False)
    assert a.acquire()  # the last one failed
    a.release()
    assert not b.acquire()
    b.release()


def hold(url: str, said: Connection) -> None:
    mine = Lease(url, "shop_1")
    mine.acquire()
    said.send(os.getpid())
    time.sleep(600)


def test_a_killed_holder_is_followed(
    two: tuple[Lease, Lease], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=hold, args=(url, there), daemon=True)
    process.start()
    number = here.recv()
    with pytest.raises(CatalogBusy, match=f"process {number}"):
        two[0].acquire()
    process.kill()
    process.join()
    if url.startswith("sqlite"):  # whose end comes by itself
        with pytest.raises(CatalogBusy, match=r"its right ends in \d+ s"):
            two[0].acquire()
        later = time.time() + lease_module.LEASE + 1
        monkeypatch.setattr(lease_module.time, "time", lambda: later)
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            died = two[0].acquire()
            break
        except CatalogBusy:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert died
    two[0].release()


def test_a_holder_moves_its_end_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.needed()
    monkeypatch.setattr(lease_module, "LEASE", 0.04)
    mine = Lease(f"sqlite:///{tmp_path / 'shared.sqlite'}", "shop_1")
    mine.acquire()
    ends = set()
    end = time.monotonic() + _PATIENCE
    while len(ends) < 3:
        with mine._connected() as connection:
            ends.add(mine._row(connection).until)
        assert time.monotonic() < end
    mine.release()


def test_a_lost_right_is_noticed(two: tuple[Lease, Lease], url: str) -> None:
    a, b = two
    a.acquire()
    with b._connected() as connection:
        if url.startswith("sqlite"):
            b._make_row(connection)
            assert b._change(connection, a._me, holder="another, process 1, x")
        else:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            b._run(connection, ended + " AND :key = :key")
    with pytest.raises(CatalogError, match=r"right to write to collection shop_1 was lost"):
        a.check()
    a.release()


def test_a_database_that_is_away_lets_nobody_write(monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.needed()
    monkeypatch.setattr(lease_module, "_PAUSE", 0.0)
    monkeypatch.setenv(DATABASE, "postgresql://hemline:secret@127.0.0.1:9/x")
    mine = lease("shop_1")
    assert mine is not None
    with pytest.raises(CatalogError, match=r"keeps writers .* apart, can't be used") as said:
        mine.acquire()
    assert "\n" not in str(said.value)
    assert "secret" not in str(said.value)
    monkeypatch.delenv(DATABASE)
    assert lease("shop_1") is None


# On a Milvus server


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A catalogue's folder and its copy, as two machines have them, with one database."""
    server = milvus.server()
    monkeypatch.setenv(DATABASE, postgres.server().new())
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    milvus.write_address(first, server.address("?timeout=120"))
    MilvusStore.create(first, "print", DIM).close()
    shutil.copytree(first, second)
    return first, second


def started(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(WRITER.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(folder), str(first), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


@pytest.mark.slow
def test_two_machines_write_at_once_and_lose_nothing(folders: tuple[Path, Path]) -> None:
    count = 25
    both = [started(folder, 1000 * n, count) for n, folder in enumerate(folders)]
    for one in both:
        said, _ = one.communicate(timeout=_PATIENCE)
        assert one.returncode == 0
        assert len(said.split()) == 1 + count
    store = MilvusStore(folders[1])
    found = [row.image_id for row in store.rows()]
    wanted = {f"image{1000 * n + i}" for n in range(2) for i in range(count)}
    assert len(found) == len(wanted)
    assert set(found) == wanted
    assert store.verify().ok
    assert store.revision == 2 * count
    store.close()


@pytest.mark.slow
def test_a_writer_that_dies_elsewhere_is_cleaned_up(folders: tuple[Path, Path]) -> None:
    holder = started(folders[0], 0, 0)
    assert holder.stdout is not None
    assert [holder.stdout.readline() for _ in range(2)] == ["ready\n", "holds\n"]
    store = MilvusStore(folders[1])
    with pytest.raises(CatalogBusy, match=rf"process {holder.pid}; wait until it ends"):
        store.add(rows(0, 1))
    assert len(store.search(rows(0, 1)[0].embedding, 3).ids) == 0
    holder.kill()
    holder.wait()
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with store.writing() as died:
                assert died
                store.add(rows(0, 2))
            break
        except CatalogBusy:
            assert time.monotonic() < end
            time.sleep(0.02)
    store.close()


@pytest.mark.slow
def test_without_its_right_a_writer_commits_nothing(folders: tuple[Path, Path]) -> None:
    a, b = (MilvusStore(folder) for folder in folders)
    a.add(rows(0, 2))

    def write_without() -> None:
        with a.writing():
            assert a._writer._lease is not None
            a._writer._lease._forget()  # as when the connection breaks
            b.add(rows(2, 2))
            a.add(rows(4, 2))

    with pytest.raises(CatalogError, match="was lost in the database"):
        write_without()
    b.add(rows(6, 2))
    a.add(rows(8, 2))
    for store in (a, b):
        with store.writing():
            pass
        found = sorted(row.image_id for row in store.rows())
        assert found == [f"image{n}" for n in (0, 1, 2, 3, 6, 7, 8, 9)]
        assert store.verify().ok
        store.close()
