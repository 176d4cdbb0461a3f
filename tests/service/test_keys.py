"""The store of keys: changes of several processes at once, kills, damage, and failing closed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.acknowledged import acknowledged
from hemline.cli import main
from hemline.errors import DamageError, UsageError
from hemline.service.keys import FILE, REQUIRED, KeyRing
from hemline.service.run import check_access
from hemline.service.settings import Settings

PROGRAM = """
import sys
from pathlib import Path
from hemline.service.keys import KeyRing
ring = KeyRing(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    verb, *word = line.split()
    done = ring.create("read", "made")[0] if verb == "create" else ring.revoke(*word).id
    print(done, flush=True)
"""
STEADY = """
import sys
from pathlib import Path
from hemline.service.keys import KeyRing
ring = KeyRing(Path(sys.argv[1]))
while True:
    text, key = ring.create("read")
    print("created", text, flush=True)
    if int(key.id, 16) % 2:
        ring.revoke(key.id)
        print("revoked", text, flush=True)
"""
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts a program of `KeyRing` over ``tmp_path`` in a process of its own."""
    running: list[subprocess.Popen[str]] = []

    def one(program: str = PROGRAM) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(tmp_path)]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        return running[-1]

    yield one
    for process in running:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[str], *words: str) -> None:
    assert process.stdin is not None
    process.stdin.write(" ".join(words) + "\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def valid(ring: KeyRing) -> set[str]:
    return {key.id for key in ring.list() if key.revoked is None}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_keys_made_at_once_are_all_kept(tmp_path: Path, spawn: Spawn) -> None:
    processes = [spawn() for _ in range(8)]
    assert {told(process) for process in processes} == {"ready"}
    ring, made = KeyRing(tmp_path), set()
    for _ in range(6):
        for process in processes:
            ask(process, "create")
        made |= {told(process) for process in processes}
        lost = [text for text in made if ring.verify(text) is None]
        assert not lost
    assert len(made) == len(valid(ring)) == 48


def test_a_key_revoked_while_another_is_made_stays_revoked(tmp_path: Path, spawn: Spawn) -> None:
    maker, revoker = spawn(), spawn()
    assert told(maker) == told(revoker) == "ready"
    ring, gone = KeyRing(tmp_path), []
    for _ in range(30):
        text, key = ring.create("write")
        gone.append(text)
        ask(maker, "create")
        ask(revoker, "revoke", key.id)
        assert ring.verify(told(maker))
        assert told(revoker) == key.id
        assert ring.verify(text) is None
    assert not any(ring.verify(text) for text in gone)
    assert len(valid(ring)) == 30
    assert [key.digest for key in ring.list() if key.revoked] == [""] * 30


@pytest.mark.slow
def test_a_kill_leaves_what_was_acknowledged(tmp_path: Path, spawn: Spawn) -> None:
    choose = random.Random(12)
    created: set[str] = set()
    revoked: set[str] = set()
    for _ in range(20):
        process = spawn(STEADY)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(choose.uniform(0, 0.1))
        process.kill()
        words = acknowledged([*lines, *process.stdout.readlines()])
        created |= {text for verb, text in words if verb == "created"}
        revoked |= {text for verb, text in words if verb == "revoked"}
        ring = KeyRing(tmp_path)
        kept = {text for text in created if ring.verify(text)}
        assert not kept & revoked
        # A kill may come between a revocation and its acknowledgment: one key of each round.
        under_way = {text for text in created - kept - revoked if int(text[8:16], 16) % 2}
        assert created - kept - revoked == under_way
        assert len(under_way) <= 20
    ring.create("read")  # the lock ended with its holder


def test_after_the_first_key_everybody_needs_one(shop: Path, open_client: Any) -> None:
    client, ring = open_client(), KeyRing(shop / "service")
    assert client.delete("/v1/items/item0").status_code == 200
    assert not ring.required
    text, key = ring.create("write")
    assert client.delete("/v1/items/item1").status_code == 401
    ring.revoke(key.id)
    later = open_client()  # which has never seen the valid key
    for service in (client, later):
        assert service.delete("/v1/items/item1").status_code == 401
        assert service.get("/v1/info").status_code == 401
        assert service.delete("/v1/items/item1", headers=bearer(text)).status_code == 401
    again, _ = ring.create("write")
    assert later.delete("/v1/items/item1", headers=bearer(again)).status_code == 200


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b'"scope": "read"') + 11] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        _flip,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(b'{"keys": 3}'),
        lambda path: path.write_bytes(b"[" * 100_000),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["missing", "flipped", "empty", "cut", "odd", "deep", "folder"],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_lost_or_damaged_store_lets_nobody_in(
    shop: Path, open_client: Any, harm: Callable[[Path], Any], known: bool
) -> None:
    text, _ = KeyRing(shop / "service").create("read")
    client = open_client()
    if known:
        assert client.get("/v1/info", headers=bearer(text)).status_code == 200
    harm(shop / "service" / FILE)
    for service in (client, open_client()):
        assert service.put("/v1/items/new", json={"columns": {}}).status_code == 401
        assert service.get("/v1/info", headers=bearer(text)).status_code in (401, 500)
    if (shop / "service" / FILE).exists():
        with pytest.raises(DamageError, match="No key is valid"):
            check_access(Settings(shop))
        with pytest.raises(DamageError, match="No key is valid"):
            KeyRing(shop / "service").create("read")


def test_every_flipped_bit_of_the_file_is_found(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    text, key = ring.create("read", "search page", {"where_operators": 50})
    ring.revoke(ring.create("write")[1].id)
    path = tmp_path / FILE
    data, stored = path.read_bytes(), ring.list()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = KeyRing(tmp_path).list()
        except DamageError:
            continue
        assert found == stored  # a blank that became another one
    path.write_bytes(data)
    assert KeyRing(tmp_path).verify(text) == key


def test_reset_opens_a_service_again(
    shop: Path, open_client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = KeyRing(shop / "service")
    text, _ = ring.create("read")
    client = open_client()
    assert client.get("/v1/info").status_code == 401
    assert main(["key", "reset", str(shop)]) == 0
    assert "1 valid keys deleted" in capsys.readouterr().out
    assert client.get("/v1/info", headers=bearer(text)).status_code == 401
    assert client.get("/v1/info").status_code == 401  # until it is started again
    assert open_client().get("/v1/info").status_code == 200
    assert not KeyRing(shop / "service").required
    with pytest.raises(UsageError, match="no valid key"):
        check_access(Settings(shop, host="0.0.0.0"))


def test_keys_of_older_versions_work_and_close_too(shop: Path, open_client: Any) -> None:
    state = shop / "service"
    text, key = KeyRing(state).create("read", "page")
    row = {n: getattr(key, n) for n in ("id", "name", "scope", "digest", "created")}
    (state / REQUIRED).unlink()
    (state / FILE).write_text(json.dumps({"keys": [row]}))
    assert open_client().get("/v1/info", headers=bearer(text)).status_code == 200
    (state / FILE).unlink()
    assert open_client().get("/v1/info").status_code == 401
    (state / REQUIRED).unlink()
    (state / FILE).write_text(json.dumps({"keys": []}))  # the last one was revoked
    assert open_client().get("/v1/info").status_code == 401


def test_a_change_within_one_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    text, key = ring.create("read")
    path = tmp_path / FILE
    reader = KeyRing(tmp_path)
    assert reader.verify(text)
    stat = path.stat()
    data = path.read_text().replace(key.digest, "0" * 64)
    path.write_text(data)  # the same inode and size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DamageError):
        reader.verify(text)


def test_a_key_keeps_its_limits(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["key", *words, "--json"])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, told

    create = ("create", str(shop), "--scope", "read")
    _, made = run(*create, "--limit", "where_operators=50", "--limit", "photos=1.5")
    assert made["limits"] == {"where_operators": 50, "photos": 1.5}
    key = KeyRing(shop / "service").verify(made["key"])
    assert key is not None
    assert key.limits == made["limits"]
    for wrong in ("where_operators", "where_operators=many", "where_operators=-1", "photos=nan"):
        assert run(*create, "--limit", wrong)[0] == 2
    _, revoked = run("revoke", str(shop), made["id"])
    _, listed = run("list", str(shop))
    assert listed == {"keys": [], "revoked": [revoked["revoked"]], "required": True}
    assert main(["key", "list", str(shop)]) == 0
    assert "no valid key" in capsys.readouterr().out
    assert run("revoke", str(shop), made["id"])[0] == 2
