"""`hemline doctor`: what it finds, that it never changes a file, and no traceback on damage."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hemline.catalog import read_only
from hemline.catalog.catalog import Catalog
from hemline.catalog.stores import _counter
from hemline.cli import main
from hemline.service.doctor import machine, mode, stored
from hemline.service.doctor.finding import Finding
from hemline.service.doctor.run import examine
from hemline.service.journal import Journal, Search
from hemline.service.keys import KeyRing
from hemline.service.settings import Settings

from .conftest import Report


def tree(folder: Path) -> dict[str, Any]:
    """Every file with its content and times; names alone for SQLite's shared memory."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        about = path.lstat()
        found[name] = (about.st_mode, path.is_file() and (about.st_mtime_ns, path.read_bytes()))
        if name.endswith("-shm"):
            found[name] = None
    return found


def statuses(result: dict[str, Any], check: str) -> list[str]:
    return [finding["status"] for finding in result["by"].get(check, [])]


def test_a_sound_shop(report: Report, shop: Path, tmp_path: Path) -> None:
    assert main(["catalog", "backup", str(shop), str(tmp_path / "copy")]) == 0
    KeyRing(shop / "service").create("write")
    before = tree(shop)
    result = report("--public", "--name", "shop.example", "--trusted-proxy", "127.0.0.1")
    assert (result["ok"], result["failures"]) == (True, 0)
    checks = "versions permissions disk database index bundle search keys options "
    checks += "settings photos backup"
    assert list(result["by"]) == checks.split()
    assert {name for name in result["by"] if statuses(result, name) != ["ok"]} <= {"disk"}
    assert "6 products, 12 images" in result["by"]["database"][0]["found"]
    assert "at rank " in result["by"]["search"][0]["found"]
    assert tree(shop) == before


def test_words(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(shop)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("warning  backup       none is known") for line in lines)
    assert any(line.startswith(" " * 21 + " → 'hemline catalog backup") for line in lines)
    assert lines[-1].startswith("0 failures, ")
    assert "backup" in lines[-1]


def test_several_catalogues_as_serve_takes_them(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failed before: it took one."""
    other = shutil.copytree(shop, tmp_path / "other")
    folders = [str(shop), str(other)]
    assert main(["doctor", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("catalogue ")] == [
        f"catalogue {folder}" for folder in folders
    ]
    cut(other)
    assert main(["doctor", *folders, "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert [one["ok"] for one in result["catalogs"]] == [True, False]
    assert (result["ok"], result["failures"]) == (False, result["catalogs"][1]["failures"])
    wrong = shutil.copytree(shop, tmp_path / "admin")
    assert main(["doctor", str(shop), str(wrong)]) == 2  # which serve refuses, too
    assert "not 'admin'" in capsys.readouterr().err


def test_after_a_kill_the_log_counts_and_stays(report: Report, shop: Path) -> None:
    script = (
        "import os, sys; from hemline.catalog.catalog import Catalog; "
        "c = Catalog.open(sys.argv[1]); c.remove(['item0']); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(shop)], check=False)
    assert done.returncode == 9
    assert (shop / "catalog.sqlite-wal").stat().st_size
    before = tree(shop)
    result = report()
    assert "5 products" in result["by"]["database"][0]["found"]
    assert tree(shop) == before
    with Catalog.open(shop) as catalog:
        assert catalog.stats()["items"] == 5


def test_a_writer_that_died_is_told(report: Report, shop: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (shop / "catalog.lock").write_text(str(dead.pid))
    assert "warning" in statuses(report(), "database")
    (shop / "catalog.lock").write_text(str(os.getpid()))
    result = report()
    assert statuses(result, "database") == ["ok", "ok"]
    assert f"process {os.getpid()}" in result["by"]["database"][1]["found"]


def cut(shop: Path) -> None:
    path = shop / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


def other_bundle(shop: Path) -> None:
    path = shop / "bundle" / "street.onnx"
    path.write_bytes(path.read_bytes()[:-9])


def nonsense(shop: Path) -> None:
    (shop / "catalog.sqlite").write_bytes(b"no database at all" * 100)


def no_bundle(shop: Path) -> None:
    shutil.rmtree(shop / "bundle")


def emptied(shop: Path) -> None:
    shutil.rmtree(shop)
    shop.mkdir()


def behind(shop: Path) -> None:
    _counter.reset(shop, 99)


def gone(shop: Path) -> None:
    shutil.rmtree(shop)


def a_file(shop: Path) -> None:
    shutil.rmtree(shop)
    shop.write_text("x")


@pytest.mark.parametrize(
    "harm",
    [cut, other_bundle, nonsense, no_bundle, emptied, gone, a_file],
    ids=lambda f: f.__name__,
)
def test_damage_is_a_line_not_a_traceback(
    report: Report, shop: Path, harm: Callable[[Path], None]
) -> None:
    harm(shop)
    before = tree(shop) if shop.is_dir() else None
    result = report(code=1)
    assert result["failures"] >= 1
    failed = [finding for finding in result["findings"] if finding["status"] == "failure"]
    assert all("\n" not in finding["found"] for finding in failed)
    assert {finding["check"] for finding in failed} <= {"catalog", "database", "bundle", "search"}
    assert (tree(shop) if shop.is_dir() else None) == before


def test_a_locked_database_is_a_line(
    report: Report, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_only, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(shop / "catalog.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("SELECT * FROM meta").fetchall()
        (failed,) = report(code=1)["by"]["catalog"]
        assert "locked" in failed["found"]


def test_a_writer_blocks_nothing(report: Report, shop: Path) -> None:
    with Catalog.open(shop) as catalog, catalog.writing():
        assert report()["ok"]


def told(findings: Iterator[Finding]) -> list[str]:
    """The status of each finding."""
    return [finding.status for finding in findings]


@pytest.mark.parametrize(
    ("options", "key", "wanted"),
    [
        ({}, None, ["ok"]),
        ({"host": "0.0.0.0"}, None, ["failure"]),
        ({"host": "0.0.0.0"}, "read", ["warning"]),
        ({"host": "0.0.0.0"}, "write", ["ok"]),
        ({"public": True, "names": ("a.example",)}, None, ["warning"]),
        ({"root_path": "/finder"}, None, ["failure"]),
    ],
)
def test_keys_where_they_are_needed(
    shop: Path, options: dict[str, Any], key: str | None, wanted: list[str]
) -> None:
    if key:
        KeyRing(shop / "service").create(key)
    assert told(mode.keys(Settings(shop, **options))) == wanted


def test_damaged_and_revoked_keys(shop: Path) -> None:
    ring = KeyRing(shop / "service")
    _, key = ring.create("write")
    ring.revoke(key.id)
    assert told(mode.keys(Settings(shop))) == ["warning"]
    (shop / "service" / "keys.json").write_text("{")
    assert told(mode.keys(Settings(shop))) == ["failure"]


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_modes_of_files(shop: Path) -> None:
    KeyRing(shop / "service").create("write")
    (shop / "service" / "keys.json").chmod(0o644)
    found = list(mode.keys(Settings(shop)))
    assert told(iter(found)) == ["failure", "ok"]
    assert "chmod 600" in found[0].advice
    assert told(machine.permissions(shop)) == ["ok"]
    (shop / "catalog.sqlite").chmod(0o666)
    assert told(machine.permissions(shop)) == ["failure"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="root gives files away")
def test_files_of_another_user(shop: Path) -> None:
    KeyRing(shop / "service").create("write")
    os.chown(shop / "service" / "keys.json", 12345, 12345)
    assert told(machine.permissions(shop)) == ["warning"]
    assert told(mode.keys(Settings(shop))) == ["failure", "ok"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ("a.example",)}, "no trusted proxy"),
        ({"public": True}, "without a name"),
        ({"proxies": ("127.0.0.1",)}, "a proxy, and no name"),
        ({"root_path": "/finder"}, "a sub-path, and no trusted proxy"),
        ({"host": "0.0.0.0"}, "without TLS"),
        ({"memory": 1 << 50}, "the machine has"),
    ],
)
def test_options_that_do_not_fit(shop: Path, options: dict[str, Any], words: str) -> None:
    found = list(mode.options(Settings(shop, **options)))
    assert any(words in one.found and one.status == "warning" for one in found)


def test_the_settings_file(shop: Path) -> None:
    assert of_check(shop, "settings") == [("ok", "no file; the page is plain")]
    (shop / "hemline.toml").write_text("[service]\njudging = 'no'")
    ((status, found),) = of_check(shop, "settings")
    assert status == "failure"
    assert "line 2: judging" in found


def of_check(shop: Path, check: str) -> list[tuple[str, str]]:
    found = examine(Settings(shop))
    return [(one.status, one.found) for one in found if one.check == check]


def test_little_room(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(shop)
    for free, wanted in ((1 << 40, "ok"), (500 << 20, "warning"), (5 << 20, "failure")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert told(machine.disk(shop, 1 << 20))[0] == wanted


def test_kept_photos_and_a_damaged_journal(shop: Path, photo: bytes) -> None:
    journal = Journal(shop / "service")
    journal.note(Search("s", {}, (("item0", "0.jpg", 1.0),), {}, photo))
    journal.close()
    before = tree(shop)
    (finding,) = mode.photos(Settings(shop))
    assert finding.found.startswith("1 kept")
    assert tree(shop) == before
    (shop / "service" / "journal.sqlite").write_bytes(b"nonsense" * 500)
    assert told(mode.photos(Settings(shop))) == ["warning"]


def test_a_backup_that_is_gone_or_old(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(stored.backups(shop)) == ["warning"]
    assert main(["catalog", "backup", str(shop), str(tmp_path / "copy")]) == 0
    assert told(stored.backups(shop)) == ["ok"]
    later = time.time() + 9 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    assert told(stored.backups(shop)) == ["warning"]
    shutil.rmtree(tmp_path / "copy")
    (finding,) = stored.backups(shop)
    assert "isn't there now" in finding.found
