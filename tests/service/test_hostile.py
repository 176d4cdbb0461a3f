"""Uploads, journals and ids that are made to break the service, and disks without room."""

from __future__ import annotations

import errno
import io
import json
import os
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from helpers.service_thread import listening
from helpers.small_shop import manifest
from hemline.catalog.catalog import Catalog
from hemline.client import Client
from hemline.data.manifest import Manifest
from hemline.runtime.bundle import Bundle
from hemline.service import journal as journals
from hemline.service import uploads
from hemline.service.app import create_app
from hemline.service.journal import FILE, Journal, Search
from hemline.service.settings import Settings

FEED = "id,title,image_link\n" + "\n".join(f"{n},{'x' * 50},{n}.jpg" for n in range(200))


def packed(method: int, break_it: Callable[[bytearray, int], None]) -> bytes:
    """A zip of a feed whose data have been changed; called with the bytes and where they lie."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("feed.csv", FEED)
    data = bytearray(stream.getvalue())
    break_it(data, 30 + len("feed.csv"))
    return bytes(data)


def flip(data: bytearray, start: int) -> None:
    for place in range(start, start + 60):
        data[place] ^= 0xFF


def shorten(data: bytearray, start: int) -> None:
    del data[start + 20 : start + 60]


@pytest.mark.parametrize("break_it", [flip, shorten])
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_broken_zip_is_refused(
    client: TestClient, method: int, break_it: Callable[[bytearray, int], None]
) -> None:
    data = packed(method, break_it)
    answer = client.post("/v1/admin/manifest", files={"manifest": ("feed.zip", data)})
    assert answer.status_code == 422, answer.text
    assert "unpacked" in answer.json()["detail"]


def test_a_zip_with_a_list_of_countless_files_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: a list of two gigabytes, of files that aren't there, was read into memory."""
    monkeypatch.setattr(uploads, "_LIST", 10_000, raising=False)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("feed.csv", FEED)
        for number in range(300):
            archive.writestr(f"{number}.jpg", b"")
    sent = {"manifest": ("feed.zip", stream.getvalue())}
    answer = client.post("/v1/admin/manifest", files=sent)
    assert answer.status_code == 422, answer.text
    assert "its list of files is too long" in answer.json()["detail"]
    monkeypatch.undo()
    assert client.post("/v1/admin/manifest", files=sent).status_code == 202


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, "9" * 400, "9" * 5000])
def test_columns_that_nothing_can_hold_are_refused(client: TestClient, value: str) -> None:
    body = f'{{"columns": {{"x": {value}}}}}'
    headers = {"Content-Type": "application/json"}
    answer = client.patch("/v1/items/item0", content=body, headers=headers)
    assert answer.status_code == 400, answer.text


# Ids with slashes


IDS = ["x/similar", "a/b", "/lead", "trail/", "similar", "//", "x/similar/similar", "%2F", "a?b#c"]


@pytest.mark.parametrize("item_id", IDS)
def test_every_id_that_is_stored_can_be_read(shop: Path, photo: bytes, item_id: str) -> None:
    with listening(Settings(shop, port=0)) as address, Client(address) as client:
        client.put_item(item_id, [photo], columns={"title": "odd"})
        assert client.item(item_id)["item_id"] == item_id
        assert client.similar(item_id).hits
        client.patch_item(item_id, columns={"title": "changed"})
        assert client.item(item_id)["columns"]["title"] == "changed"
        client.delete_item(item_id)


def test_a_plain_slash_before_similar_asks_for_similar_products(client: TestClient) -> None:
    assert "hits" in client.get("/v1/items/item0/similar").json()
    answer = client.patch("/v1/items/item0/similar", json={"columns": {}})
    assert answer.status_code == 405
    assert "%2F" in answer.json()["detail"]


# The journal


def a_search(number: int) -> Search:
    return Search(f"s{number}", {"k": 5}, (("item0", "0.jpg", 0.5),), {"total": 3.0})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder with a journal of some searches and feedback."""
    journal = Journal(tmp_path)
    for number in range(200):
        journal.note(a_search(number))
    journal.judge("s1", "item0", True)
    journal.close()
    return tmp_path


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, 3000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("damage", [zeros, middle, cut, folder, loop])
def test_a_damaged_journal_is_set_aside(
    state: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, str]] = []
    monkeypatch.setattr(journals, "log", lambda event, **fields: told.append(fields))
    damage(state / FILE)
    journal = Journal(state)
    journal.note(a_search(1000))
    journal.judge("s1000", "item0", False)
    assert journal.judged() == {"right": 0, "wrong": 1}
    assert [one["timings_ms"] for one in journal.recent(5)][:1] == [{"total": 3.0}]
    assert journal.problem == ""
    journal.close()
    assert os.path.lexists(state / "journal-damaged-1.sqlite")
    assert not os.path.lexists(state / "journal-damaged-2.sqlite")
    assert [fields.get("kept_as") for fields in told] == ["journal-damaged-1.sqlite"]


def test_damage_while_the_service_runs(state: Path) -> None:
    journal = Journal(state)
    middle(state / FILE)
    journal.note(a_search(1000))
    journal.judge("s1000", "item0", True)
    journal.close()
    assert (state / "journal-damaged-1.sqlite").exists()


def test_a_damaged_cell_costs_its_search_alone(state: Path) -> None:
    with sqlite3.connect(state / FILE) as db:
        db.execute("UPDATE searches SET request = '{', hits = CAST(x'ff' AS TEXT) WHERE id = 's1'")
    db.close()
    journal = Journal(state)
    assert len(journal.recent(1000)) == 199
    assert journal.hits_of("s1") is None
    assert list(journal.triplets()) == []
    journal.close()


def test_a_service_starts_with_a_damaged_journal(shop: Path, photo: bytes) -> None:
    (shop / "service").mkdir(exist_ok=True)
    (shop / "service" / FILE).write_bytes(b"no journal" * 1000)
    with TestClient(create_app(Settings(shop)), base_url="http://127.0.0.1:8000") as client:
        answer = client.post("/v1/search", files={"photo": photo}).json()
        given = {"search_id": answer["search_id"], "item_id": "item0", "right": True}
        assert client.post("/v1/feedback", json=given).json() == {"kept": True}


# A disk without room


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite finds no room, for the journal."""

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql.split()[0] in ("INSERT", "DELETE", "CREATE"):
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(sql, *values)

        def executemany(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            return self.execute(sql)

    connect = sqlite3.connect

    def opened(path: object, **options: object) -> sqlite3.Connection:
        return connect(path, **options, **({"factory": Full} if "journal" in str(path) else {}))  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", opened)


def test_a_full_disk_takes_only_what_has_to_be_written(
    client: TestClient, photo: bytes, full: None
) -> None:
    answer = client.post("/v1/search", files={"photo": photo})
    assert answer.status_code == 200
    given = {"search_id": answer.json()["search_id"], "item_id": "item0", "right": True}
    judged = client.post("/v1/feedback", json=given)
    assert judged.status_code == 507
    assert judged.json()["type"].endswith(":disk-full")
    stats = client.get("/v1/admin/stats").json()
    assert stats["searches"]["counted"] == 1
    assert stats["journal"]["problem"] == "the disk is full"


def test_a_write_on_a_full_disk_is_507(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, photo: bytes
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    files = {"picture": photo}
    answer = client.put("/v1/items/new", data={"item": json.dumps({})}, files=files)
    assert answer.status_code == 507, answer.text
    monkeypatch.undo()
    assert client.put("/v1/items/new", data={"item": "{}"}, files=files).status_code == 201


@pytest.fixture
def tiny_disk(tmp_path: Path, shop: Path) -> Iterator[Path]:
    """The catalogue on a file system of its own with no byte left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={(sum(p.stat().st_size for p in shop.rglob('*')) >> 10) + 400}k"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=False)
    if done.returncode:
        pytest.skip("a tmpfs can't be mounted here")
    try:
        subprocess.run(["cp", "-r", str(shop), str(disk / "shop")], check=True)
        yield disk / "shop"
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> None:
    with open(disk / "filler", "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


@pytest.mark.parametrize("when", ["before", "after"])
def test_searching_works_on_a_disk_of_zero_bytes(tiny_disk: Path, photo: bytes, when: str) -> None:
    if when == "before":
        fill(tiny_disk)
    with TestClient(create_app(Settings(tiny_disk)), base_url="http://127.0.0.1:8000") as client:
        if when == "after":
            fill(tiny_disk)
        answer = client.post("/v1/search", files={"photo": photo})
        assert answer.status_code == 200, answer.text
        assert "item0" in [hit["item_id"] for hit in answer.json()["hits"]]
        given = {"search_id": answer.json()["search_id"], "item_id": "item0", "right": True}
        assert client.post("/v1/feedback", json=given).status_code == 507
        assert client.get("/v1/admin/stats").status_code == 200
        assert client.get("/v1/feedback/export").status_code in (200, 507)
        put = client.put("/v1/items/new", data={"item": "{}"}, files={"picture": photo})
        assert put.status_code == 507, put.text
        (tiny_disk / "filler").unlink()
        assert client.post("/v1/feedback", json=given).json() == {"kept": True}
        assert (
            client.put("/v1/items/new", data={"item": "{}"}, files={"picture": photo}).status_code
            == 201
        )


# What answers show


def test_no_answer_shows_a_path_of_the_server(made: Path, tmp_path: Path, photo: bytes) -> None:
    """A manifest of the local user may have absolute paths, which become image_ids."""
    rows = manifest(tmp_path / "pictures", 4)
    paths = [str(tmp_path / "pictures" / path) for path in rows.table["path"].to_pylist()]
    paths[3] = "../pictures/3.jpg"
    below = tmp_path / "below"
    below.mkdir()
    moved = rows.table.set_column(
        rows.table.column_names.index("path"), "path", pa.array(paths)
    ).drop_columns(["image_id"])
    with Catalog.create(tmp_path / "shop", Bundle.open(made / "bundle")) as catalog:
        catalog.add(Manifest.from_table(moved, below), workers=1)
        assert str(tmp_path) in next(iter(catalog.store.row_keys())).image_id
    app = create_app(Settings(tmp_path / "shop"))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        search = client.post("/v1/search", files={"photo": photo}).json()
        for hit in search["hits"]:
            given = {"search_id": search["search_id"], "item_id": hit["item_id"], "right": True}
            client.post("/v1/feedback", json=given | {"right": hit["rank"] > 1})
        item = client.get("/v1/items/item1").json()
        assert [one["image_id"][12:] for one in item["pictures"]] == ["-2.jpg", "-3.jpg"]
        assert client.get("/v1/items/item1").json() == item
        answers = [json.dumps(search), json.dumps(item)]
        for path in ("/v1/items", "/v1/items/item0/similar", "/v1/feedback/export"):
            answers.append(client.get(path).text)
        answers.append(client.get("/v1/facets", params={"columns": "image_id"}).text)
        job = client.post("/v1/admin/check").json()["id"]
        while (found := client.get(f"/v1/admin/jobs/{job}")).json()["state"] in (
            "waiting", "running",
        ):  # fmt: skip
            time.sleep(0.05)
        answers += [found.text, client.get("/v1/admin/stats").text]
        assert "jpg" in answers[4]
        for text in answers:
            assert str(tmp_path) not in text
            assert "../" not in text
