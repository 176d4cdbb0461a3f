"""Lines of the log and of the journal have a bound, whatever a client sends."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from hemline.limits import MAX_WHERE
from hemline.service.journal import Journal, Search
from hemline.service.logs import JsonLines, bounded


def test_a_long_text_keeps_its_beginning_length_and_digest() -> None:
    assert bounded("x" * 500) == "x" * 500
    cut = bounded("ü" * 501)
    assert cut.startswith("ü" * 500 + "… (501 characters, SHA-256 ")
    assert bounded("ü" * 501) == cut != bounded("ü" * 500 + "u")
    assert len(bounded("\ud800" * 100_000)) < 600


def _journal(state: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(state / "journal.sqlite")) as db:
        return db.execute("SELECT id, request, hits FROM searches").fetchall()


def test_a_search_with_a_long_condition_is_a_short_line(
    client: TestClient, shop: Path, photo: bytes
) -> None:
    start = "category = '"
    for letter in ("x", "ü", "𓀀"):
        where = f"{start}{letter * (MAX_WHERE - len(start) - 1)}'"
        assert client.post("/v1/search", files={"photo": photo}, data={"where": where}).is_success
        similar = client.get("/v1/items/item0/similar", params={"where": where})
        assert similar.status_code == 200
        client.app.state.service.journal.flush()  # type: ignore[attr-defined]
    rows = _journal(shop / "service")
    assert len(rows) == 6
    assert max(len(request.encode()) for _, request, _ in rows) < 2500
    told = [json.loads(request)["where"] for _, request, _ in rows]
    assert len(set(told)) == 3
    assert all(f"({MAX_WHERE:,} characters, SHA-256 " in where for where in told)


def test_odd_texts_are_journalled(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(Search("one", {"where": "\ud800", "k": 5}, (("\udcffü", "b", 0.5),), {}))
    journal.close()
    ((_, request, hits),) = _journal(tmp_path)
    assert json.loads(request) == {"where": "\ud800", "k": 5}
    assert json.loads(hits) == [["\udcffü", "b", 0.5]]


def test_a_line_of_the_log_is_bounded() -> None:
    try:
        raise ValueError("x" * 100_000)
    except ValueError:
        fault = sys.exc_info()
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "e" * 9000, None, fault)
    record.fields = {"reason": "r" * 100_000, "ms": 1.5}
    line = JsonLines().format(record)
    assert len(line) < 12_000
    assert json.loads(line)["ms"] == 1.5


def test_a_library_writes_no_line_of_its_own() -> None:
    script = (
        "import logging, warnings; from hemline.service.logs import set_up; set_up(); set_up()\n"
        "from hemline.catalog.where.expression import Where\n"
        "from hemline.errors import UsageError\n"
        "try: Where.parse('drop x\\n{\"event\": \"forged\"} y', ['price'])\n"
        "except UsageError: pass\n"
        "logging.getLogger('library').warning('one\\n{\"event\": \"forged\"}')\n"
        "warnings.warn('two\\n{}')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    events = [json.loads(line)["event"] for line in ran.stderr.splitlines()]
    assert len(events) == 2
    assert events[0].startswith("one\n{")
    assert "two" in events[1]
