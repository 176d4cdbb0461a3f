"""Kills of the server and of the writer while rows are added: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers import milvus
from helpers.acknowledged import acknowledged
from helpers.milvus_writer import SIZE, batch
from helpers.small_rows import DIM, rows
from hemline.catalog.milvus.address import parse
from hemline.catalog.milvus.client import Client
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.milvus import MilvusStore
from hemline.documents import read_document, write_document
from hemline.errors import CatalogError

pytestmark = pytest.mark.slow

#: Kills of each kind.
KILLS = int(os.environ.get("HEMLINE_MILVUS_KILLS", "20"))
WRITER = Path(milvus.__file__).with_name("milvus_writer.py")
_PATIENCE = 300.0  # seconds until a writer has to have said something


@pytest.fixture
def server() -> Iterator[milvus.Server]:
    """The one of all tests, as its etcd allows one on a machine; it runs again at the end."""
    shared = milvus.server()
    yield shared
    if not shared.running:
        shared.start()


class Writer:
    """A running process of `milvus_writer.py`, and how many batches it has acknowledged."""

    def __init__(self, folder: Path, first: int) -> None:
        path = os.pathsep.join([str(WRITER.parents[1]), os.environ.get("PYTHONPATH", "")])
        self.acknowledged = first
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER), str(folder), str(first)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            for word in acknowledged([line]):
                self.acknowledged = int(word[0]) + 1

    def wait(self, more: int) -> None:
        """Until it has acknowledged so many more batches."""
        wanted, end = self.acknowledged + more, time.monotonic() + _PATIENCE
        while self.acknowledged < wanted:
            assert self._process.poll() is None, "the writer ended by itself"
            assert time.monotonic() < end, "the writer is stuck"
            time.sleep(0.01)

    def kill(self) -> int:
        """Kills it; the number of batches that it has acknowledged."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        return self.acknowledged


def assert_whole(folder: Path, said: int) -> int:
    """The store is what the first batches made it; returns how many those are.

    One more than was acknowledged may be there: its writer died before it could say so.
    """
    store = MilvusStore(folder)
    with store.writing():  # cleans up after a killed writer
        pass
    count = store.counts().images // SIZE
    assert said <= count <= said + 1
    exact = MemoryStore("print", DIM)
    for number in range(count):
        exact.add(batch(number))
    want, found = {row.image_id: row for row in exact.rows()}, list(store.rows())
    got = {row.image_id: row for row in found}
    assert len(got) == len(found)
    assert got.keys() == want.keys()
    for image_id, row in got.items():
        np.testing.assert_array_equal(row.embedding, want[image_id].embedding)
        assert dict(row.columns) == dict(want[image_id].columns)
    assert store.verify().ok
    entities = store._client.query("", ["count(*)"], strong=True)[0]["count(*)"]
    assert entities == len(want)  # no entity is there twice, and none is left over
    store.close()
    return count


def test_a_killed_writer_loses_and_doubles_nothing(tmp_path: Path, server: milvus.Server) -> None:
    milvus.write_address(tmp_path, server.address("?timeout=120"))
    MilvusStore.create(tmp_path, "print", DIM).close()
    choose, there = random.Random(0), 0
    for _ in range(KILLS):
        writer = Writer(tmp_path, there)
        writer.wait(choose.randint(1, 5))
        time.sleep(choose.uniform(0.0, 0.1))
        there = assert_whole(tmp_path, writer.kill())
    assert there >= KILLS


def test_a_killed_server_loses_and_doubles_nothing(tmp_path: Path, server: milvus.Server) -> None:
    milvus.write_address(tmp_path, server.address("?timeout=240"))
    MilvusStore.create(tmp_path, "print", DIM).close()
    choose, writer = random.Random(1), Writer(tmp_path, 0)
    for _ in range(KILLS):
        writer.wait(2)  # the same process goes on
        time.sleep(choose.uniform(0.0, 0.3))
        server.kill()
        time.sleep(choose.uniform(0.0, 1.0))
        server.start()
    writer.wait(2)
    said = writer.kill()
    assert said > 2 * KILLS
    assert_whole(tmp_path, said)


def test_a_store_goes_on_when_its_server_is_back(tmp_path: Path, server: milvus.Server) -> None:
    milvus.write_address(tmp_path, server.address("?timeout=120"))
    MilvusStore.create(tmp_path, "print", DIM).close()
    settings = tmp_path / "catalog.milvus"
    known = read_document(settings)
    write_document(settings, known | {"address": known["address"].replace("=120", "=5")})
    store = MilvusStore(tmp_path)
    store.add(rows(0, 10))
    server.kill()
    for work in (lambda: store.add(rows(10, 10)), lambda: store.search(rows(0, 1)[0].embedding, 3)):
        with pytest.raises(CatalogError, match=r"didn't do '\w+' within 5 s.*acknowledged") as said:
            work()
        assert "\n" not in str(said.value)
    server.start()
    end = time.monotonic() + _PATIENCE
    while True:  # its collections are loaded again meanwhile
        try:
            store.add(rows(10, 10))
            break
        except CatalogError:
            assert time.monotonic() < end
    assert store.counts().images == 20
    assert sorted(row.image_id for row in store.rows()) == sorted(r.image_id for r in rows(0, 20))
    store.close()


def test_a_server_that_is_away_is_told_in_a_line() -> None:
    milvus.needed()
    with pytest.raises(
        CatalogError, match=r"Milvus at 127.0.0.1:9 didn't do .* within 2 s"
    ) as said:
        Client(parse("milvus://127.0.0.1:9/shop?timeout=2"), "shop_1")
    assert "\n" not in str(said.value)
