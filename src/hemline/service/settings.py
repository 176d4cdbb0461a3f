"""How a service runs: where it listens, what it allows, and where it keeps its own state."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from hemline.errors import UsageError

#: The folder of a catalogue in which the service keeps its keys and its journal.
STATE = "service"
MEGA = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that ``hemline serve`` can be told.

    Attributes:
        catalog: the catalogue's folder.
        host, port: where it listens.
        names: further names under which browsers may call it, beside its own address.
        cors: origins of other pages that may call it (``https://shop.example``).
        workers: processes.
        threads: of one run of the street tower; by default all cores but one, or a worker's share.
        max_body: bytes of a request, and of one line of a bulk upload.
        max_upload: bytes of an uploaded manifest with its pictures, also when unpacked.
        max_pixels: of a picture.
        queue: requests that wait for an answer at most; one more is told to come again.
        batch: photos to one run of the street tower.
        timeout: seconds that an answer may take.
        slow: seconds in which a request's body has to come, and each part of a long one.
        rate: requests a second for each key, over time.
        keep_photos: whether query photos are kept, for the export of triplets.
        samples: folder of photos that the page offers to start with.
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
    max_pixels: int = 50_000_000
    queue: int = 64
    batch: int = 16
    timeout: float = 30.0
    slow: float = 20.0
    rate: float = 100.0
    keep_photos: bool = False
    samples: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"a port is from 0 to 65535, not {self.port}")
        for name in ("workers", "max_body", "max_upload", "max_pixels", "queue", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")
        for name in ("timeout", "slow", "rate"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is more than 0, not {getattr(self, name)}")
        for origin in self.cors:
            if not origin.startswith(("http://", "https://")) or origin.rstrip("/") != origin:
                raise UsageError(
                    f"an origin is like https://shop.example, without a path, not {origin!r}"
                )

    @property
    def state(self) -> Path:
        """Where keys and journal lie."""
        return self.catalog / STATE

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
