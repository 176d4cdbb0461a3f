"""Disks that are full or read-only, and files that are damaged: what the store says, and keeps.

Each function gives what was seen in words; an AssertionError says what was wrong.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helpers import crash_ops
from helpers.crash_ops import DIM, after, opened, planned, reference, same, stored
from hemline.errors import CatalogError

Rows = dict[str, Any]


def fill(place: Path, steps: int = 14, seed: int = 77) -> Rows:
    """A store with some hundred rows in many segments, saved and closed; what it holds."""
    crash_ops.make(place)
    store = opened(place)
    state: Rows = {}
    for number in range(steps):
        change = planned(seed, number, "add", state)
        crash_ops.do(store, change, place, number)
        state = after(state, change)
    store.search(np.eye(DIM, dtype=np.float32)[0], 5)
    store.save()
    store.close()
    return state


def agrees(place: Path, state: Rows) -> None:
    """Opens it, compares every row and some answers with the reference."""
    store = opened(place)
    try:
        assert same(stored(store), state), "rows differ"
        exact = reference(state)
        for query in np.eye(DIM, dtype=np.float32)[:6]:
            want, got = exact.search(query, 10), store.search_exact(query, 10)
            assert want.similarity.tolist() == got.similarity.tolist(), "answers differ"
            near = store.search(query, 10)
            assert np.isin(got.ids, near.ids).mean() >= 0.8, "the codes find too little"
    finally:
        store.close()


def until_refused(place: Path, state: Rows, steps: int = 400) -> tuple[Rows, str]:
    """Adds until the store says that it can't; what was acknowledged, and its words."""
    store = opened(place)
    try:
        for number in range(100, 100 + steps):
            change = planned(5, number, "add", state)
            try:
                crash_ops.do(store, change, place, 1)
            except CatalogError as error:
                return state, str(error)
            state = after(state, change)
    finally:
        with contextlib.suppress(CatalogError):
            store.close()
    raise AssertionError("it was never refused")


@contextlib.contextmanager
def small_disk(megabytes: float) -> Iterator[Path]:
    """A file system of that size of its own.

    Raises:
        PermissionError: only root may mount one.
    """
    with tempfile.TemporaryDirectory() as place:
        size = f"size={int(megabytes * 1024)}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], check=False)
        if done.returncode:
            raise PermissionError("a tmpfs can't be mounted here")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def full_disk(root: Path) -> str:
    del root
    with small_disk(2.5) as disk:
        place = disk / "store"
        state, words = until_refused(place, fill(place))
        assert "no space on the disk" in words, words
        agrees(place, state)  # still full
        remount(disk, "size=64m")
        agrees(place, state)
        store = opened(place)
        more = planned(6, 1, "add", state)
        crash_ops.do(store, more, place, 1)
        store.close()
        agrees(place, after(state, more))
        return f"{len(state)} rows kept; it says: {words.replace(str(place), 'CATALOG')}"


def full_disk_and_killed(root: Path) -> str:
    """A process is killed on the full disk, where it can't even end well."""
    del root
    with small_disk(2.5) as disk:
        place = disk / "store"
        state = fill(place)
        state, _ = until_refused(place, state)
        code = (
            f"import sys; sys.path.insert(0, {str(Path(crash_ops.__file__).parents[1])!r})\n"
            "from pathlib import Path\nfrom helpers import crash_ops\nimport os, signal\n"
            f"place = Path({str(place)!r})\nstore = crash_ops.opened(place)\n"
            "state = crash_ops.stored(store)\n"
            "try:\n    store.add(list(crash_ops.planned(8, 3, 'add', state).rows))\n"
            "except Exception: pass\nos.kill(os.getpid(), signal.SIGKILL)\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], check=False).returncode
        assert ended == -signal.SIGKILL, ended
        remount(disk, "size=64m")
        store = opened(place)
        held = stored(store)
        store.close()
        whole = after(state, planned(8, 3, "add", state))
        assert same(held, state) or same(held, whole), "half of a change is there"
        agrees(place, held)
        return "the change is there as a whole or not at all"


def file_limit(root: Path) -> str:
    """Files may not grow beyond a limit (RLIMIT_FSIZE): a disk that is full in mid-write."""
    place = root / "limited"
    state = fill(place)
    largest = max(p.stat().st_size for p in place.rglob("*") if p.is_file())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 30_000, before[1]))
    try:
        state, words = until_refused(place, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    agrees(place, state)
    return f"it says: {words.replace(str(place), 'CATALOG')}"


def read_only(root: Path) -> str:
    del root
    with small_disk(64) as disk:
        place = disk / "store"
        state = fill(place)
        remount(disk, "ro")
        try:
            agrees(place, state)
            store = opened(place)
            try:
                store.add(list(planned(9, 1, "add", state).rows))
            except CatalogError as error:
                words = str(error)
            else:
                raise AssertionError("it took rows on a read-only disk")
            finally:
                store.close()
        finally:
            remount(disk, "rw")
        agrees(place, state)
    return f"searched; a change is refused: {words.replace(str(place), 'CATALOG')}"


def _segments(place: Path) -> list[Path]:
    found = sorted((place / "segments").glob("*"))
    assert found, "no segments"
    return [path for path in found if path.is_file()]


def flipped_bit(root: Path) -> str:
    """Ten times one bit of a segment is flipped: what counts is noticed and healed."""
    seen = []
    place = root / "flipped"
    state = fill(place)
    rng = np.random.default_rng(3)
    for _ in range(10):
        path = _segments(place)[int(rng.integers(len(_segments(place))))]
        content = bytearray(path.read_bytes())
        at = int(rng.integers(len(content)))
        content[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        store = opened(place)
        report = store.verify()
        rows = stored(store) if report.ok else {}
        wrong = bool(rows) and not same(rows, state)
        assert not wrong, f"byte {at} of {path.name} changed a vector, and verify finds nothing"
        if not report.ok:
            store.verify(repair=True)
            lost = set(store.verify().lost)
            assert len(lost) <= 5, f"a bit lost {len(lost)} vectors"
            store.add([state[name] for name in lost])
            assert store.verify().ok, "adding the lost rows again doesn't heal it"
            seen.append(len(lost))
        store.close()
        agrees(place, state)
    return f"{len(seen)} of 10 flips hit what counts, and were named; adding those rows heals them"


def torn_segment(root: Path) -> str:
    """The last third of a segment is gone."""
    place = root / "torn"
    state = fill(place)
    path = max(_segments(place), key=lambda p: p.stat().st_size)
    os.truncate(path, path.stat().st_size * 2 // 3)
    words = ""
    try:
        store = opened(place)
    except CatalogError as error:
        return f"it isn't opened: {str(error).replace(str(place), 'CATALOG')}"
    report = store.verify(repair=True)
    lost = set(report.lost) or set(store.verify().lost)
    assert lost, "verify finds nothing lost"
    rest = {name: row for name, row in state.items() if name not in lost}
    held = store.get(list(rest))
    assert same(held, rest), "rows of whole segments changed"
    store.add([state[name] for name in lost])
    assert store.verify().ok
    store.close()
    agrees(place, state)
    return f"{len(lost)} of {len(state)} vectors named as lost; adding them heals it{words}"


def torn_index(root: Path) -> str:
    """Each derived file cut in half, emptied, filled with noise, and deleted."""
    place = root / "index"
    state = fill(place)
    names = sorted(p.relative_to(place) for p in (place / "index").rglob("*") if p.is_file())
    assert names, "nothing is saved in index/"
    ways: list[Callable[[Path], object]] = [
        lambda p: os.truncate(p, p.stat().st_size // 2),
        lambda p: os.truncate(p, 0),
        lambda p: p.write_bytes(np.random.default_rng(1).bytes(p.stat().st_size)),
        lambda p: p.unlink(),
    ]
    for name in names:
        for spoil in ways:
            whole = root / "whole"
            shutil.rmtree(whole, ignore_errors=True)
            shutil.copytree(place, whole)
            spoil(whole / name)
            agrees(whole, state)
            store = opened(whole)
            store.verify(repair=True)
            assert store.verify().ok
            store.close()
    return f"{len(names)} files, four ways each: answers are right, the files made anew"


def deleted_log(root: Path) -> str:
    """The write-ahead log of a catalogue that was closed is deleted."""
    place = root / "log"
    state = fill(place)
    for name in ("catalog.sqlite-wal", "catalog.sqlite-shm"):
        (place / name).unlink(missing_ok=True)
    agrees(place, state)
    return "nothing is lost"


def second_writer(root: Path) -> str:
    place = root / "second"
    state = fill(place)
    first, second = opened(place), opened(place)
    try:
        with first.writing():
            try:
                second.add(list(planned(9, 1, "add", state).rows))
            except CatalogError as error:
                words = str(error)
            else:
                raise AssertionError("two wrote at once")
    finally:
        first.close()
        second.close()
    agrees(place, state)
    return f"refused: {words.replace(str(place), 'CATALOG')}"


FAULTS: tuple[Callable[[Path], str], ...] = (
    full_disk,
    full_disk_and_killed,
    file_limit,
    read_only,
    flipped_bit,
    torn_segment,
    torn_index,
    deleted_log,
    second_writer,
)
