"""Workers on a Ray cluster.

Each shard is a task: Ray runs it on whichever machine has a free processor, and again on another
when its worker or machine is lost. A machine that joins gets the next tasks.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hemline.catalog.cluster.engine import RAY
from hemline.catalog.cluster.run import ClusterRun
from hemline.catalog.cluster.shards import Job
from hemline.catalog.cluster.worker import Setup, bundle_files, embed
from hemline.errors import CatalogError, HemlineError, UsageError
from hemline.runtime.bundle import Bundle

#: Times that a shard is made again after its worker or machine was lost.
RETRIES = 10
_PATIENCE = 10.0  # seconds to reach a cluster


@contextmanager
def ray_run(engine: str, setup: Setup, bundle: Bundle, folder: Path) -> Iterator[ClusterRun]:
    """A run on the cluster of RAY_ADDRESS or of this machine (``ray``), or on that of a Ray client
    server (``ray://HOST:PORT``). Its shards are deleted when the block ends without an error.

    Args:
        engine: which cluster.
        setup: how images are embedded.
        bundle: is sent to the workers.
        folder: of the finished shards.

    Raises:
        UsageError: Ray isn't installed.
        CatalogError: the cluster can't be reached.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError(
            f"the engine {engine} needs ray, which isn't installed; pip install 'hemline[ray]' "
            "brings it"
        ) from None
    own = not ray.is_initialized()
    if own:
        # A cluster that this command starts reports nothing to Ray's makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        address = None if engine == RAY else engine
        _check_reached(engine, address or os.environ.get("RAY_ADDRESS", ""))
        try:
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        except Exception as error:  # Ray has no common error class of its own for this
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise CatalogError(f"the cluster of {engine} can't be reached: {reason}") from None
    try:
        run = ClusterRun(RayWorkers(setup, ray.put(bundle_files(bundle))), setup, folder)
        yield run
        run.close()
    finally:
        if own:
            ray.shutdown()


def _check_reached(engine: str, address: str) -> None:
    """Ray itself tries for minutes where nobody listens.

    Raises:
        CatalogError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # of this machine, or in another form of Ray's
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        raise CatalogError(
            f"the cluster of {engine} can't be reached: {host}:{port}: {error.strerror or error}"
        ) from None


class RayWorkers:
    """See `hemline.catalog.cluster.run.Workers`."""

    def __init__(self, setup: Setup, files: Any) -> None:
        """
        Args:
            setup: of the run.
            files: Ray's reference to those of the bundle.
        """
        import ray

        self._ray: Any = ray
        self._setup, self._files = setup, files
        self._task: Any = ray.remote(_embed).options(num_cpus=1, max_retries=RETRIES)

    @property
    def capacity(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, name: str, jobs: Sequence[Job]) -> Hashable:
        # In a list Ray passes the reference on, and no copy of the files to each task.
        task: Hashable = self._task.remote(self._setup, [self._files], name, list(jobs))
        return task

    def wait(self, begun: Collection[Hashable]) -> list[tuple[Hashable, bytes]]:
        done, _ = self._ray.wait(list(begun), num_returns=1)
        return [(handle, self._result(handle)) for handle in done]

    def _result(self, handle: Hashable) -> bytes:
        """
        Raises:
            HemlineError: the worker's own.
            CatalogError: the worker couldn't be started, or was lost too often.
        """
        try:
            data: bytes = self._ray.get(handle)
            return data
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, HemlineError):
                raise type(error.cause)(str(error.cause)) from None
            raise CatalogError(
                f"a worker failed: {_last_line(error)}; is the same hemline installed on each "
                "machine? Finished shards are kept: run the same command again"
            ) from None
        except self._ray.exceptions.RayError as error:
            raise CatalogError(
                f"a shard couldn't be made in {RETRIES + 1} tries: {_last_line(error)}. Finished "
                "shards are kept: run the same command again"
            ) from None


def _embed(setup: Setup, files: Sequence[Any], name: str, jobs: Sequence[Job]) -> bytes:
    """`embed` as a task."""
    import ray

    return embed(setup, lambda: ray.get(files[0]), name, jobs)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
