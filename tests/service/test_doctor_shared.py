"""`hemline doctor` on the database that services share."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from helpers import postgres
from hemline.service.database import tables
from hemline.service.database.journal import DatabaseJournal
from hemline.service.database.keys import DatabaseKeys
from hemline.service.database.tables import Database
from hemline.service.doctor import shared
from hemline.service.journal import Search
from hemline.service.keys import KeyRing
from hemline.sql import DATABASE

from .conftest import Report

url = postgres.url


def statuses(result: dict[str, Any], check: str) -> list[str]:
    return [finding["status"] for finding in result["by"].get(check, [])]


def test_the_shared_database(
    report: Report, shop: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: it read the keys' file alone."""
    KeyRing(shop / "service").create("write")  # which doesn't count
    result = report("--database", url)
    assert statuses(result, "shared") == ["ok", "warning"]
    assert "no tables" in result["by"]["shared"][1]["found"]
    opened = Database(url, make=False)
    there = opened.run(lambda connection: shared._state(opened, connection)[0])
    assert not there  # it made none
    assert "none is needed" in result["by"]["keys"][0]["found"]
    report("--database", url, "--host", "0.0.0.0", code=1)
    made = Database(url)
    ring, journal = DatabaseKeys(made, shop.name), DatabaseJournal(made, shop.name, days=1)
    ring.create("read")
    _, key = ring.create("write")
    journal.note(Search("s1", {}, (("item1", "image1", 0.9),), {}, b"jpeg"))
    journal.flush()
    journal.judge("s1", "item1", True)
    journal.close()
    monkeypatch.setenv(DATABASE, url)
    result = report("--host", "0.0.0.0")
    assert statuses(result, "shared") == ["ok", "ok"]
    assert re.search(r": (sqlite|postgresql) \d+\.\d+", result["by"]["shared"][0]["found"])
    assert result["by"]["keys"][0]["found"] == "1 that read, 1 that write"
    assert result["by"]["photos"][0]["found"] == "1 kept in the database; feedback on 1 hits"
    ring.revoke(key.id)
    assert statuses(report("--name", "shop.example"), "keys") == ["warning"]
    made.run(lambda connection: connection.execute(made.tables["meta"].update().values(format=9)))
    result = report(code=1)
    assert "format 9" in result["by"]["shared"][1]["found"]
    made.close()
    opened.close()


def test_a_shared_database_that_is_away(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.needed()
    monkeypatch.setattr(tables, "_PAUSE", 0.0)
    result = report("--database", "postgresql://hemline:secret@127.0.0.1:9/x", code=1)
    for check in ("shared", "keys", "photos"):
        assert statuses(result, check) == ["failure"]
        assert "***@127.0.0.1:9/x can't be used" in result["by"][check][0]["found"]
    assert "secret" not in json.dumps(result)


@pytest.mark.slow
def test_rights_that_the_service_lacks(report: Report) -> None:
    postgres.needed()
    url = postgres.server().new()
    owner, name = Database(url), f"other_{uuid.uuid4().hex[:8]}"
    owner.run(lambda connection: connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN"))
    result = report("--database", url.replace("hemline@", f"{name}@"), code=1)
    assert "no right: SELECT on hemline_meta" in result["by"]["shared"][1]["found"]
    empty = postgres.server().new().replace("hemline@", f"{name}@")
    result = report("--database", empty, code=1)
    assert "CREATE on the schema" in result["by"]["shared"][1]["found"]
    owner.close()
