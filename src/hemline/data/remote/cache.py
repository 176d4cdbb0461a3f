"""What was fetched, in a folder: images by a hash of their address, also half-fetched ones.

``ab/HASH.image`` is an image, ``HASH.json`` what the server said of it; ``HASH.part`` and
``HASH.part.json`` are those of an image whose rest is still to be fetched. All of it may be lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hemline.data.image_headers import MAGIC_BYTES, check_kind
from hemline.data.remote.addresses import Address
from hemline.errors import ImageError
from hemline.files import file_lock, write_atomic
from hemline.parsing import parse_json

#: Trimmed to this share of its limit.
_TRIMMED = 0.9
_WAIT = 600.0  # seconds for another thread or process that fetches the same image


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of an image a server sent.

    Attributes:
        tag: its ETag, or empty.
        modified: its Last-Modified, or empty.
        size: in bytes; -1 unknown.
        checked: the time of `time.time` at which the server was asked.
    """

    tag: str = ""
    modified: str = ""
    size: int = -1
    checked: float = 0.0

    @property
    def strong(self) -> str:
        """What makes sure that two parts are of one version; empty: nothing does."""
        return "" if self.tag.startswith("W/") else self.tag


class Entry:
    """An image's place in the cache; one thread at a time uses it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._max = max_bytes
        self._about = path.with_suffix(".json")
        self._part = path.with_suffix(".part")
        self._part_about = path.with_suffix(".part.json")

    def version(self) -> Version | None:
        """That of the image here; None: there is none."""
        found = _read(self._about)
        with contextlib.suppress(OSError):
            if found is not None and self.path.stat().st_size == found.size:
                return found
        return None

    def seen(self, version: Version) -> None:
        """The server has this version still."""
        write_atomic(self._about, json.dumps(asdict(version)))

    def forget(self) -> None:
        """Nothing of the image stays."""
        for file in (self._about, self.path):
            file.unlink(missing_ok=True)
        self.forget_part()

    def forget_part(self) -> None:
        """What has been fetched of it isn't continued."""
        for file in (self._part_about, self._part):
            file.unlink(missing_ok=True)

    # An image that is being fetched

    def begun(self) -> tuple[int, Version]:
        """Number of bytes that are there already, and of which version."""
        found = _read(self._part_about)
        with contextlib.suppress(OSError):
            if found is not None and found.strong:
                return self._part.stat().st_size, found
        return 0, Version()

    @contextmanager
    def receive(self, version: Version, at: int = 0) -> Iterator[Receiver]:
        """Takes the bytes of a version from ``at`` on; the image is whole when the block ends.

        Raises:
            ImageError: they are no image, or too many; a clause that follows the address.
        """
        self.check_size(version.size)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._part_about, json.dumps(asdict(version)))
        try:
            with open(self._part, "r+b" if at else "wb") as stream:
                stream.seek(at)
                stream.truncate()
                receiver = Receiver(stream.write, self._max, at)
                yield receiver
            receiver.end()
        except ImageError:
            self.forget_part()
            raise
        final = Version(version.tag, version.modified, receiver.size, now())
        self._about.unlink(missing_ok=True)
        os.replace(self._part, self.path)
        self._part_about.unlink(missing_ok=True)
        self.seen(final)

    def check_size(self, size: int) -> None:
        """
        Raises:
            ImageError: more bytes than are fetched.
        """
        if size > self._max:
            raise _too_large(self._max)


class Receiver:
    """Bytes of an image, as they arrive."""

    def __init__(self, write: Callable[[bytes], object], most: int, size: int) -> None:
        self._write, self._most = write, most
        self._start = b""
        self._known = size > 0
        self.size = size

    def __call__(self, data: bytes) -> None:
        """
        Raises:
            ImageError: what arrived so far is no image, or too much.
        """
        self.size += len(data)
        if self.size > self._most:
            raise _too_large(self._most)
        if not self._known:
            self._start += data[:MAGIC_BYTES]
            if len(self._start) >= MAGIC_BYTES:
                self.end()
        self._write(data)

    def end(self) -> None:
        """
        Raises:
            ImageError: it is no image.
        """
        if not self._known:
            check_kind(self._start[:MAGIC_BYTES])
            self._known = True


class RemoteCache:
    """The folder; used by many threads and processes."""

    def __init__(self, folder: Path, max_bytes: int, cache_bytes: int) -> None:
        """
        Args:
            folder: is created.
            max_bytes: of one image.
            cache_bytes: of all.
        """
        self.folder = folder
        self._max, self._limit = max_bytes, cache_bytes
        self._used: int | None = None
        self._lock = threading.Lock()

    def path(self, address: Address) -> Path:
        """The file of an address, which need not be there."""
        name = hashlib.sha256(address.lasting.encode(errors="backslashreplace")).hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.image"

    @contextmanager
    def entry(self, address: Address) -> Iterator[Entry]:
        """Its entry, for one thread of one process at a time.

        Raises:
            ImageError: another one holds it for minutes.
        """
        path = self.path(address)
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        busy = ImageError("is being fetched by another process for minutes; try again later")
        with file_lock(locks / path.parent.name, busy, _WAIT):
            yield Entry(path, self._max)

    def added(self, size: int) -> None:
        """An image of so many bytes came in: others leave where all are too many."""
        with self._lock:
            if self._used is None:
                self._used = sum(found.st_size for _, found in self._files())
            else:
                self._used += size
            if self._used > self._limit:
                self._used = self._trim()

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """All files but those that another thread has just replaced or deleted."""
        for file in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                yield file, file.stat()

    def _trim(self) -> int:
        """Deletes the images that were asked for longest ago; gives the bytes that are left."""
        groups: dict[Path, list[os.stat_result]] = {}
        for file, found in self._files():
            groups.setdefault(file.parent / file.name.partition(".")[0], []).append(found)
        used = sum(one.st_size for own in groups.values() for one in own)
        for stem, own in sorted(groups.items(), key=lambda one: max(s.st_mtime for s in one[1])):
            if used <= _TRIMMED * self._limit:
                break
            Entry(stem.with_suffix(".image"), self._max).forget()
            used -= sum(one.st_size for one in own)
        return used


def now() -> float:
    return time.time()


def _read(path: Path) -> Version | None:
    try:
        return Version(**parse_json(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _too_large(most: int) -> ImageError:
    return ImageError(f"has more than the {most / 2**20:,.0f} MiB that are fetched (max_bytes)")
