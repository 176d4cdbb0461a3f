from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hemline.files import (
    durable_file,
    durable_folder,
    durable_path,
    file_lock,
    publish_folder,
    write_atomic,
    write_durable,
)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every sync and rename in order, with names as they are at that moment."""
    made: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def name(path: object) -> str:
        path = Path(str(path))
        shown = path.relative_to(tmp_path).as_posix() if path != tmp_path else "/"
        return "/".join(part if part[:1] != "." else "TEMP" for part in shown.split("/"))

    def synced(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        made.append(f"sync {name(path)}" if path.startswith(str(tmp_path)) else "sync")
        fsync(descriptor)

    def moved(source: Path, target: Path) -> None:
        made.append(f"rename {name(source)} {name(target)}")
        replace(source, target)

    def renamed(source: Path, target: Path) -> None:
        made.append(f"rename {name(source)} {name(target)}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    monkeypatch.setattr(os, "rename", renamed)
    return made


ON_LINUX = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


def test_writes_bytes_and_text_and_the_folders_above(tmp_path: Path) -> None:
    write_durable(tmp_path / "a/b/c.bin", b"\0\1")
    write_durable(tmp_path / "t.txt", "é\n")
    write_durable(tmp_path / "u.txt", "\udcff")
    assert (tmp_path / "a/b/c.bin").read_bytes() == b"\0\1"
    assert (tmp_path / "t.txt").read_bytes() == b"\xc3\xa9\n"
    assert (tmp_path / "u.txt").read_bytes() == b"\\udcff"


def test_a_mode_holds_from_the_start(tmp_path: Path) -> None:
    write_durable(tmp_path / "keys", "secret", mode=0o600)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


@ON_LINUX
def test_a_file_is_synced_before_its_name_and_the_folder_after(
    tmp_path: Path, calls: list[str]
) -> None:
    write_durable(tmp_path / "x", "new")
    assert calls == ["sync TEMP", "rename TEMP x", "sync /"]


@ON_LINUX
def test_a_stream_is_synced_with_all_that_was_written(tmp_path: Path, calls: list[str]) -> None:
    with durable_file(tmp_path / "x") as stream:
        stream.write(b"new")
        assert calls == []
    assert calls == ["sync TEMP", "rename TEMP x", "sync /"]
    assert (tmp_path / "x").read_bytes() == b"new"


@ON_LINUX
def test_the_parent_can_be_left_to_the_caller(tmp_path: Path, calls: list[str]) -> None:
    with durable_path(tmp_path / "x", sync_parent=False) as temporary:
        temporary.write_bytes(b"new")
    assert calls == ["sync TEMP", "rename TEMP x"]


@ON_LINUX
def test_new_folders_are_synced_into_their_parents(tmp_path: Path, calls: list[str]) -> None:
    write_durable(tmp_path / "a/b/x", "new")
    assert calls == ["sync /", "sync a", "sync a/b/TEMP", "rename a/b/TEMP a/b/x", "sync a/b"]


@ON_LINUX
def test_a_folder_is_synced_whole_before_it_appears(tmp_path: Path, calls: list[str]) -> None:
    with durable_folder(tmp_path / "new") as folder:
        (folder / "sub").mkdir()
        (folder / "sub/x").write_text("x")
    assert sorted(calls[:3]) == ["sync TEMP", "sync TEMP/sub", "sync TEMP/sub/x"]
    assert calls[3:] == ["rename TEMP new", "sync /"]
    assert (tmp_path / "new/sub/x").read_text() == "x"


@ON_LINUX
def test_a_cache_isnt_synced(tmp_path: Path, calls: list[str]) -> None:
    write_atomic(tmp_path / "x", b"new")
    assert calls == ["rename TEMP x"]


@pytest.mark.parametrize("write", [write_durable, write_atomic])
def test_what_was_there_outlives_a_write_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    target = tmp_path / "kept.json"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write(target, "new")  # type: ignore[operator]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert target.read_text() == "old"


def test_what_was_there_outlives_a_stream_that_breaks_off(tmp_path: Path) -> None:
    target = tmp_path / "kept.json"
    target.write_text("old")
    with pytest.raises(TypeError), durable_file(target) as stream:
        stream.writelines([b"ne", "w"])  # type: ignore[list-item]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert target.read_text() == "old"


def test_a_folder_in_its_place_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_durable(tmp_path / "x", "new")
    assert str(caught.value.filename2) == str(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_with_content_is_replaced_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.mkdir()
    with durable_folder(target) as folder:  # an empty one is
        (folder / "old").touch()
    with pytest.raises(OSError, match="not empty"), durable_folder(target) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in target.iterdir()] == ["old"]
    new = tmp_path / "new"
    new.mkdir()
    (new / "new").touch()
    publish_folder(new, target, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_folder_that_cant_be_replaced_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "there"
    target.mkdir()
    (target / "old").touch()
    rename = os.rename

    def failing(source: Path, to: Path) -> None:
        if to == target and not source.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        rename(source, to)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="Input"), durable_folder(target, replace=True) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in target.iterdir()] == ["old"]


def test_a_lock_excludes_threads_and_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    busy = RuntimeError("busy")
    met: list[BaseException] = []

    def other() -> None:
        try:
            with file_lock(path, busy):
                pass
        except RuntimeError as error:
            met.append(error)

    with file_lock(path, busy):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert met == [busy]
    code = (
        "import sys, time; from pathlib import Path; from hemline.files import file_lock\n"
        "with file_lock(Path(sys.argv[1]), RuntimeError()): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RuntimeError, match="busy"), file_lock(path, busy):
            pass
        process.kill()
        process.wait()
    with file_lock(path, busy, timeout=5):
        pass


def test_what_a_power_cut_leaves_is_derived(tmp_path: Path) -> None:
    """The model of `helpers.faulty_disk`, on a log made by hand."""
    from helpers import faulty_disk as model

    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_bytes(b"old")
    before = model.Disk(root)
    steps = [
        model.Change(model.CREATE, f"{root}/new", "", 0, b""),
        model.Change(model.WRITE, f"{root}/new", "", 0, b"data"),
        model.Change(model.SYNC, f"{root}/new", "", 0, b""),
        model.Change(model.RENAME, f"{root}/new", f"{root}/old", 0, b""),
        model.Change(model.SYNC, str(root), "", 0, b""),
    ]
    seen = []
    for step in steps:
        before.apply(step)
        seen.append([before.files(end) for end in model.ENDS])
    old, empty, data = {"old": b"old"}, {"new": b""}, {"new": b"data"}
    assert seen[0] == [old | empty, old, old | empty, old]
    assert seen[1] == [old | data, old, old | empty, old]
    assert seen[2] == [old | data, old, old | data, old]
    assert seen[3] == [{"old": b"data"}, old, {"old": b"data"}, old]
    assert seen[4] == [{"old": b"data"}] * 4
