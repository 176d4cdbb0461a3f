"""Every verb that writes, with a fault at each of its changes to the disk, and what is left after.

    LD_PRELOAD=libfaulty.so python faulty_verbs.py FOLDER [EVERY [VERB …]]

prints one JSON object: what was run, and what failed. EVERY = n takes every nth fault. Each fault
has a process of its own; another one opens what is left. Kinds of faults:

- ``eio``: the change fails with EIO; ``eio-on``, with all later ones (at every third change);
- ``full``: from here on nothing grows (ENOSPC);
- ``memory``: MemoryError in the main thread;
- the ends of `faulty_disk`: a kill or a power cut after the change.

A failed verb must raise what the commands show as one line. After each fault the catalogue has
every acknowledged row and no half update, `check` finds nothing or `--repair` mends it, a search
finds what is stored, the process can go on writing, and the same verb then ends well.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2  # noqa: F401  # these are imported once, before the forks
import faiss  # noqa: F401
import numpy as np
import onnxruntime  # noqa: F401
import pyarrow.parquet  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers import faulty_disk
from helpers.small_shop import manifest, state
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog import pointer
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.options import SyncOptions
from hemline.catalog.intake.update import AttributeChanges, Attributes, ImageUpdate, ItemUpdate
from hemline.catalog.settings import StoreSettings
from hemline.catalog.stores import sqlite
from hemline.data.manifest import Manifest
from hemline.errors import CatalogError, HemlineError
from hemline.runtime.bundle import Bundle
from hemline.service.journal import Journal, Search
from hemline.service.keys import KeyRing
from hemline.service.photo_links import DAY, PhotoLinks
from hemline.service.problems import Problem

KINDS = {
    "eio": (errno.EIO, 0),
    "eio-on": (errno.EIO, 1),
    "full": (errno.ENOSPC, 2),
    "memory": (0, 3),
}
#: Some dozen rows have several segments.
SMALL = StoreSettings(segment_rows=8)
#: And an index of codes, which is saved on close.
INDEXED = StoreSettings(segment_rows=8, exact_rows=18, subset_rows=4, train_rows=64)
PATIENCE = 60  # seconds of a child
DONE = 1_000_000  # the mark of a verb that has returned
State = dict[str, Any]
_lib = ctypes.CDLL(None)


def mark(number: int) -> None:
    """Notes in the log that so much is acknowledged."""
    _lib.fault_mark(ctypes.c_long(number))


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        run: does it in a folder; acknowledges by `mark`.
        prepare: makes the folder that it starts from.
        check: what is wrong with a folder, by its mark: a list of words.
    """

    run: Callable[[Path], None]
    prepare: Callable[[Path], None]
    check: Callable[[Path, int], list[str]]


VERBS: dict[str, Verb] = {}
DATA = Path()  # set by `main`


def opened(root: Path) -> Catalog:
    return Catalog.open(root / "shop")


def fill(root: Path) -> None:
    """A catalogue of 28 images, of which some were removed and replaced."""
    with Catalog.create(root / "shop", Bundle.open(DATA / "bundle0")) as catalog:
        rows = Manifest.read(DATA / "images/manifest.parquet")
        catalog.add(rows.select(np.arange(28)), workers=1, batch=16)
        catalog.remove(["item1", "item4"])


def nothing(root: Path) -> None:
    root.mkdir(exist_ok=True)


# Checks


def whole(before: State, after: State, root: Path, seen: int, single: bool) -> list[str]:
    """What is wrong with the rows of a catalogue, and with its own checks and searches."""
    wrong: list[str] = []
    with opened(root) as catalog:
        found = state(catalog)
        for name in {*before, *after, *found}:
            allowed = [before.get(name), after.get(name)][seen >= DONE :]
            if found.get(name) not in allowed:
                wrong.append(f"{name} is neither as before nor as after ({seen=})")
        if single and found not in (before, after):
            wrong.append("half of a commit is there")
        wrong += sound(catalog, found)
    return wrong[:5]


def sound(catalog: Catalog, found: State) -> list[str]:
    """What is wrong with a catalogue's checks and searches."""
    wrong = []
    health = catalog.check(deep=True)
    if not health.ok:
        told = [f"{p.part}: {p.found}" for p in health.problems]
        if not told and not health.lost:
            wrong.append("check says that something is wrong, and not what")
        repaired = catalog.check(repair=True, deep=True)
        if not repaired.ok or state(catalog) != found:
            wrong.append(f"check --repair doesn't mend it: {told}")
    for values in list(found.values())[::9]:
        query = np.frombuffer(values[-1], np.float32)
        hits = catalog.store.take(catalog.store.search(query, 3).ids)
        if not any(row is not None and row.embedding.tobytes() == values[-1] for row in hits):
            wrong.append("a search doesn't find a stored vector")
    return wrong


def on_catalog(
    run: Callable[[Catalog, Path], None],
    prepare: Callable[[Path], None] = fill,
    single: bool = False,
) -> Verb:
    """A verb on a filled catalogue, whose end states come from a run without faults."""
    made: dict[str, State] = {}

    def wholly(root: Path) -> None:
        with opened(root) as catalog:
            run(catalog, root)
            mark(DONE)

    def prepared(root: Path) -> None:
        prepare(root)
        with opened(root) as catalog:
            made["before"] = state(catalog)
        copy = root.with_name("after")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy)
        with opened(copy) as catalog:
            run(catalog, copy)
            made["after"] = state(catalog)

    def check(root: Path, seen: int) -> list[str]:
        wrong = whole(made["before"], made["after"], root, seen, single)
        wholly(root)  # the same again
        with opened(root) as catalog:
            return wrong + ["the same again ends otherwise"] * (state(catalog) != made["after"])

    return Verb(wholly, prepared, check)


# The verbs


def _create(root: Path) -> None:
    Catalog.create(root / "shop", Bundle.open(DATA / "bundle0")).close()
    mark(DONE)


def _created(root: Path, seen: int) -> list[str]:
    if seen < DONE:
        with contextlib.suppress(CatalogError):
            _create(root)  # again, where it isn't there
    with opened(root) as catalog:
        catalog.encoder()
        return [] if catalog.check(deep=True).ok else ["check finds something"]


def _add(catalog: Catalog, root: Path) -> None:
    rows = Manifest.read(DATA / "images/manifest.parquet")
    catalog.add(rows.select(np.arange(24, 36)), workers=1, batch=6)


def _sync(catalog: Catalog, root: Path) -> None:
    options = SyncOptions(workers=1, batch=8, allow_removals=1.0)
    catalog.sync(DATA / "images/feed.csv", options)


def _update(catalog: Catalog, root: Path) -> None:
    image = (DATA / "images/35.jpg").read_bytes()
    new = ItemUpdate("new", Attributes("coat", (), {"price": 1.5}), [ImageUpdate(image)])
    change = ItemUpdate("item2", AttributeChanges(columns={"price": 99.0, "sale": True}))
    catalog.update([new, change, ItemUpdate("item3", remove=True)])


def _remove(catalog: Catalog, root: Path) -> None:
    catalog.remove(["item0", "item5", "item6"])


def _compact(catalog: Catalog, root: Path) -> None:
    catalog.compact()


def _rebuild(catalog: Catalog, root: Path) -> None:
    catalog.rebuild(Bundle.open(DATA / "bundle1"), batch=8)
    with catalog.writing():  # which deletes the previous part
        pass


def _export(catalog: Catalog, root: Path) -> None:
    catalog.export(root / "rows.parquet", vectors=True)


def _repair(catalog: Catalog, root: Path) -> None:
    catalog.check(repair=True)


def _damaged(root: Path) -> None:
    """A catalogue with damaged vectors, a stray copy and without its saved index."""
    fill(root)
    segment = next((root / "shop/segments").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[3] ^= 0xFF
    segment.write_bytes(data)
    shutil.rmtree(root / "shop/index", ignore_errors=True)


def _backup(catalog: Catalog, root: Path) -> None:
    if not (root / "copy").exists():
        catalog.backup(root / "copy")


def _backed_up() -> Verb:
    base = on_catalog(_backup)

    def check(root: Path, seen: int) -> list[str]:
        wrong = []
        if seen >= DONE and not (root / "copy").exists():
            wrong.append("the acknowledged backup isn't there")
        wrong += base.check(root, seen)  # backs up where there is none
        with opened(root) as catalog, Catalog.open(root / "copy") as copy:
            if state(catalog) != state(copy) or not copy.check(deep=True).ok:
                wrong.append("the backup differs")
        return wrong

    return Verb(base.run, base.prepare, check)


def _copy(root: Path) -> None:
    with opened(root) as catalog:
        if not (root / "copy").exists():
            Catalog.create(root / "copy", Bundle.open(DATA / "bundle0")).close()
        with Catalog.open(root / "copy") as target:
            catalog.copy_to(target)
    mark(DONE)


def _copied(root: Path, seen: int) -> list[str]:
    with opened(root) as catalog:
        wanted = state(catalog)
        if seen >= DONE:
            with Catalog.open(root / "copy") as copy:
                if state(copy) != wanted:
                    return ["the acknowledged copy differs"]
        _copy(root)  # goes on
        with Catalog.open(root / "copy") as copy:
            whole = state(copy) == wanted and copy.check(deep=True).ok
        return [] if whole else ["the copy differs"]


def _links(root: Path) -> None:
    links = PhotoLinks(root / "photos", True)
    try:
        for number in range(2):
            name = links.put(b"photo" * 200, b"encoded" * 200)
            with root.with_name("names").open("a" if number else "w") as stream:
                stream.write(f"{name}\n")
            mark(number + 1)
    finally:
        links.close()
    mark(DONE)


def _links_left(root: Path, seen: int) -> list[str]:
    names = root.with_name("names").read_text().split() if seen > 0 else []
    links, wrong = PhotoLinks(root / "photos", True), []
    try:
        for name in names[: min(seen, 2)]:
            if (links.get(name), links.encoded(name)) != (b"photo" * 200, b"encoded" * 200):
                wrong.append("a shared photo isn't whole")
        later = PhotoLinks(root / "photos", True, clock=lambda: time.time() + 2 * DAY)
        later.close()
        left = [path.name for path in (root / "photos").glob("*") if path.name != "lock"]
        return wrong + [f"after a day there is still {left}"] * bool(left)
    finally:
        links.close()


def _keys(root: Path) -> None:
    ring = KeyRing(root / "service")
    keys = [ring.create("read", f"key {number}")[1] for number in range(2)]
    (root.with_name("ids")).write_text(" ".join(key.id for key in keys))
    mark(1)
    ring.revoke(keys[0].id)
    mark(DONE)


def _keys_left(root: Path, seen: int) -> list[str]:
    ring = KeyRing(root / "service")
    valid = {key.id for key in ring.list() if key.revoked is None}
    first, second = root.with_name("ids").read_text().split() if seen > 0 else ("", "")
    wrong = []
    if seen > 0 and (second not in valid or not ring.required):
        wrong.append("an acknowledged key is lost")
    if seen >= DONE and first in valid:
        wrong.append("a revoked key is valid")
    ring.create("write", "more")
    return wrong


def _journal(root: Path) -> None:
    journal = Journal(root / "service")
    try:
        for number in range(3):
            one = Search(f"s{number}", {"k": 5}, (("a", "b", 0.5),), {"total": 1.0})
            journal.note(one)
            journal.judge(one.id, "a", True)
            mark(number + 1)
    finally:
        journal.close()
    mark(DONE)


def _journal_left(root: Path, seen: int) -> list[str]:
    journal = Journal(root / "service")
    found = journal.judged()["right"]
    journal.note(Search("more", {"k": 5}, (("a", "b", 0.5),), {"total": 1.0}))
    journal.judge("more", "a", False)
    more = journal.judged()["wrong"]
    journal.close()
    least = 3 if seen >= DONE else max(0, seen)
    aside = list((root / "service").glob("journal-damaged*"))
    return [f"{found} of {least} judgements, {aside}"] * (found < least or more != 1 or bool(aside))


def _copy_bundle(root: Path) -> None:
    Bundle.open(DATA / "bundle0").copy_to(root / "bundle")
    mark(DONE)


def _bundle_left(root: Path, seen: int) -> list[str]:
    if seen < DONE and not (root / "bundle").exists():
        _copy_bundle(root)
    Bundle.open(root / "bundle")
    return []


def define() -> None:
    VERBS.update(
        create=Verb(_create, nothing, _created),
        add=on_catalog(_add),
        sync=on_catalog(_sync),
        update=on_catalog(_update, single=True),
        index=on_catalog(_update, single=True),
        remove=on_catalog(_remove, single=True),
        compact=on_catalog(_compact),
        rebuild=on_catalog(_rebuild, single=True),
        backup=_backed_up(),
        repair=on_catalog(_repair, _damaged),
        export=on_catalog(_export),
        copy=Verb(_copy, fill, _copied),
        keys=Verb(_keys, nothing, _keys_left),
        links=Verb(_links, nothing, _links_left),
        feedback=Verb(_journal, nothing, _journal_left),
        bundle=Verb(_copy_bundle, nothing, _bundle_left),
    )


# Runs


def child(work: Callable[[], Any]) -> Any:
    """The result of ``work`` in a process of its own, or why there is none."""
    read, write = os.pipe()
    own = os.fork()
    if own == 0:
        signal.alarm(PATIENCE)
        try:
            result = work()
        except BaseException as error:
            result = {"raised": "".join(traceback.format_exception(error))[-1500:]}
        with os.fdopen(write, "w") as stream:
            json.dump(result, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    _, status = os.waitpid(own, 0)
    return json.loads(text) if text else {"raised": f"the process ended with {status}"}


def attempt(verb: Verb, root: Path, number: int, kind: str) -> Any:
    """Runs a verb with a fault: how many changes it came to, whether it returned, what it said."""
    code, way = KINDS[kind]
    told = ""
    _lib.fault_at(os.fsencode(root), ctypes.c_long(number), code, way)
    try:
        verb.run(root)
    except (HemlineError, Problem, MemoryError) as error:
        told = f"{type(error).__name__}: {error}"
    except OSError as error:
        if error.errno is None:
            raise
        told = f"OSError: {error}"
    finally:
        count = _lib.fault_end()
    assert "\n" not in told.rstrip("\n"), told
    return {"count": count, "ok": not told, "told": told}


@dataclass
class Report:
    """What was run.

    Attributes:
        changes: verb → its changes to the disk.
        faults: verb and kind → number of faults.
        checks: folders that were opened and checked after a fault.
        failures: (verb, kind, number, what).
    """

    changes: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    failures: list[tuple[str, str, int, str]] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)


def fresh(base: Path, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)


def examined(verb: Verb, work: Path, number: int, kind: str) -> dict[str, Any]:
    """`attempt`, and what is wrong afterwards; in the same process, as a service goes on."""
    result = attempt(verb, work, number, kind)
    return {**result, "wrong": verb.check(work, DONE if result["ok"] else 0)}


def faults(name: str, verb: Verb, base: Path, work: Path, every: int, report: Report) -> None:
    """Each kind of fault at each change."""
    fresh(base, work)
    result = child(lambda: attempt(verb, work, 0, "eio"))
    if not result.get("ok"):
        raise AssertionError(f"{name} fails without a fault: {result}")
    total = result["count"]
    report.changes[name] = total
    for kind in KINDS:
        step = 3 * every if kind == "eio-on" else every  # mostly as "full"
        for number in range(1 + len(kind) % step, total + 1, step):
            fresh(base, work)
            result = child(lambda kind=kind, number=number: examined(verb, work, number, kind))
            report.faults[f"{name} {kind}"] += 1
            report.checks += 1
            wrong = result.get("wrong", [result.get("raised")])
            report.failures += [(name, kind, number, text) for text in wrong]
            report.told[result.get("told", "").replace(str(work), "CATALOG")[:160]] += 1


def cuts(name: str, verb: Verb, base: Path, work: Path, every: int, report: Report) -> None:
    """A kill and power cuts after each change."""
    fresh(base, work)
    before, log = faulty_disk.Disk(work), work.with_name("log")

    def record() -> int:
        stream = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        _lib.fault_log(os.fsencode(work), stream)
        verb.run(work)
        return int(_lib.fault_end())

    result = child(record)
    assert isinstance(result, int), result
    unseen = faulty_disk.differences(before, log, work)
    assert not unseen, f"changes that weren't logged: {unseen}"
    chosen: list[faulty_disk.Left] = []
    for left in faulty_disk.ends(before, log):
        if isinstance(left, faulty_disk.Left):
            report.faults[f"{name} {left.end}"] += 1
            chosen.append(left)
        else:
            report.faults[f"{name} {left[0]}"] += 1  # it leaves the same as one that is checked
    for start in range(0, len(chosen[::every]), 20):  # as many in one process
        some = chosen[::every][start : start + 20]
        found = child(lambda some=some: [left_whole(verb, work, left) for left in some])
        if isinstance(found, dict):
            found = [[found["raised"]] for _ in some]
        for left, wrong in zip(some, found, strict=True):
            report.checks += 1
            report.failures += [(name, left.end, left.number, text) for text in wrong]


def left_whole(verb: Verb, work: Path, left: faulty_disk.Left) -> list[str]:
    """What is wrong with what a kill or a power cut leaves."""
    shutil.rmtree(work, ignore_errors=True)
    faulty_disk.write(left.files, work)
    try:
        return verb.check(work, left.mark)
    except Exception as error:
        return ["".join(traceback.format_exception(error))[-1500:]]


def main() -> None:
    global DATA
    place = Path(sys.argv[1]).resolve()
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    DATA, base, work = place / "data", place / "base", place / "work"
    pointer.GRACE = 0.0
    for number in (0, 1):
        make_tiny_bundle(DATA / f"bundle{number}", seed=number)
    manifest(DATA / "images", 36).write(DATA / "images/manifest.parquet")
    lines = [f"item{n // 2},No. {n},{n}.jpg,{n * 2}" for n in range(6, 32)]
    feed = "\n".join(["id,title,image_link,price", *lines])
    (DATA / "images/feed.csv").write_text(feed, encoding="utf-8")
    define()
    report = Report()
    for name in sys.argv[3:] or VERBS:
        start, verb = time.process_time(), VERBS[name]
        began = os.times()
        settings = INDEXED if name == "index" else SMALL
        sqlite.StoreSettings = lambda settings=settings: settings  # type: ignore[assignment, misc]
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        verb.prepare(base)
        faults(name, verb, base, work, every, report)
        cuts(name, verb, base, work, every, report)
        ended = os.times()
        report.seconds[name] = round(
            ended.children_user + ended.children_system - began.children_user
            - began.children_system + time.process_time() - start, 1,
        )  # fmt: skip
    print(json.dumps(report.__dict__))


if __name__ == "__main__":
    main()
