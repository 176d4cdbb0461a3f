"""Keys, feedback and shared photos in a database: of two services that share it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers import postgres
from hemline.cli import main
from hemline.errors import DatabaseError, UsageError
from hemline.service.database import tables
from hemline.service.database.journal import DatabaseJournal
from hemline.service.database.keys import DatabaseKeys
from hemline.service.database.photos import DatabasePhotoLinks
from hemline.service.database.tables import Database
from hemline.service.journal import Search
from hemline.service.problems import Problem
from hemline.sql import DATABASE

from .conftest import Open

url = postgres.url

HITS = (("item1", "image1", 0.9), ("item2", "image2", 0.8), ("it\ud800em3", "image3", 0.7))


@pytest.fixture
def two(url: str) -> Iterator[tuple[Database, Database]]:
    """The database as two processes have it open."""
    both = Database(url), Database(url)
    yield both
    for one in both:
        one.close()


Two = tuple[Database, Database]


def test_keys_of_one_are_valid_in_the_other_at_once(two: Two) -> None:
    a, b = (DatabaseKeys(database, "shop") for database in two)
    other = DatabaseKeys(two[0], "other")
    assert not a.required
    assert not b.required
    text, key = a.create("read", "page", {"k": 20})
    assert b.verify(text) == key
    assert a.required
    assert b.required
    assert b.verify(text[:-1] + ("a" if text[-1] != "a" else "b")) is None
    assert b.verify("nonsense") is None
    assert other.verify(text) is None
    assert not other.required
    second, _ = b.create("write")
    assert [one.scope for one in a.list()] == ["read", "write"]
    b.revoke(key.id)
    assert a.verify(text) is None
    assert a.verify(second) is not None
    for wrong in (key.id, "12345678"):
        with pytest.raises(UsageError, match=f"'{wrong}' is .*the keys are"):
            a.revoke(wrong)
    with pytest.raises(UsageError, match="scope"):
        a.create("admin")
    assert a.reset() == 1
    assert b.verify(second) is None
    assert not DatabaseKeys(two[1], "shop").required


def test_feedback_of_both_is_exported_once(two: Two) -> None:
    a, b = (DatabaseJournal(database, "shop", days=1) for database in two)
    try:
        a.note(Search("s1", {"k": 3}, HITS, {"all": 1.0}, b"jpeg"))
        b.note(Search("s2", {"like": "item9"}, HITS, {"all": 1.0}))
        a.flush()
        assert b.hits_of("s1") == a.hits_of("s1") == tuple(hit[0] for hit in HITS)
        b.flush()
        assert a.hits_of("s2") is not None
        assert a.hits_of("s9") is None
        for journal in (a, b, a):
            journal.judge("s1", HITS[2][0], True)
        b.judge("s1", "item1", False)
        a.judge("s2", "item1", True)
        a.judge("s2", "item2", False)
        b.judge("s2", "item2", None)
        assert a.judged() == b.judged() == {"right": 2, "wrong": 1}
        found = list(a.triplets())
        assert found == list(b.triplets())
        assert sorted(line["search_id"] for line in found) == ["s1", "s2"]
        first = next(line for line in found if line["search_id"] == "s1")
        assert first["positive"]["item_id"] == HITS[2][0]
        assert first["negative"]["item_id"] == "item1"
        assert first["anchor"]["photo"] == "anBlZw=="
        assert {line["hits"] for line in b.recent(9)} == {3}
        assert len(a.recent(1)) == 1
        assert list(DatabaseJournal(two[0], "other").triplets()) == []
    finally:
        a.close()
        b.close()


def test_old_searches_and_photos_end(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (DatabaseJournal(database, "shop", kept=2, days=1) for database in two)
    try:
        for n in range(6):
            a.note(Search(f"s{n}", {}, HITS, {}, b"jpeg", time=1000.0 + n))
        a.judge("s0", "item1", True)
        b.prune()
        kept = {n for n in range(6) if b._search(f"s{n}") is not None}
        assert kept == {0, 4, 5}
        a.note(Search("new", {}, HITS, {}, b"jpeg"))
        a.flush()
        b.expire()
        photos = {n: (b._search(n) or (None,) * 4)[2] for n in ("s0", "s5", "new")}
        assert photos == {"s0": None, "s5": None, "new": b"jpeg"}
        assert b.judged() == {"right": 1, "wrong": 0}
    finally:
        a.close()
        b.close()


def test_photos_shared_by_one_open_in_the_other_for_a_day(two: Two) -> None:
    now = [1e9]
    a, b = (
        DatabasePhotoLinks(one, "shop", True, most=3, most_bytes=100, clock=lambda: now[0])
        for one in two
    )
    name = a.put(b"jpeg", b"code")
    assert (b.get(name), b.encoded(name)) == (b"jpeg", b"code")
    for wrong in ("0" * 32, "../x"):
        with pytest.raises(Problem, match="no such photo"):
            b.get(wrong)
    b.put(b"second")
    with pytest.raises(Problem, match="too many"):
        a.put(b"x" * 200)
    a.put(b"third")
    with pytest.raises(Problem, match="too many"):
        b.put(b"fourth")
    now[0] += 86_400
    with pytest.raises(Problem, match="no such photo"):
        b.get(name)
    name = b.put(b"fifth")
    with pytest.raises(Problem, match="keeps no photos"):
        DatabasePhotoLinks(two[0], "shop", False).get(name)
    with pytest.raises(Problem, match="no such photo"):
        b.get(name)
    for links in (a, b):
        links.close()


def test_two_that_write_at_once_lose_and_double_nothing(two: Two) -> None:
    rings = [DatabaseKeys(database, "shop") for database in two]
    journals = [DatabaseJournal(database, "shop") for database in two]
    journals[0].note(Search("s", {}, HITS, {}))
    journals[0].flush()

    def work(n: int) -> str:
        journals[n % 2].judge("s", "item1", bool(n // 2 % 2))
        return rings[n % 2].create("read")[0]

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(work, range(12)))
    assert all(rings[n % 2].verify(text) for n, text in enumerate(made))
    assert len(rings[0].list()) == 12
    assert sum(journals[1].judged().values()) == 1
    for journal in journals:
        journal.close()


# Failures


def test_a_database_that_is_away_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.needed()
    monkeypatch.setattr(tables, "_PAUSE", 0.0)
    with pytest.raises(DatabaseError, match=r"hemline:\*\*\*@127.0.0.1:9/x can't be used") as said:
        Database("postgresql://hemline:secret@127.0.0.1:9/x")
    assert "\n" not in str(said.value)
    assert "secret" not in str(said.value)


@pytest.mark.parametrize("wrong", ["nonsense", "nothing://host/x", "oracle://host/x"])
def test_wrong_addresses(wrong: str) -> None:
    postgres.needed()
    with pytest.raises(UsageError, match="database|driver"):
        Database(wrong)


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    postgres.needed()
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    made = Database(url)
    made.run(lambda connection: connection.execute(made.tables["meta"].update().values(format=9)))
    with pytest.raises(DatabaseError, match="format 9"):
        Database(url)


def test_without_sqlalchemy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(UsageError, match=r"pip install 'hemline\[database\]'"):
        Database("sqlite://")


def failing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(work: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(database, "run", run)


def test_a_database_that_fails_lets_nobody_in_and_loses_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.needed()
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    keys, journal = DatabaseKeys(database, "shop"), DatabaseJournal(database, "shop")
    text, _ = keys.create("read")
    with monkeypatch.context() as away:
        failing(database, away)
        assert DatabaseKeys(database, "shop").required
        with pytest.raises(DatabaseError):
            keys.verify(text)
        journal.note(Search("s", {}, HITS, {}))
        with pytest.raises(Problem):
            journal.flush()
        assert journal.problem
        assert journal.hits_of("s") is not None
    assert keys.verify(text) is not None
    journal.close()
    again = DatabaseJournal(database, "shop")
    assert again.hits_of("s") is not None
    again.close()


# Services


def test_two_services_share_keys_feedback_and_photos(
    open_client: Open, shop: Path, url: str, photo: bytes, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    a, b = (open_client(database=url, photo_links=True) for _ in range(2))
    assert a.get("/v1/items").status_code == 200
    monkeypatch.setenv(DATABASE, url)
    capsys.readouterr()
    assert main(["key", "create", str(shop), "--scope", "write", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert not list((shop / "service").glob("keys*"))
    for client in (a, b):
        assert client.get("/v1/items").status_code == 401
        client.headers["Authorization"] = f"Bearer {made['key']}"
        assert client.get("/v1/items").status_code == 200
    for first, second, right in ((a, b, True), (b, a, False)):
        found = first.post("/v1/search", files={"photo": photo}).json()
        given = {"search_id": found["search_id"], "item_id": found["hits"][0]["item_id"]}
        for client in (first, second):
            answer = client.post("/v1/feedback", json=given | {"right": right})
            assert answer.json() == {"kept": True}
    exported = [client.get("/v1/feedback/export").text for client in (a, b)]
    assert exported[0] == exported[1]
    assert len({json.loads(line)["search_id"] for line in exported[0].splitlines()}) == 2
    assert len(exported[0].splitlines()) == 2
    assert b.get("/v1/admin/stats").json()["feedback"] == {"right": 1, "wrong": 1}
    name = a.post("/v1/photos", files={"photo": photo}).json()["id"]
    assert b.get(f"/v1/photos/{name}").content[:2] == b"\xff\xd8"
    assert b.get(f"/v1/photos/{name}/search").json()["hits"]
    assert main(["key", "revoke", str(shop), made["id"]]) == 0
    assert [client.get("/v1/items").status_code for client in (a, b)] == [401, 401]


def test_a_service_whose_database_is_away_answers_503(
    open_client: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.needed()
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    client = open_client(database=url)
    text, _ = DatabaseKeys(tables.database(url), "shop").create("read")
    with monkeypatch.context() as away:
        failing(tables.database(url), away)
        answer = client.get("/v1/items", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 503
        assert "database" in answer.json()["detail"]
        assert client.get("/v1/items").status_code == 401
        assert client.get("/healthz").status_code == 200
    assert client.get("/v1/items", headers={"Authorization": f"Bearer {text}"}).status_code == 200


@pytest.mark.slow
def test_a_restart_of_postgresql_is_survived() -> None:
    server = postgres.server()
    database = Database(server.new())
    keys = DatabaseKeys(database, "shop")
    text, _ = keys.create("read")
    server.stop()
    with pytest.raises(DatabaseError):
        keys.verify(text)
    server.start()
    end = time.monotonic() + 60
    while True:
        try:
            assert keys.verify(text) is not None
            break
        except DatabaseError:
            assert time.monotonic() < end
    database.close()
