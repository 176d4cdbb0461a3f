"""The parts of a store on Milvus that need no Milvus: addresses, and the log of commits."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from hemline.catalog.milvus import log
from hemline.catalog.milvus.address import is_address, parse
from hemline.catalog.milvus.log import Commit
from hemline.catalog.stores import STORES, milvus
from hemline.documents import write_document
from hemline.errors import CatalogError, DamageError, UsageError


@pytest.mark.parametrize(
    ("text", "uri", "name"),
    [
        ("milvus://localhost:19530/shop", "http://localhost:19530", "shop"),
        ("milvus:/localhost:19530/shop", "http://localhost:19530", "shop"),  # as a Path has it
        ("milvus+tls://m.example/a_1?timeout=5", "https://m.example:19530", "a_1"),
        ("milvus://[::1]:7/a?consistency=strong", "http://[::1]:7", "a"),
    ],
)
def test_addresses_of_servers(text: str, uri: str, name: str) -> None:
    found = parse(text)
    assert (found.uri, found.name, found.is_lite) == (uri, name, False)
    assert is_address(text)
    assert is_address(Path(text))
    assert parse(found.text) == found
    assert found.consistency == ("Strong" if "strong" in text else "Session")
    assert found.timeout == (5 if "timeout" in text else 30)


def test_a_file_of_milvus_lite_is_relative_to_the_folder_that_names_it(tmp_path: Path) -> None:
    assert parse("milvus-lite:a.db", tmp_path).uri == str(tmp_path / "a.db")
    here = parse("milvus-lite:my shop.db")
    assert (here.uri, here.name) == (str(Path.cwd() / "my shop.db"), "my_shop")
    assert here.text == f"milvus-lite:{here.uri}"
    assert not is_address("shop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("milvus://h:1", "letters, digits"),
        ("milvus://h:1/a-b", "'a-b'"),
        ("milvus://h:99999999/a", "port"),
        ("milvus://me:secret@h:1/a", "HEMLINE_MILVUS_TOKEN"),
        ("milvus://h:1/a?consistency=stong", "strong"),
        ("milvus://h:1/a?timeout=no", "timeout"),
        ("milvus://h:1/a?tls=1", "'tls'"),
        ("milvus-lite:a", r"\.db"),
        ("postgres://h:1/a", "isn't"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(text)


def test_without_pymilvus_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(CatalogError, match=r"pip install 'hemline\[milvus\]'"):
        STORES["milvus"].create(tmp_path, "print", 4)


def commit(revision: int, previous: int, removed: tuple[int, ...] = (), count: int = 2) -> Commit:
    first = 10 * revision
    return Commit(revision, previous, first, count, first + count, first + count, revision, removed)


def test_records_are_read_as_they_were_written_in_any_order() -> None:
    written = [commit(0, -1, count=0), commit(1, 0), commit(2, 1, tuple(range(7000)))]
    entities = [one for each in written for one in log.records(each)]
    assert all(len(one["payload"]) < 65_535 for one in entities)
    random.Random(0).shuffle(entities)
    assert log.commits(entities) == {0: written[0], 1: written[1], 2: written[2]}
    head = log.records(written[2])[-1]
    torn = [one for one in entities if one["id"] != head["id"] + 2]
    assert 2 not in log.commits(torn)  # a part is missing
    checkpoint = Commit(2, -1, 10, 2, 30, 30, 2, total=21, bounds=(11,))
    left = [one for one in entities if one["id"] != head["id"]] + log.records(checkpoint)
    assert log.commits(left)[2] == checkpoint  # without the parts of the record it replaces


def test_the_chain_of_commits() -> None:
    found = {each.revision: each for each in (commit(0, -1, count=0), commit(1, 0), commit(2, 1))}
    assert log.chain(found, -1) == list(found.values())
    assert log.chain(found, 1) == [found[2]]
    assert log.chain(found, 2) == []
    after = 2 + log.GAP  # of a writer that follows a killed one, whose record 3 comes late
    late = found | {3: commit(3, 2), after: commit(after, 2)}
    assert log.chain(late, 2) == [late[after]]
    assert log.chain(late, 3) is None  # who has applied it begins again
    with pytest.raises(KeyError):
        log.chain({0: found[0], 2: found[2]}, 0)
    compacted = {2: Commit(2, -1, 1, 5, 30, 30, 2), 3: commit(3, 2)}
    assert log.chain(compacted, -1) == [compacted[2], compacted[3]]
    assert log.chain(compacted, 1) is None
    assert log.chain(compacted, 2) == [compacted[3]]


def test_what_is_visible_after_some_commits() -> None:
    live, removed = log.live_ids([commit(0, -1, count=5), commit(1, 0), commit(2, 1, (11, 3))])
    assert (live, removed) == ({10, 20, 21}, {11, 3})


def test_a_flipped_bit_of_the_file_that_names_the_collection_is_damage(tmp_path: Path) -> None:
    settings = {"format_version": 1, "address": "milvus://h/a", "collection": "shop_1", "dim": 3}
    write_document(tmp_path / milvus.FILE, settings)
    assert milvus._settings(tmp_path) == settings
    damaged = (tmp_path / milvus.FILE).read_bytes().replace(b"shop_1", b"shop_3")
    (tmp_path / milvus.FILE).write_bytes(damaged)
    with pytest.raises(DamageError, match="checksum"):
        milvus._settings(tmp_path)
    (tmp_path / milvus.FILE).write_text(json.dumps(settings))  # of an earlier version
    assert milvus._settings(tmp_path) == settings
