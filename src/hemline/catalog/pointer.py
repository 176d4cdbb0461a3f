"""Which store and bundle of a catalogue's folder are live.

They lie in the folder itself until the first rebuild, afterwards in ``rebuilt-1``, ``rebuilt-2`` …;
the file ``live`` names the one that counts and is replaced in one step. Copies of pictures are
shared by all of them. What was live before is deleted by a later writer, a minute after the change
at the earliest, so that a search that is under way ends on what it began with.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog.store import Store
from hemline.errors import CatalogError
from hemline.files import write_durable

if TYPE_CHECKING:
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import BundleEncoder

POINTER = "live"
GRACE = 60.0  # seconds
_NAME = re.compile(r"rebuilt-([1-9]\d*)")
#: What of the catalogue's folder itself belongs to its first store.
_FIRST = ("catalog.*", "bundle", "segments", "index")

Stamp = tuple[int, int]


class Live:
    """A store and the bundle that made its vectors; what one search sees from its start to its end.

    Attributes:
        home: where both lie, or None in memory.
        stamp: of the pointer that named it.
    """

    def __init__(
        self, home: Path | None, bundle: Bundle, store: Store, stamp: Stamp | None = None
    ) -> None:
        self.home, self.bundle, self.store, self.stamp = home, bundle, store, stamp
        self._encoder: BundleEncoder | None = None
        self._lock = threading.Lock()

    def encoder(self, threads: int | None = None) -> BundleEncoder:
        """The bundle's encoder, made once; ``threads`` counts at the first call."""
        from hemline.runtime.encoder import BundleEncoder

        with self._lock:
            if self._encoder is None:
                self._encoder = BundleEncoder(self.bundle, threads)
            return self._encoder

    def close(self) -> None:
        """Closes the store; what was replaced by a rebuild is closed by nobody but its last user's
        end, as searches may be under way in it.
        """
        self.store.close()


def stamp(folder: Path) -> Stamp | None:
    """What changes when the pointer is replaced; None where nothing was ever rebuilt."""
    try:
        found = os.stat(folder / POINTER)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def home(folder: Path) -> Path:
    """Where the live store and its bundle lie.

    Raises:
        CatalogError: the pointer is damaged.
    """
    pointer = folder / POINTER
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return folder
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{pointer} can't be read: {error}") from None
    if _NAME.fullmatch(name) is None or not (folder / name).is_dir():
        raise CatalogError(
            f"{pointer} is damaged: it names {name[:40]!r}, which isn't a part of this catalogue; "
            "restore it from a backup"
        )
    return folder / name


def number(place: Path) -> int:
    """0 for the catalogue's folder itself, N for ``rebuilt-N``."""
    found = _NAME.fullmatch(place.name)
    return int(found[1]) if found else 0


def point(folder: Path, place: Path) -> None:
    """Makes ``place`` (``rebuilt-N`` in ``folder``) the live one: in one step, durably."""
    write_durable(folder / POINTER, place.name + "\n")


def later(folder: Path) -> list[Path]:
    """Rebuilds that were begun and aren't live yet, oldest first."""
    least = number(home(folder))
    found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name) and number(p) > least]
    return sorted(found, key=number)


def sweep(folder: Path) -> int:
    """Deletes what was live before, if that was more than `GRACE` ago; how many parts.

    The caller holds the right to write.
    """
    live = home(folder)
    if live == folder or time.time() - os.stat(folder / POINTER).st_mtime < GRACE:
        return 0
    old = [p for p in folder.iterdir() if _NAME.fullmatch(p.name) and number(p) < number(live)]
    old += [path for pattern in _FIRST for path in folder.glob(pattern)]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)
