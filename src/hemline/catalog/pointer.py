"""Which store and bundle of a catalogue are live.

They are in the catalogue's folder itself until the first rebuild, and afterwards in ``rebuilt-1``,
``rebuilt-2`` …; the file ``live`` names the live part and is replaced in one step. All parts share
the copies of images. A later writer deletes the previous part, a minute after the change at the
earliest, so that running searches finish on the part they began with.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog.store import Store
from hemline.errors import DamageError
from hemline.files import read_regular, write_durable

if TYPE_CHECKING:
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import BundleEncoder

POINTER = "live"
GRACE = 60.0  # seconds until the previous part may be deleted
_NAME = re.compile(r"rebuilt-([1-9]\d*)")
#: The first part, in the catalogue's folder itself.
_FIRST = ("catalog.*", "bundle", "segments", "index")

Version = tuple[int, int]


class Live:
    """A store and the bundle that made its vectors, which a search uses from start to end.

    Attributes:
        folder: of both, or None in memory.
        version: of the pointer that named the folder.
    """

    def __init__(
        self, folder: Path | None, bundle: Bundle, store: Store, version: Version | None = None
    ) -> None:
        self.folder, self.bundle, self.store, self.version = folder, bundle, store, version
        self._encoder: BundleEncoder | None = None
        self._lock = threading.Lock()

    def encoder(self, threads: int | None = None) -> BundleEncoder:
        """The bundle's encoder, created by the first call, with its ``threads``."""
        from hemline.runtime.encoder import BundleEncoder

        with self._lock:
            if self._encoder is None:
                self._encoder = BundleEncoder(self.bundle, threads)
            return self._encoder

    def close(self) -> None:
        """Closes the store, but not one that a rebuild has replaced: searches may use that."""
        self.store.close()


def version(folder: Path) -> Version | None:
    """Modification time and inode of the pointer; None without a rebuild."""
    try:
        found = os.stat(folder / POINTER)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def live_folder(folder: Path) -> Path:
    """The folder of the live store and its bundle.

    Raises:
        DamageError: the pointer is damaged.
    """
    pointer = folder / POINTER
    try:
        text = read_regular(pointer).decode().strip()
    except FileNotFoundError:
        return folder
    except (OSError, UnicodeDecodeError) as error:
        raise DamageError(f"{pointer} can't be read: {error}") from None
    name, _, checksum = text.partition(" ")
    wrong = checksum not in ("", _checksum(name))  # earlier versions wrote none
    if wrong or _NAME.fullmatch(name) is None or not (folder / name).is_dir():
        raise DamageError(
            f"{pointer} is damaged: it names {name[:40]!r}, which isn't a part of this catalogue; "
            "restore it from a backup"
        )
    return folder / name


def part_number(place: Path) -> int:
    """N of a folder ``rebuilt-N``, 0 for the catalogue's folder itself."""
    found = _NAME.fullmatch(place.name)
    return int(found[1]) if found else 0


def make_live(folder: Path, place: Path) -> None:
    """Makes ``place`` (``rebuilt-N`` in ``folder``) the live part, durably."""
    write_durable(folder / POINTER, f"{place.name} {_checksum(place.name)}\n")


def _checksum(name: str) -> str:
    return f"{zlib.crc32(name.encode()):08x}"


def unfinished(folder: Path) -> list[Path]:
    """The folders of rebuilds that aren't live yet, oldest first."""
    least = part_number(live_folder(folder))
    found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name) and part_number(p) > least]
    return sorted(found, key=part_number)


def delete_old(folder: Path, discard: Callable[[Path], None]) -> int:
    """Deletes the previous part, `GRACE` after the swap; returns the number of paths deleted.

    The caller holds the write lock. ``discard`` drops what a part's store keeps elsewhere.
    """
    live = live_folder(folder)
    if live == folder or time.time() - os.stat(folder / POINTER).st_mtime < GRACE:
        return 0
    last = part_number(live)
    old = [p for p in folder.iterdir() if _NAME.fullmatch(p.name) and part_number(p) < last]
    for part in [*old, folder]:
        discard(part)
    old += [path for pattern in _FIRST for path in folder.glob(pattern)]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)
