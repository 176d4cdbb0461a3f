"""Settings of the service: its address, its limits and its folder."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from hemline.errors import UsageError
from hemline.limits import MAX_SENT_PIXELS, QueryLimits

#: The folder within a catalogue for the service's keys and journal.
STATE = "service"
MEGA = 1 << 20
_MEMORY = 1536 * MEGA  # of one process


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of ``hemline serve``.

    Attributes:
        catalog: the catalogue's folder.
        host, port: address to listen at.
        names: further host names of the service.
        cors: origins of other sites whose pages may call it (``https://shop.example``).
        workers: number of processes.
        threads: of the street tower in each process; by default its share of the cores.
        max_body: bytes of a request, and of one line of a bulk upload.
        max_upload: bytes of an uploaded manifest with its images, also when unpacked.
        max_pixels: of an image.
        memory: bytes for the bodies and images of all requests, in all processes together; 0 is
            1.5 GiB for each process.
        queue: most requests in work or waiting; further ones get 503.
        timeout: seconds for an answer.
        slow: seconds for a request's body, and between the pieces of a long one.
        rate: average requests a second of each key.
        keep_photos: whether query photos are stored, for the export of triplets.
        samples: folder of sample photos for the page.
    """

    catalog: Path
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    workers: int = 1
    threads: int | None = None
    max_body: int = 20 * MEGA
    max_upload: int = 2048 * MEGA
    max_pixels: int = MAX_SENT_PIXELS
    memory: int = 0
    queue: int = 64
    timeout: float = 30.0
    slow: float = 20.0
    rate: float = 100.0
    keep_photos: bool = False
    samples: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"a port is from 0 to 65535, not {self.port}")
        for name in ("workers", "max_body", "max_upload", "max_pixels", "queue"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.memory < 0:
            raise UsageError(f"memory is a number of bytes, not {self.memory}")
        for name in ("timeout", "slow", "rate"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is more than 0, not {getattr(self, name)}")
        for origin in self.cors:
            if not origin.startswith(("http://", "https://")) or origin.rstrip("/") != origin:
                raise UsageError(
                    f"an origin is like https://shop.example, without a path, not {origin!r}"
                )

    @property
    def limits(self) -> QueryLimits:
        """What one query may cost, before a key's own limits."""
        return QueryLimits(pixels=self.max_pixels, seconds=self.timeout)

    @property
    def state(self) -> Path:
        """The folder of keys and journal."""
        return self.catalog / STATE

    @property
    def memory_share(self) -> int:
        """Bytes for the bodies and images of one process."""
        return self.memory // self.workers or _MEMORY

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
