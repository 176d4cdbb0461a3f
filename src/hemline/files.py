"""Durable writes, file locks, and the user's data folder.

A write goes to a temporary file or folder beside its target, is synced, takes the target's name,
and the parent folder is synced. So after a crash or a power cut the target is the old one or the
new one, never part of it, and once the function has returned it is the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


def write_durable(path: Path, data: bytes | str, *, mode: int | None = None) -> None:
    """Writes a file durably (text as UTF-8), and creates the folders above it.

    Surrogates from undecodable file names become backslash escapes.

    Args:
        path: the file to create or replace.
        data: its whole content.
        mode: its permissions from the start, such as 0o600; by default those of a new file.

    Raises:
        OSError: it can't be written; the previous file is unchanged.
    """
    with durable_path(path) as temporary:
        _write(temporary, data, mode)


@contextlib.contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a binary stream whose content becomes ``path`` durably when the block ends.

    Raises:
        OSError: it can't be written; the previous file is unchanged, as it is when the block
            raises.
    """
    with durable_path(path) as temporary, temporary.open("xb") as stream:
        yield stream


@contextlib.contextmanager
def durable_path(path: Path, *, sync_parent: bool = True) -> Iterator[Path]:
    """`durable_file` for writers that need a path: yields that of a temporary file to create.

    Without ``sync_parent`` the caller syncs the parent folder, once for many files.
    """
    make_folder(path.parent)
    temporary = _temporary(path)
    try:
        yield temporary
        sync_file(temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if sync_parent:
        sync_folder(path.parent)


@contextlib.contextmanager
def durable_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary folder that becomes ``target`` durably when the block ends.

    Where the block raises, the folder is deleted. ``replace`` as in `publish_folder`.
    """
    make_folder(target.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        publish_folder(temporary, target, replace=replace)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def publish_folder(temporary: Path, target: Path, *, replace: bool = False) -> None:
    """Syncs a finished folder with all it holds, renames it to ``target``, and syncs the parent.

    Args:
        temporary: the finished folder, beside ``target``.
        target: its name from now on; an empty folder of that name is replaced.
        replace: also replaces a folder with content. A crash between the two renames this takes
            leaves the old one as ``.NAME.HEX.old``.

    Raises:
        OSError: something is in its place, or it can't be written.
    """
    sync_tree(temporary)
    old = None
    if replace and target.exists():
        old = target.with_name(f"{_temporary(target).name}.old")
        os.rename(target, old)
    elif target.is_dir():
        target.rmdir()
    try:
        os.rename(temporary, target)
    except OSError:
        if old is not None:
            os.rename(old, target)
        raise
    sync_folder(target.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replaces a file in one step without syncing: for caches and for what can be made again.

    A power cut may leave it empty. Raises as `write_durable`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        _write(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file for reading; never waits, as opening a pipe would.

    Raises:
        OSError: it can't be opened, or is a folder, pipe, socket or device.
    """
    name = os.fspath(path)
    if not stat.S_ISREG(os.stat(name).st_mode):  # to open a device may have effects of its own
        raise _irregular(name)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(name, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # replaced meanwhile
        os.close(descriptor)
        raise _irregular(name)
    return os.fdopen(descriptor, "rb")


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The content of a regular file. Raises as `open_regular`."""
    with open_regular(path) as stream:
        return stream.read()


def _irregular(name: str) -> OSError:
    if os.path.isdir(name):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    return OSError(errno.EINVAL, "it is a pipe, socket or device", name)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path with links resolved; a loop of links stays, and fails when opened."""
    return Path(os.path.realpath(path))


def disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that the disk (or a quota) is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
            return True
        error = error.__cause__
    return False


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Creates a folder and those above it, and syncs the parent of each new one.

    Args:
        mode: permissions of the folder itself.
    """
    missing = []
    above = path
    while not above.is_dir():
        missing.append(above)
        above = above.parent
    for folder in reversed(missing):
        folder.mkdir(mode if folder == path else 0o777, exist_ok=True)
        sync_folder(folder.parent)


def sync_tree(folder: Path) -> None:
    """Syncs every file and folder below ``folder``, and the folder itself."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            sync_file(path)
    sync_folder(folder)


def sync_file(path: Path) -> None:
    """Brings a file's content to the disk."""
    _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, where the system can do that."""
    if os.name == "nt":  # which opens no folder
        return
    try:
        _sync(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to but not read
        pass
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs no folder
            raise


@contextlib.contextmanager
def file_lock(path: Path, busy: Exception, timeout: float = 0.0) -> Iterator[None]:
    """Holds a lock file exclusively, between threads and processes; it ends with its process.

    Args:
        path: the lock file, which is created and stays.
        busy: raised where another thread or process still holds it.
        timeout: how many seconds to wait for it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        lock.release()


def home() -> Path:
    """``HEMLINE_HOME``, or the platform's folder for a user's data."""
    named = os.environ.get("HEMLINE_HOME")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("hemline", appauthor=False))


def _temporary(path: Path) -> Path:
    """A new hidden name beside ``path``, short enough for every file system."""
    return path.with_name(f".{path.name[:80]}.{uuid4().hex[:8]}")


def _write(path: Path, data: bytes | str, mode: int | None = None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o666 if mode is None else mode), "wb") as file:
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
