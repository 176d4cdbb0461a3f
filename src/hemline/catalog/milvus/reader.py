"""Keeps the mirror at the newest commit of this and other processes.

A commit is applied whole, once each of its rows has been read: their ids are known from its record,
so a row that is missing, or twice there, is noticed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

from hemline.catalog.milvus import log
from hemline.catalog.milvus.client import Client
from hemline.catalog.milvus.log import Commit
from hemline.catalog.milvus.mirror import Entry, Mirror
from hemline.catalog.milvus.rows import BARE, to_row
from hemline.catalog.stores._lock import SharedLock
from hemline.errors import DamageError

POLL = 1.0  # seconds between two looks for other processes' commits
_TRIES = 12
_PAUSE = 0.1  # seconds, and as much more before each further try
_LONGEST_PAUSE = 2.0


class Reader:
    """The mirror of one collection; may be used from several threads."""

    def __init__(self, client: Client, dim: int) -> None:
        self._client, self._dim = client, dim
        self._mirror = Mirror(dim)
        self._access = SharedLock()
        self._lock = threading.RLock()
        self._looked = 0.0
        self.last: Commit | None = None
        self.records = 0  # since the last checkpoint
        self.sync(strong=True)

    @contextmanager
    def mirror(self, flushed: bool = False) -> Iterator[Mirror]:
        """The mirror, which doesn't change while it is held; at most `POLL` old.

        ``flushed``: no rows wait to be put into its columns (`Mirror.flush`).
        """
        if time.monotonic() - self._looked > POLL and self._lock.acquire(blocking=False):
            try:
                self.sync()
            finally:
                self._lock.release()
        with ExitStack() as held:
            if flushed:
                with self._lock:  # so that no commit comes between
                    with self._access.exclusive():
                        self._mirror.flush()
                    held.enter_context(self._access.shared())
            else:
                held.enter_context(self._access.shared())
            yield self._mirror

    def applied(self, commit: Commit, entries: Sequence[Entry]) -> None:
        """Applies a commit of this process."""
        with self._lock:
            if commit.revision > self._mirror.revision:  # else another thread has read it
                self._apply(self._mirror, [commit], entries)

    def checkpointed(self, commit: Commit) -> None:
        """Notes that a checkpoint stands for all commits so far."""
        with self._lock:
            self.last, self.records = commit, 0

    def _apply(self, mirror: Mirror, steps: Sequence[Commit], entries: Sequence[Entry]) -> None:
        last = steps[-1]
        with self._access.exclusive():
            removed = {id_ for commit in steps for id_ in commit.removed}
            mirror.apply(entries, removed, last.commits)
            mirror.revision = last.revision
            mirror.next_id, mirror.next_vector = last.next_id, last.next_vector
            self._mirror, self.last = mirror, last
            self.records = len(steps) + (0 if steps[0].is_checkpoint else self.records)

    def sync(self, strong: bool = False) -> None:
        """Applies the commits that aren't applied yet.

        ``strong``: those of all processes up to now; otherwise what the server's node has got.

        Raises:
            DamageError: rows that were acknowledged are missing.
        """
        with self._lock:
            missing, attempt = "its log of commits is incomplete", 0
            # A restarted server answers before all of its segments are loaded again.
            address = self._client.address
            end = time.monotonic() + (0.0 if address.is_lite else address.timeout)
            while attempt < _TRIES or time.monotonic() < end:
                time.sleep(min(_PAUSE * attempt, _LONGEST_PAUSE))
                attempt += 1
                try:
                    done, missing = self._try(strong or attempt > 1)
                except KeyError:
                    continue
                if done:
                    self._looked = time.monotonic()
                    return
            raise DamageError(f"{self._client.place}: {missing}; restore a copy")

    def _try(self, strong: bool) -> tuple[bool, str]:
        """Whether the mirror is at the newest commit now, or else what is missing."""
        since = self._mirror.revision
        found = self._read(since, strong)
        steps = log.chain(found, since)
        mirror = self._mirror
        if steps is None:  # a checkpoint, or a commit of a writer that died
            mirror = Mirror(self._dim)
            steps = log.chain(self._read(-1, strong), -1)
        if steps is None or (since < 0 and not steps):
            return False, "it has no log of commits"
        if not steps:
            return True, ""
        read, entries, missing = self._entries(steps, strong)
        if missing:
            return False, missing
        self._apply(mirror, read, entries)
        return True, ""

    def _read(self, since: int, strong: bool) -> dict[int, Commit]:
        low = (since + 1) * log.PARTS
        return log.commits(self._client.scan(low, None, ["payload"], log=True, strong=strong))

    def _entries(
        self, steps: Sequence[Commit], strong: bool
    ) -> tuple[Sequence[Commit], list[Entry], str]:
        """(``steps`` and commits that came while this read, visible rows, what is missing of them).

        Other processes go on writing, and delete what they replace: a row that isn't there any more
        has to be removed by one of the commits that came.
        """
        base = steps[0] if steps[0].is_checkpoint else None
        found: dict[int, Entry] = {}
        if base is not None:
            for some in pieces(self._client, base, BARE, strong):
                found |= {int(one["id"]): self._entry(one) for one in some}
        there = frozenset(found)
        asked: set[int] = set()
        while True:
            live, removed = log.live_ids(steps)
            new = self._client.fetch(sorted(live - asked), BARE, strong=strong)
            asked |= live
            found |= {id_: self._entry(one) for id_, one in new.items()}
            missing = _missing(base, there, live, removed, found)
            if not missing:
                return steps, [one for id_, one in found.items() if id_ not in removed], ""
            last = steps[-1].revision
            later = log.chain(self._read(last, strong=True), last)
            if not later:
                return steps, [], missing
            steps = [*steps, *later]

    def _entry(self, found: dict[str, Any]) -> Entry:
        row = to_row(found, self._client.place, vectors=False)
        return Entry(int(found["id"]), int(found["vector_id"]), row)


def _missing(
    base: Commit | None,
    there: frozenset[int],
    live: set[int],
    removed: set[int],
    found: Mapping[int, Entry],
) -> str:
    """Which rows of a checkpoint and of the commits after it weren't ``found``; empty: none."""
    if base is not None:
        # Rows that a later commit removed are deleted at any time.
        later = {i for i in removed if base.first <= i < base.next_id} - there
        if (len(there) + len(later), sum(there) + sum(later)) != (base.count, base.total):
            return f"{len(there) + len(later)} of {base.count} rows are there"
    lacking = sum(id_ not in found for id_ in live)
    return f"{lacking} rows of acknowledged commits are missing" if lacking else ""


def pieces(
    client: Client, base: Commit, fields: Sequence[str], strong: bool = False
) -> Iterator[list[dict[str, Any]]]:
    """The entities of a checkpoint, piece by piece, by id."""
    edges = [base.first, *base.bounds, base.next_id]
    for low, high in pairwise(edges):
        if low < high:
            yield client.scan(low, high, fields, strong=strong)
