"""Workers in threads of this process, in place of a Ray cluster."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from hemline.catalog.cluster.run import ClusterRun
from hemline.catalog.cluster.shards import Job
from hemline.catalog.cluster.worker import Setup, bundle_files, embed
from hemline.runtime.bundle import Bundle


class ThreadWorkers:
    """See `hemline.catalog.cluster.run.Workers`; ``spoil`` changes the file of a shard once."""

    capacity = 2

    def __init__(self, setup: Setup, bundle: Bundle, pool: ThreadPoolExecutor) -> None:
        self.setup, self.bundle, self.pool = setup, bundle, pool
        self.spoilt = 0

    def submit(self, name: str, jobs: Sequence[Job]) -> Hashable:
        return self.pool.submit(embed, self.setup, lambda: bundle_files(self.bundle), name, jobs)

    def wait(self, begun: Collection[Hashable]) -> list[tuple[Hashable, bytes]]:
        futures = [one for one in begun if isinstance(one, Future)]
        # The newest first: shards arrive in another order than they were begun.
        done = sorted(wait(futures, return_when=FIRST_COMPLETED).done, key=futures.index)
        return [(one, self._sent(one.result())) for one in reversed(done)]

    def _sent(self, data: bytes) -> bytes:
        if not self.spoilt:
            return data
        self.spoilt -= 1
        return data[:200] + bytes([data[200] ^ 1]) + data[201:]


class ThreadCluster:
    """Takes the place of `ray_run`; remembers its runs."""

    def __init__(self) -> None:
        self.runs: list[ClusterRun] = []
        self.spoil = 0

    @contextmanager
    def __call__(
        self, engine: str, setup: Setup, bundle: Bundle, folder: Path
    ) -> Iterator[ClusterRun]:
        with ThreadPoolExecutor(1) as pool:
            workers = ThreadWorkers(setup, bundle, pool)
            workers.spoilt = self.spoil
            self.runs.append(ClusterRun(workers, setup, folder))
            yield self.runs[-1]
            self.runs[-1].close()
