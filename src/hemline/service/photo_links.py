"""Photos that shoppers share by links: small crops and their encoding, each kept for a day.

A photo is two files in ``CATALOG/service/photos``, named by 128 random bits; the processes of a
service share the folder. A link searches with the stored encoding, which is of the photo as it was
sent; a rebuild with another bundle ends it.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hemline.errors import DatabaseError
from hemline.files import file_lock, make_folder, read_regular, write_durable
from hemline.service.problems import Problem, busy, unavailable

#: Seconds that a photo is kept.
DAY = 86_400
#: Most photos, and their bytes, of a catalogue. More are refused, as others' links are theirs.
MOST = 2_000
MOST_BYTES = 200 << 20
_EVERY = 600
_ID = re.compile(r"[0-9a-f]{32}")
_SUFFIX, _ENCODED, _LOCK = ".jpg", ".npz", "lock"


class PhotoLinks:
    """The shared photos of a catalogue."""

    def __init__(
        self,
        folder: Path,
        allowed: bool,
        *,
        seconds: float = DAY,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            folder: of the photos.
            allowed: whether the shop wants them; else those of earlier are deleted.
            seconds, most, most_bytes: how long each is kept, and how many.
            clock: seconds since 1970.
        """
        self._folder = folder
        self._begin(allowed, seconds, most, most_bytes, clock)

    def _begin(
        self, allowed: bool, seconds: float, most: int, most_bytes: int, clock: Callable[[], float]
    ) -> None:
        self.allowed, self._seconds, self._clock = allowed, seconds, clock
        self._most, self._most_bytes = most, most_bytes
        self._stop = threading.Event()
        if not allowed:
            self._forget()
            return
        self.sweep()
        threading.Thread(target=self._keep, name="hemline-photos", daemon=True).start()

    def put(self, data: bytes, encoded: bytes = b"") -> str:
        """Stores a JPEG and its encoding; their id.

        Raises:
            Problem: 404, links aren't allowed; 503, there are too many; 507, the disk is full.
        """
        self.check_allowed()
        name = secrets.token_hex(16)
        self._store(name, data, encoded)
        return name

    def _store(self, name: str, data: bytes, encoded: bytes) -> None:
        try:
            make_folder(self._folder, 0o700)
            with file_lock(self._folder / _LOCK, too_many(), timeout=5):
                self.sweep()
                kept = self._paths()
                photos = sum(path.suffix == _SUFFIX for path in kept)
                size = sum(path.stat().st_size for path in kept) + len(data) + len(encoded)
                if photos >= self._most or size > self._most_bytes:
                    raise too_many()
                if encoded:
                    write_durable(self._folder / f"{name}{_ENCODED}", encoded)
                write_durable(self._folder / f"{name}{_SUFFIX}", data)
        except OSError as error:
            raise unavailable(error, "the photo can't be kept") from None

    def get(self, name: str) -> bytes:
        """A photo by its id.

        Raises:
            Problem: 404, it isn't there, or no longer.
        """
        return self._read(name, _SUFFIX)

    def encoded(self, name: str) -> bytes:
        """The encoding of a photo by its id.

        Raises:
            Problem: 404, as `get`.
        """
        return self._read(name, _ENCODED)

    def _read(self, name: str, suffix: str) -> bytes:
        self.check_allowed()
        path = self._folder / f"{name}{suffix}"
        try:
            if self.is_id(name) and not self._is_old(path):
                return read_regular(path)
        except OSError:
            pass
        raise no_photo()

    def sweep(self) -> None:
        """Deletes the photos whose day is over."""
        for path in self._paths():
            with contextlib.suppress(OSError):
                if self._is_old(path):
                    path.unlink()

    def _forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Ends the sweeping."""
        self._stop.set()

    def _paths(self) -> list[Path]:
        """All files, also those that a kill left half written: they are of a photo, too."""
        return [path for path in self._folder.glob("*") if path.name != _LOCK]

    def _is_old(self, path: Path) -> bool:
        return self._clock() - path.stat().st_mtime >= self._seconds

    @staticmethod
    def is_id(name: str) -> bool:
        """Whether a name has the form of a photo's."""
        return _ID.fullmatch(name) is not None

    def check_allowed(self) -> None:
        """
        Raises:
            Problem: 404, links aren't allowed.
        """
        if not self.allowed:
            raise Problem(404, "no-links", "this shop keeps no photos for links")

    def _keep(self) -> None:
        while not self._stop.wait(_EVERY):
            with contextlib.suppress(DatabaseError):  # the next round tries again
                self.sweep()


def no_photo() -> Problem:
    return Problem(404, "no-photo", "there is no such photo, or its day is over")


def too_many() -> Problem:
    return busy("too many photos are shared right now; try again later", 60)
