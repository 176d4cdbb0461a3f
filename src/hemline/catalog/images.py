"""Copies of a catalogue's pictures: bounded in size, named by their content.

``pictures/ab/abcdef….jpg``. A copy is on the disk before the row that refers to it is committed, so
a kill can leave a copy without a row (swept later) but never a row without its copy.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from hemline.errors import CatalogError
from hemline.files import durable_path, sync_folder

MAX_SIDE = 640  # pixels
QUALITY = 90
_NAME = re.compile(r"[0-9a-f]{40}")


class ImageStore:
    """The folder of copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the copy ``digest`` lies; it need not be there.

        Raises:
            CatalogError: ``digest`` isn't one.
        """
        if not _NAME.fullmatch(digest):
            raise CatalogError(f"{digest!r} is no picture's name: 40 hexadecimal digits are")
        return self.folder / digest[:2] / f"{digest}.jpg"

    def put(self, pictures: Sequence[bytes]) -> list[str]:
        """Writes JPEG bytes, safely on the disk when it returns; gives their digests.

        Raises:
            CatalogError: the disk is full or fails.
        """
        digests, touched = [], set[Path]()
        try:
            for data in pictures:
                digest = hashlib.sha256(data).hexdigest()[:40]
                path = self.path(digest)
                if not path.exists():
                    if not path.parent.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        touched.add(self.folder)
                    # One sync of each folder to a batch: they cost as much as the files' own.
                    with durable_path(path, sync_parent=False) as temporary:
                        temporary.write_bytes(data)
                    touched.add(path.parent)
                digests.append(digest)
            for folder in touched:
                sync_folder(folder)
        except OSError as error:
            room = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise CatalogError(
                f"{self.folder} can't be written: {room}. What was acknowledged is kept; free some "
                "room, then run the same command again"
            ) from error
        return digests

    def drop(self, digests: Collection[str]) -> None:
        """Deletes copies; those that aren't there are passed over."""
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            for folder in sorted(p for p in self.folder.iterdir() if p.is_dir()):
                yield from folder.iterdir()

    def names(self) -> Iterator[str]:
        """The digests of all copies that are there."""
        return (p.stem for p in self._files() if p.suffix == ".jpg" and _NAME.fullmatch(p.stem))

    def strays(self, wanted: Collection[str]) -> list[Path]:
        """Every file that isn't a wanted copy, half-written ones too."""
        return [p for p in self._files() if p.stem not in wanted or p.suffix != ".jpg"]

    def sweep(self, wanted: Collection[str]) -> int:
        """Deletes `strays`; how many."""
        strays = self.strays(wanted)
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)
