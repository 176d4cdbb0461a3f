"""Background jobs: started by one request, their progress read by others."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from hemline.errors import DataError, HemlineError
from hemline.service.logs import log
from hemline.service.problems import busy

_KEPT = 100
_WAITING = 8
_FAILED = "it failed; the server's log has more"


@dataclass(slots=True)
class Job:
    """One job.

    Attributes:
        kind: ``manifest`` or ``check``.
        state: ``waiting``, ``running``, ``done`` or ``failed``.
        done, total: progress.
        result: of a job that is done.
        error: why it failed, one line.
        begun: when it was queued, seconds since the epoch.
    """

    kind: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: str = "waiting"
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    error: str | None = None
    begun: float = field(default_factory=time.time)

    def advance(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def shown(self) -> dict[str, Any]:
        return asdict(self)


class Refused(DataError):
    """The given data can't be used; the message is about them alone and may be shown."""


class Ended(Exception):
    """Raised by a job when the server ends."""


class Jobs:
    """A queue of jobs and the one thread that runs them."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hemline-job")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self.ending = threading.Event()

    def begin(self, kind: str, work: Callable[[Job], dict[str, Any]]) -> Job:
        """Queues ``work``, which is called with its job to report progress.

        Raises:
            Problem: 503 where too many wait.
        """
        job = Job(kind)
        with self._lock:
            if sum(old.state in ("waiting", "running") for old in self._jobs.values()) >= _WAITING:
                raise busy("too many jobs are waiting; try again when one has ended", 10)
            self._jobs[job.id] = job
            for old in [o.id for o in self._jobs.values() if o.state in ("done", "failed")]:
                if len(self._jobs) > _KEPT:
                    del self._jobs[old]
        self._thread.submit(self._run, job, work)
        return job

    def get(self, own: str) -> Job | None:
        return self._jobs.get(own)

    def list(self) -> list[Job]:
        """All known jobs, the latest first."""
        return sorted(self._jobs.values(), key=lambda job: -job.begun)

    def close(self) -> None:
        """Ends the running job at its next step."""
        self.ending.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Job], dict[str, Any]]) -> None:
        job.state = "running"
        try:
            job.result = work(job)
            job.state = "done"
        except Ended:
            job.state, job.error = "failed", "the server ended; begin it again"
        except HemlineError as error:
            job.state, job.error = "failed", str(error) if isinstance(error, Refused) else _FAILED
            log("job failed", kind=job.kind, job=job.id, reason=str(error))
        except Exception as error:
            job.state, job.error = "failed", _FAILED
            log("job failed", exc=error, kind=job.kind, job=job.id)
