"""Embeds images in shards on many workers; a shard is written here as soon as it is done.

The command reads the shards in their order, so the catalogue gets the rows as without workers. A
killed worker's shard is made again by another; a killed command finds its finished shards.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hemline.catalog.cluster.shards import Encoded, Job, name_of, read
from hemline.catalog.cluster.worker import Setup
from hemline.catalog.intake.stamps import current
from hemline.errors import CatalogError, DamageError
from hemline.files import disk_full, write_durable

#: Images of a shard.
ROWS = 256
#: Shards that wait for the one before them, at most; they lie on the disk.
_WAITING = 4096
_TRIES = 3  # of a shard that arrives damaged


class Workers(Protocol):
    """Processes on some machines that run `hemline.catalog.cluster.worker.embed`."""

    @property
    def capacity(self) -> int:
        """Number of shards that can be made at the same time, now."""
        ...

    def submit(self, name: str, jobs: Sequence[Job]) -> Hashable:
        """Begins a shard."""
        ...

    def wait(self, begun: Collection[Hashable]) -> list[tuple[Hashable, bytes]]:
        """Waits until at least one of some begun shards is done; gives those with their files.

        Raises:
            CatalogError: one can't be made.
        """
        ...


@dataclass(slots=True)
class _Shard:
    name: str
    jobs: Sequence[Job]
    done: bool = False
    tries: int = 0


@dataclass(slots=True)
class ClusterRun:
    """One run over many shards.

    Attributes:
        workers: make the shards.
        setup: how images are embedded.
        folder: of the finished shards.
        resumed: number of shards that an earlier run had finished.
        made: number of shards made by this one.
    """

    workers: Workers
    setup: Setup
    folder: Path
    resumed: int = 0
    made: int = 0
    _given: deque[tuple[int, Path]] = field(default_factory=deque)
    _rows: int = 0

    def encoded(self, shards: Iterable[Sequence[Job]]) -> Iterator[list[Encoded]]:
        """The results of each of ``shards``, in their order.

        Raises:
            CatalogError: a shard can't be made, or the disk is full. Finished shards are kept.
        """
        coming = iter(shards)
        waiting: deque[_Shard] = deque()
        begun: dict[Hashable, _Shard] = {}
        more = True
        while more or waiting:
            while more and len(begun) < 2 * self.workers.capacity and len(waiting) < _WAITING:
                jobs = next(coming, None)
                if jobs is None:
                    more = False
                    break
                waiting.append(shard := self._found(jobs))
                if not shard.done:
                    begun[self.workers.submit(shard.name, jobs)] = shard
            if waiting and waiting[0].done:
                yield self._taken(waiting.popleft())
            elif begun:
                for handle, data in self.workers.wait(begun):
                    self._finish(begun, handle, data)

    def committed(self, rows: int) -> None:
        """Deletes the shards of the first ``rows`` images, which are in the catalogue."""
        while self._given and self._given[0][0] <= rows:
            self._given.popleft()[1].unlink(missing_ok=True)

    def close(self) -> None:
        """Deletes all shards, also of earlier runs: everything is in the catalogue."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, shard: _Shard) -> Path:
        return self.folder / f"{shard.name}.parquet"

    def _found(self, jobs: Sequence[Job]) -> _Shard:
        """A shard, done already if its file is intact and its images haven't changed since."""
        setup = self.setup
        shard = _Shard(name_of(jobs, setup.fingerprint, setup.crop, setup.copies), jobs)
        path = self._path(shard)
        try:
            rows = self._read(shard, path.read_bytes())
            if all(self._same(*one, path) for one in zip(jobs, rows, strict=True)):
                shard.done = True
                self.resumed += 1
        except (DamageError, OSError):
            pass
        return shard

    def _same(self, job: Job, row: Encoded, path: Path) -> bool:
        """Whether the image is still what the worker read, as far as can be told without it."""
        if not row.source:
            return True  # the command tries it itself
        if isinstance(job.source, Path):
            return current(job.source) == (row.size, row.changed)
        remote = self.setup.remote
        age = time.time() - path.stat().st_mtime
        return remote is not None and 0 <= age <= remote.max_age

    def _finish(self, begun: dict[Hashable, _Shard], handle: Hashable, data: bytes) -> None:
        """Writes a shard that has arrived; one that is damaged is made again."""
        shard = begun.pop(handle)
        try:
            self._read(shard, data)
        except DamageError as error:
            shard.tries += 1
            if shard.tries == _TRIES:
                raise CatalogError(
                    f"a worker's results arrived damaged {_TRIES} times ({error}); "
                    "run the same command again"
                ) from None
            begun[self.workers.submit(shard.name, shard.jobs)] = shard
            return
        try:
            write_durable(self._path(shard), data)
        except OSError as error:
            why = "the disk is full" if disk_full(error) else error.strerror
            raise CatalogError(
                f"{self.folder} can't be written: {why}. Finished shards are kept; free some "
                "space, then run the same command again"
            ) from error
        shard.done = True
        self.made += 1

    def _read(self, shard: _Shard, data: bytes) -> list[Encoded]:
        return read(data, shard.name, self.setup.fingerprint, len(shard.jobs))

    def _taken(self, shard: _Shard) -> list[Encoded]:
        path = self._path(shard)
        rows = self._read(shard, path.read_bytes())
        self._rows += len(rows)
        self._given.append((self._rows, path))
        return rows
