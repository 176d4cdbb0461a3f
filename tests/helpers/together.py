"""Readers and a writer on one catalogue, each in a process of its own, and what each may see.

A picture's vector follows from its number and its version, so a hit's similarity proves which
version answered. The writer tells of each change in memory that all share, before it begins and
when it was acknowledged; a reader that looked at the catalogue in between trusts neither, one that
looked later must see it.
"""

from __future__ import annotations

import multiprocessing as mp
import struct
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np

from helpers.crash_ops import TINY
from hemline.catalog.store import Row
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where

DIM = 24
SEEN_WITHIN = 1.0  # seconds after which a commit must be seen
PATIENCE = 30.0  # seconds until one that isn't seen counts as lost: a machine may be busy
# Changes begun, when, version (0: not there), changes done: written in this order, so that a record
# of which a part is written already has more changes begun than done.
_RECORD = struct.Struct("<qdqq")


@dataclass
class Seen:
    """What the processes together saw.

    Attributes:
        searches: answers that were checked.
        must: of these, answers that had to show an acknowledged change (or its absence).
        delays: seconds from an acknowledgement until a reader saw the change.
        commits: of the writer.
        compacts: of the writer.
        reopened: how often a reader opened the catalogue anew.
        failures: what went wrong, in words.
    """

    searches: int = 0
    must: int = 0
    delays: list[float] = field(default_factory=list)
    commits: int = 0
    compacts: int = 0
    reopened: int = 0
    failures: list[str] = field(default_factory=list)


def vector(picture: int, version: int) -> Any:
    """(D,) unit, of that version of that picture alone."""
    made = np.random.default_rng([picture, version]).normal(size=DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


def row(picture: int, version: int, stamp: int) -> Row:
    return Row(
        image_id=str(picture),
        item_id=f"item{picture}",
        embedding=vector(picture, version),
        norm=float(version),
        category=f"c{picture % 4}",
        columns={"version": version, "stamp": stamp},
    )


class Board:
    """What the writer tells of each picture; one writer, any number of readers."""

    def __init__(self, name: str | None, pictures: int) -> None:
        size = _RECORD.size * pictures
        self.memory = shared_memory.SharedMemory(name, create=name is None, size=size)
        buffer: Any = self.memory.buf
        self._bytes: Any = buffer
        self.pictures = pictures
        if name is None:
            buffer[:size] = bytes(size)

    def begin(self, picture: int) -> None:
        begun, done, version, when = self.read(picture)
        self._write(picture, begun + 1, done, version, when)

    def done(self, picture: int, version: int) -> None:
        begun = self.read(picture)[0]
        self._write(picture, begun, begun, version, time.monotonic())

    def _write(self, picture: int, *values: Any) -> None:
        begun, done, version, when = values
        _RECORD.pack_into(self._bytes, picture * _RECORD.size, begun, when, version, done)

    def read(self, picture: int) -> tuple[int, int, int, float]:
        begun, when, version, done = _RECORD.unpack_from(self._bytes, picture * _RECORD.size)
        return begun, done, version, when


def write(folder: Path, board_name: str, pictures: int, seconds: float, results: Any) -> None:
    """Adds, replaces, touches columns, removes and compacts until the time is up."""
    seen = Seen()
    try:
        board = Board(board_name, pictures)
        store = SqliteStore(folder, settings=TINY)
        rng = np.random.default_rng(1)
        versions = [0] * pictures  # the last used, also of those that are gone
        there = [False] * pictures
        end, compact_at = time.monotonic() + seconds, time.monotonic() + 1.0
        stamp = 0
        while time.monotonic() < end:
            stamp += 1
            chosen = [int(i) for i in rng.choice(pictures, int(rng.integers(1, 25)), replace=False)]
            for picture in chosen:
                board.begin(picture)
            if rng.random() < 0.25:
                store.remove([f"item{picture}" for picture in chosen])
                for picture in chosen:
                    there[picture] = False
            else:
                columns_only = rng.random() < 0.2
                for picture in chosen:
                    if not (columns_only and there[picture]):
                        versions[picture] += 1
                    there[picture] = True
                store.add([row(picture, versions[picture], stamp) for picture in chosen])
            for picture in chosen:
                board.done(picture, versions[picture] if there[picture] else 0)
            seen.commits += 1
            if time.monotonic() > compact_at:
                store.compact()
                seen.compacts += 1
                compact_at = time.monotonic() + 2.0
            time.sleep(float(rng.uniform(0, 0.03)))
        store.close()
    except BaseException:
        seen.failures.append(f"writer: {traceback.format_exc(limit=4)}")
    results.put(seen)


def read(
    folder: Path, board_name: str, pictures: int, seconds: float, seed: int, results: Any
) -> None:
    """Searches and checks until the time is up."""
    seen = Seen()
    try:
        board = Board(board_name, pictures)
        rng = np.random.default_rng([7, seed])
        store = SqliteStore(folder, settings=TINY)
        end = time.monotonic() + seconds
        reopen_at = time.monotonic() + float(rng.uniform(1, 4))
        while time.monotonic() < end and len(seen.failures) < 5:
            if time.monotonic() > reopen_at:
                store.close()
                store = SqliteStore(folder, settings=TINY)
                seen.reopened += 1
                reopen_at = time.monotonic() + float(rng.uniform(1, 4))
            if rng.random() < 0.1:
                _wait_for_newest(store, board, seen, rng)
            else:
                _look(store, board, seen, rng)
        store.close()
    except BaseException:
        seen.failures.append(f"reader {seed}: {traceback.format_exc(limit=4)}")
    results.put(seen)


def _look(store: Any, board: Board, seen: Seen, rng: np.random.Generator) -> None:
    """One search for a picture as the board has it; every hit is checked."""
    picture = int(rng.integers(board.pictures))
    before, start = board.read(picture), time.monotonic()
    version = max(1, before[2])
    where = Where.parse(f"category = 'c{picture % 4}'") if rng.random() < 0.3 else None
    query = vector(picture, version)
    found = store.search(query, 10, where)
    taken = store.take(found.ids)
    unchanged = board.read(picture) == before and before[0] == before[1]
    _check_hits(query, found.similarity, taken, where, seen)
    seen.searches += 1
    if not (unchanged and start - before[3] > SEEN_WITHIN and before[0]):
        return
    seen.must += 1
    hits = [r for r in taken if r is not None and r.image_id == str(picture)]
    if before[2] == 0:
        if hits:
            seen.failures.append(
                f"{picture} was removed {start - before[3]:.2f} s ago and is found"
            )
    elif not hits:
        if all(r is not None for r in taken):  # else a hit went between search and take
            seen.failures.append(f"{picture} v{version} was added {start - before[3]:.2f} s ago")
    elif hits[0].columns["version"] != version:
        seen.failures.append(f"{picture}: v{hits[0].columns['version']}, not v{version}")


def _check_hits(
    query: Any, similarity: Any, taken: list[Row | None], where: Any, seen: Seen
) -> None:
    names = [r.image_id for r in taken if r is not None]
    if len(set(names)) != len(names):
        seen.failures.append(f"a picture twice in one answer: {sorted(names)}")
    if np.any(np.diff(similarity) > 0):
        seen.failures.append(f"similarities rise: {similarity}")
    for hit, given in zip(taken, similarity, strict=True):
        if hit is None:
            continue
        version = int(hit.columns["version"])
        right = vector(int(hit.image_id), version).astype(np.float16).astype(np.float64) @ query
        if abs(right - given) > 1e-5:
            seen.failures.append(f"{hit.image_id} v{version}: {given}, not {right}")
        if hit.norm != float(version):
            seen.failures.append(f"{hit.image_id} v{version} has the norm of v{hit.norm}")
        if where is not None and not where.matches(hit.values()):
            seen.failures.append(f"{hit.image_id} doesn't meet {where.text}")


def _wait_for_newest(store: Any, board: Board, seen: Seen, rng: np.random.Generator) -> None:
    """The time until the newest acknowledged version of some picture is seen."""
    records = [board.read(picture) for picture in range(board.pictures)]
    newest = max(range(board.pictures), key=lambda p: records[p][3])
    begun, done, version, when = records[newest]
    if begun != done or version == 0 or time.monotonic() - when > 0.05:
        return
    query = vector(newest, version)
    while time.monotonic() - when < PATIENCE:
        found = store.search(query, 1)
        if len(found.similarity) and found.similarity[0] > 0.999:
            seen.delays.append(time.monotonic() - when)
            return
        if board.read(newest)[0] != begun:
            return  # changed again meanwhile
    seen.failures.append(f"{newest} v{version} not seen for {PATIENCE} s")


def together(folder: Path, seconds: float, readers: int = 3, pictures: int = 600) -> Seen:
    """Runs a writer and readers for so many seconds; what all of them saw."""
    folder.mkdir(parents=True, exist_ok=True)
    SqliteStore.create(folder, "together", DIM, TINY).close()
    board = Board(None, pictures)
    context = mp.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=write, args=(folder, board.memory.name, pictures, seconds, results))
    ]
    processes += [
        context.Process(
            target=read, args=(folder, board.memory.name, pictures, seconds, seed, results)
        )
        for seed in range(readers)
    ]
    try:
        for process in processes:
            process.start()
        parts = [results.get(timeout=seconds + 60 + PATIENCE) for _ in processes]
        for process in processes:
            process.join(30)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
        board.memory.close()
        board.memory.unlink()
    whole = Seen()
    for part in parts:
        whole.searches += part.searches
        whole.must += part.must
        whole.delays += part.delays
        whole.commits += part.commits
        whole.compacts += part.compacts
        whole.reopened += part.reopened
        whole.failures += part.failures
    return whole
