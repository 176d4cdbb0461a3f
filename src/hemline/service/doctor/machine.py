"""Checks of the machine: versions, room on the disk, who may read and write."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from hemline import __version__
from hemline.service.doctor.finding import Finding, failure, fine, warning

MEGA = 1 << 20
_FULL, _LITTLE = 100 * MEGA, 1024 * MEGA  # bytes free
_INODES = 1000
_SAMPLE = 200  # copies of images whose permissions are read
_RUNTIME = ("onnxruntime", "faiss-cpu", "numpy", "pillow")
_SERVICE = ("fastapi", "uvicorn", "httptools")


def versions() -> Iterator[Finding]:
    """Of hemline and of the libraries that answer."""
    found = {name: _version(name) for name in (*_RUNTIME, *_SERVICE)}
    own = f"hemline {__version__}, Python {platform.python_version()}, SQLite"
    libraries = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    yield fine("versions", f"{own} {sqlite3.sqlite_version}, {libraries}")
    lacking = [name for name in _RUNTIME if not found[name]]
    if lacking:
        yield failure("versions", f"{', '.join(lacking)}: not there", "pip install hemline")
    if any(not found[name] for name in _SERVICE):
        advice = "pip install 'hemline[serve]', without which 'hemline serve' ends"
        yield failure("versions", "the service's packages are not there", advice)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def disk(catalog: Path, rebuilt: int) -> Iterator[Finding]:
    """Whether there is room to write.

    Args:
        catalog: its folder.
        rebuilt: bytes that a rebuild writes beside the live store.
    """
    free = shutil.disk_usage(catalog).free
    found = f"{_size(free)} free; a rebuild takes {_size(rebuilt)}"
    if free < _FULL:
        yield failure("disk", found, "free some room: writes are about to fail with 507")
    elif free < max(_LITTLE, 2 * rebuilt):
        yield warning(
            "disk", found, "free some room, before a rebuild or a large sync at the latest"
        )
    else:
        yield fine("disk", found)
    if hasattr(os, "statvfs"):
        nodes = os.statvfs(catalog)
        if nodes.f_files > 0 and nodes.f_favail < _INODES:
            advice = "delete small files, or move to a file system with more inodes"
            yield failure("disk", f"{nodes.f_favail} more files fit on the disk", advice)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def permissions(catalog: Path) -> Iterator[Finding]:
    """Whether this user may read all and write, and whether all files have the folder's owner."""
    whose = f"run this as the service's user, or chown -R the folder {catalog} to that user"
    files = [path for path in (catalog, *_files(catalog)) if not path.is_symlink()]
    locked = [path for path in files if not _may(path, os.R_OK)]
    if locked:
        found = f"{_first(catalog, locked)} can't be read by this user"
        yield failure("permissions", found, whose)
    closed = [path for path in files if not _may(path, os.W_OK)]
    if closed and not locked:
        found = f"{_first(catalog, closed)} can't be written by this user"
        yield warning("permissions", found, f"searches work and changes fail: {whose}")
    owner = catalog.stat().st_uid
    others = [path for path in files if path.lstat().st_uid != owner]
    if others:
        found = f"{_first(catalog, others)} isn't the folder's owner's"
        yield warning("permissions", found, f"chown -R the folder {catalog} to the service's user")
    open_ = [path for path in files if path.lstat().st_mode & stat.S_IWOTH and os.name != "nt"]
    if open_:
        found = f"{_first(catalog, open_)} can be written by every user of this machine"
        yield failure("permissions", found, f"chmod -R o-w {catalog}")
    if not (locked or closed or others or open_):
        yield fine("permissions", f"{len(files)} files and folders read, written by their owner")


def _files(catalog: Path) -> Iterator[Path]:
    """What lies in the catalogue, of the copies of images some."""
    for path in catalog.iterdir():
        if path.name == "pictures" and path.is_dir() and _may(path, os.R_OK):
            yield path
            yield from islice(path.rglob("*"), _SAMPLE)
        elif path.is_dir() and not path.is_symlink() and _may(path, os.R_OK):
            yield path
            yield from path.rglob("*")
        else:
            yield path


def _may(path: Path, how: int) -> bool:
    if path.is_dir():
        how |= os.X_OK
    return os.access(path, how)


def _first(catalog: Path, paths: list[Path]) -> str:
    first = str(paths[0].relative_to(catalog)) if paths[0] != catalog else "the folder itself"
    return first + (f" (and {len(paths) - 1} more)" if len(paths) > 1 else "")
