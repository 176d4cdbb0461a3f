"""The files of deploy/ and the Containerfile: what they name is there; backup and restore drill."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from helpers.small_shop import manifest, write_picture
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.runtime.bundle import Bundle
from hemline.service.journal import Journal, Search
from hemline.service.keys import KeyRing

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOC = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
UNITS = sorted(path.name for path in DEPLOY.glob("hemline*.service"))
ANALYZE = shutil.which("systemd-analyze")


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction of the Containerfile."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def test_every_file_stands_in_the_docs() -> None:
    unnamed = [p.name for p in DEPLOY.iterdir() if f"](../deploy/{p.name})" not in DOC]
    assert unnamed == []


def test_the_container_copies_what_is_there_and_nothing_else_is_sent() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[1] == "*"
    copied = set()
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            copied |= set(rest.split()[:-1])
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert any(fnmatch("a/__pycache__", line) for line in ignored)


def test_the_container_has_no_torch_and_no_root() -> None:
    found = instructions()
    run = " ".join(rest for word, rest in found if word == "RUN")
    assert "'.[serve]'" in run
    assert "learn" not in run
    assert [rest for word, rest in found if word == "FROM"][-1].endswith("-slim")
    users = [number for number, (word, _) in enumerate(found) if word == "USER"]
    assert found[users[-1]][1] == "10001:10001"
    assert not [word for word, _ in found[users[-1] :] if word == "RUN"]
    assert json.loads(dict(found)["ENTRYPOINT"]) == ["hemline"]


@pytest.mark.parametrize("name", ["serve", "doctor"])
def test_the_options_of_units_and_container_are_options(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = re.findall(rf"^Exec\w+=-?\S+/hemline ({name} .*)$", "\n".join(
        (DEPLOY / unit).read_text("utf-8") for unit in UNITS
    ), re.MULTILINE)  # fmt: skip
    if name == "serve":
        lines.append(" ".join(json.loads(dict(instructions())["CMD"])))
    assert lines
    seen = []
    monkeypatch.setattr("hemline.service.run.serve", lambda settings, *_: seen.append(settings))
    for line in lines:
        words = shlex.split(line)
        words[1] = str(tmp_path)
        assert main(words) == (1 if name == "doctor" else 0)  # the folder is empty
    assert all(settings.public for settings in seen)


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
@pytest.mark.parametrize("name", [*UNITS, "hemline-backup.timer"])
def test_the_units_are_units(name: str, tmp_path: Path) -> None:
    for path in DEPLOY.glob("hemline*.*"):
        text = re.sub(
            r"=(-?)\S+/(hemline|hemline-backup) ", r"=\1/bin/true ", path.read_text("utf-8")
        )
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    assert ANALYZE is not None
    done = subprocess.run(
        [ANALYZE, "verify", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    told = [line for line in done.stderr.splitlines() if "hemline" in line]
    assert told == []
    if name == "hemline.service":
        rated = subprocess.run(
            [ANALYZE, "security", "--offline=true", str(tmp_path / name)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        level = re.search(r"exposure level.*?: ([0-9.]+)", rated.stdout)
        if level:  # an older systemd has no --offline
            assert float(level[1]) <= 2.0


def test_the_alarms_name_metrics_that_are_there() -> None:
    from hemline.service.metrics import Metrics

    metrics = Metrics()
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.seconds.labels("/").observe(1)
    there = set(re.findall(r"^(hemline_\w+)", metrics.text().decode(), re.MULTILINE))
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    assert len(rules) == DOC.split("| alarm |")[1].split("\n\n")[0].count("\n|") - 1
    for rule in rules:
        assert rule["annotations"]["summary"]
        assert set(re.findall(r"hemline_\w+", rule["expr"])) <= there, rule["alert"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalogue of three products with a key and feedback."""
    bundle = make_tiny_bundle(tmp_path / "bundle")
    with Catalog.create(tmp_path / "shop", Bundle.open(bundle)) as catalog:
        catalog.add(manifest(tmp_path / "pictures", 6))
    KeyRing(tmp_path / "shop/service").create("write", "operator")
    journal = Journal(tmp_path / "shop/service")
    journal.note(Search("s", {}, (("item0", "0.jpg", 1.0),), {}, b"photo"))
    journal.judge("s", "item0", True)
    journal.close()
    return tmp_path / "shop"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The command ``hemline`` of this environment."""
    command = tmp_path / "bin/hemline"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hemline "$@"\n')
    command.chmod(0o755)
    (tmp_path / "bin/python").symlink_to(sys.executable)
    return command


def back_up(own: Path, shop: Path, keep: int = 14) -> Path:
    """Runs the script as the timer does; the newest copy."""
    target = shop.with_name("copies")
    words = [str(DEPLOY / "hemline-backup"), str(own), str(shop), str(target), str(keep)]
    subprocess.run(words, check=True)
    return max(target.glob("????-??-??"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a script for sh")
def test_the_backup_keeps_the_last_ones(own: Path, shop: Path) -> None:
    for day in range(10, 20):
        (shop.with_name("copies") / f"2020-01-{day}").mkdir(parents=True)
        (shop.with_name("copies") / f"2020-01-{day}.service").mkdir()
    (shop.with_name("copies") / "mine").mkdir()
    copy = back_up(own, shop, keep=3)
    names = sorted(path.name for path in copy.parent.iterdir())
    kept = ["2020-01-18", "2020-01-19", copy.name]
    assert names == sorted([*kept, *(f"{name}.service" for name in kept), "mine"])
    assert (copy.parent / f"{copy.name}.service/keys.json").stat().st_mode & 0o077 == 0
    before = (copy / "catalog.sqlite").stat().st_mtime_ns
    assert back_up(own, shop, keep=3) == copy  # a second run on the same day
    assert (copy / "catalog.sqlite").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a script for sh")
def test_the_restore_drill(own: Path, shop: Path, tmp_path: Path) -> None:
    """The commands of docs/deploy.md, but for systemd's and the users'."""
    copy = back_up(own, shop)
    with Catalog.open(shop) as catalog:  # a broken feed, and a broken disk
        catalog.remove(["item0", "item1"])
    (shop / "catalog.sqlite").write_bytes(b"nothing")
    assert main(["doctor", str(shop)]) == 1
    drill = re.search(r"### Restore drill.*?```sh\n(.*?)```", DOC, re.DOTALL)
    assert drill
    script = drill[1]
    for old, new in (
        ("/opt/hemline/bin/hemline", str(own)),
        ("/srv/hemline-backup/2031-01-31", str(copy)),
        ("/srv/hemline/shop", str(shop)),
        ("sudo -u hemline ", ""),
        ("hemline:hemline", f"{os.geteuid()}:{os.getegid()}"),
    ):
        assert old in script, old
        script = script.replace(old, new)
    script, count = re.subn(r"^systemctl .*$", "", script, flags=re.MULTILINE)
    assert count == 2
    subprocess.run(["sh", "-euc", script], check=True, cwd=tmp_path)
    assert (tmp_path / "shop.broken").is_dir()
    with Catalog.open(shop) as catalog:
        assert catalog.stats()["items"] == 3
    assert [key.name for key in KeyRing(shop / "service").list()] == ["operator"]
    journal = Journal(shop / "service")
    assert journal.judged() == {"right": 1, "wrong": 0}
    assert [one["positive"]["item_id"] for one in journal.triplets()] == ["item0"]
    journal.close()


def may_confine() -> bool:
    """Whether this user may make the root read-only for a process of its own."""
    if not (shutil.which("unshare") and shutil.which("setpriv")) or os.geteuid() != 0:
        return False
    script = ["unshare", "--mount", "sh", "-c", "mount -o remount,bind,ro /"]
    user = ["setpriv", "--reuid", "10001", "--regid", "10001", "--clear-groups"]
    import_it = [*user, sys.executable, "-c", "import hemline"]  # not below a home of root, say
    return all(
        subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
        for command in (script, import_it)
    )


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or not may_confine(),
    reason="needs root on Linux, and hemline where other users may read it",
)
def test_the_service_runs_without_rights_and_with_a_read_only_root(
    shop: Path, tmp_path: Path
) -> None:
    """As container and unit run it: only the catalogue and /tmp can be written."""
    write_picture(shop.parent / "photo.jpg", 0)
    subprocess.run(["chown", "-R", "10001:10001", str(shop)], check=True)
    walk = (
        "import sys, threading, urllib.request, json, os\n"
        "from pathlib import Path\n"
        "from hemline.service.settings import Settings\n"
        "from hemline.service.run import serve\n"
        "assert os.geteuid() == 10001\n"
        "try:\n    Path('/probe').write_text('x')\nexcept OSError:\n    pass\n"
        "else:\n    raise SystemExit('the root can be written')\n"
        "def ask(url):\n"
        "    def run():\n"
        "        import hemline, time\n"
        "        with hemline.Client(url) as client:\n"
        "            for _ in range(600):\n"
        "                try:\n"
        "                    found = client.search(sys.argv[2], k=1)\n"
        "                    break\n"
        "                except Exception:\n"
        "                    time.sleep(0.1)\n"
        "        print(found.hits[0].item_id, flush=True)\n"
        "        os.kill(os.getpid(), 15)\n"
        "    threading.Thread(target=run, daemon=True).start()\n"
        "serve(Settings(Path(sys.argv[1]), port=0, public=True), ask)\n"
    )
    (tmp_path / "walk.py").write_text(walk)
    for folder in {*(tmp_path, *tmp_path.parents), *shop.parents}:
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
    script = (
        f"mount --bind {shop} {shop} && mount -o remount,bind,ro / && "
        "mount -t tmpfs none /dev/shm && exec setpriv --reuid 10001 --regid 10001 --clear-groups "
        f"--no-new-privs --bounding-set=-all {sys.executable} {tmp_path}/walk.py {shop} "
        f"{shop.parent}/photo.jpg"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={**os.environ, "HEMLINE_HOME": "/dev/shm", "TMPDIR": "/dev/shm", "HOME": "/nowhere"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("item"), done.stderr
