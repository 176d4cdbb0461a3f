"""What each measured system does, and what is asked of the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from _truth import Condition
from _vectors import Data, Floats, Ints

from hemline.evaluation.machine import processor
from hemline.evaluation.machine import versions as versions

THREADS = 2


class System(Protocol):
    """One system over one set of vectors, in a process of its own."""

    @property
    def package(self) -> str: ...

    @property
    def settings(self) -> str: ...

    #: Settings that trade time for recall, from fast to careful; the benchmark takes the first that
    #: reaches the recall on queries kept for that.
    @property
    def effort_levels(self) -> Sequence[Any]: ...

    def build(self, folder: Path, data: Data) -> dict[str, float]:
        """Takes in every row and builds; ``ingest_s`` and ``build_s``; on the disk at the end."""
        ...

    def open(self, folder: Path, data: Data) -> None:
        """What a new process does before its first answer."""
        ...

    def use(self, setting: Any) -> None:
        """Sets one of `effort_levels`."""
        ...

    def search(self, query: Floats, k: int, condition: Condition | None) -> Any:
        """The nearest ``k`` to ``query`` (D,), as the system gives them."""
        ...

    def search_many(self, queries: Floats, k: int) -> Any:
        """`search` for each of (Q, D), as the system does it best."""
        ...

    def rows(self, found: Any) -> Ints:
        """Row numbers (k,) of an answer of `search`; outside of the measured time."""
        ...


def memory() -> dict[str, int]:
    """Bytes of this process: ``anonymous`` (its own) and ``file`` (pages of mapped files)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if " kB" in line}
    return {"anonymous": found["RssAnon"], "file": found["RssFile"], "peak": found["VmHWM"]}


def disk(folder: Path) -> int:
    """Bytes that the files of a folder take up."""
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def load() -> float:
    """Processes that ran or waited over the last minute."""
    return round(os.getloadavg()[0], 2)


def machine() -> dict[str, Any]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory_gb": round(total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
