"""The write lock of a catalogue, and the lock of the index between the threads of a process.

Unlike `hemline.files.file_lock`, the write lock tells whether its last holder died, names the
process that holds it, and may be taken again by the thread that holds it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hemline.budget import check_time
from hemline.errors import CatalogBusy, CatalogError

_LOOK = 0.25  # seconds between two looks at the clock of a query that waits

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            # A byte far beyond the content, so that others can read the holder's number.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


class WriterLock:
    """Held by one thread of one process, which may acquire it several times.

    While it is held, the file has the process number of its holder; on release it is emptied. So a
    number that the next holder finds says that the last one died.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._depth = 0
        self._file: BinaryIO | None = None  # which closes itself if an error cuts in anywhere
        self._died = False
        self._clean = True

    def acquire(self) -> bool:
        """Acquires it; True if the last holder died or failed.

        Raises:
            CatalogBusy: another thread or process holds it.
            CatalogError: the folder can't be written to.
        """
        if not self._thread.acquire(blocking=False):
            raise CatalogBusy(f"another thread writes to {self._path.parent}; wait until it ends")
        try:
            if self._depth == 0:
                self._died = self._lock()
            self._depth += 1
        except BaseException:
            if self._depth == 0:
                self._file = None
            self._thread.release()
            raise
        return self._died

    def _lock(self) -> bool:
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            file = os.fdopen(os.open(self._path, flags, 0o644), "r+b", buffering=0)
        except OSError as error:
            raise CatalogError(
                f"{self._path.parent} can't be written to: {error.strerror}"
            ) from None
        if not _try_lock(file.fileno()):
            with file:
                holder = _holder(file)
            raise CatalogBusy(
                f"{self._path.parent} is being written to by another process{holder}; "
                "wait until it ends (searching is not blocked)"
            )
        died = True  # also if that can't be read
        with contextlib.suppress(OSError):  # on a full disk it is held without the number
            died = bool(_holder(file))
            file.truncate(0)
            file.seek(0)
            file.write(str(os.getpid()).encode())
        self._file = file
        self._clean = True
        return died

    def release(self, clean: bool = True) -> None:
        """Releases it; if not ``clean``, the number stays, as if the holder had died."""
        self._depth -= 1
        self._clean = self._clean and clean
        try:
            if self._depth == 0 and self._file is not None:
                file, self._file = self._file, None
                with file, contextlib.suppress(OSError):  # the next holder takes this one for dead
                    if self._clean:
                        file.truncate(0)
        finally:
            self._thread.release()


class SharedLock:
    """A readers-writer lock that prefers writers; not reentrant."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._sharing = 0
        self._exclusive = False
        self._pending = 0

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._state:
            self._wait(lambda: not self._exclusive and not self._pending)
            self._sharing += 1
        try:
            yield
        finally:
            with self._state:
                self._sharing -= 1
                if not self._sharing:
                    self._state.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._state:
            self._pending += 1
            try:
                self._wait(lambda: not self._exclusive and not self._sharing)
            except BaseException:
                self._state.notify_all()
                raise
            finally:
                self._pending -= 1
            self._exclusive = True
        try:
            yield
        finally:
            with self._state:
                self._exclusive = False
                self._state.notify_all()

    def _wait(self, free: Callable[[], bool]) -> None:
        """
        Raises:
            TimeLimitError: the present query's time is over.
        """
        while not free():
            check_time()
            self._state.wait(_LOOK)


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    text = file.read(20).decode(errors="replace").strip()
    return f" (process {text})" if text else ""
