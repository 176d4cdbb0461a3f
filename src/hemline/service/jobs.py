"""Long work that goes on by itself: begun by one request, asked about by others."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from hemline.errors import DataError, HemlineError
from hemline.service.logs import log
from hemline.service.problems import busy

_KEPT = 100
_WAITING = 8
_FAILED = "it failed; the server's log has more"


@dataclass(slots=True)
class Job:
    """One piece of work.

    Attributes:
        id, kind: what it is.
        state: ``waiting``, ``running``, ``done`` or ``failed``.
        done, total: how far it is.
        result: what it gave.
        error: why it failed, one line.
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
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "result": self.result,
            "error": self.error,
            "begun": self.begun,
        }


class Refused(DataError):
    """What was given can't be used; its words are about that alone, and may be told."""


class Ended(Exception):
    """Raised inside a job when the server ends."""


class Jobs:
    """One job after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hemline-job")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self.ending = threading.Event()

    def begin(self, kind: str, work: Callable[[Job], dict[str, Any]]) -> Job:
        """Queues ``work``, which is given its job to tell how far it is.

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
        """The latest first."""
        return sorted(self._jobs.values(), key=lambda job: -job.begun)

    def close(self) -> None:
        """Ends the running one at its next step."""
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
