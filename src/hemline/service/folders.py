"""Temporary folders that no kill leaves behind for good.

A folder is locked while one of its processes lives; a lock ends with its process, whatever ends it.
The next one to make such a folder deletes those that nobody has locked.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl

#: Prefix of uploads' folders.
UPLOAD = "upload-"


class TemporaryFolder:
    """A new folder, readable by this user only, until `close` or until its processes have ended.

    Attributes:
        path: of the folder.
    """

    def __init__(self, place: Path, prefix: str) -> None:
        """
        Args:
            place: where it is made; abandoned ones are deleted there.
            prefix: of its name, and of those that are deleted.
        """
        sweep(place, prefix)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            self._lock = join(self.path)
            if self.path.exists():  # else it was swept before it was locked
                return
            self._unlock()

    def close(self) -> None:
        """Deletes it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def join(folder: Path) -> int | None:
    """Locks a folder for this process too, until it ends; the file descriptor of the lock."""
    if sys.platform == "win32":
        return None
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:  # a file system without locks: nothing is swept there either
        os.close(lock)
        return None
    return lock


def sweep(place: Path, prefix: str) -> None:
    """Deletes the folders of processes that have ended."""
    if sys.platform == "win32":
        return
    for folder in place.glob(f"{prefix}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use
            continue
        finally:
            os.close(lock)
