"""The stored copies of a catalogue's images, bounded in size and named by their content.

A copy ``pictures/ab/abcdef….jpg`` is synced before the row that refers to it is committed, so a
kill can leave a copy without a row (deleted later) but never a row without its copy.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from hemline.errors import CatalogError
from hemline.files import durable_path, read_regular, sync_folder

MAX_SIDE = 640  # pixels
QUALITY = 90
_NAME = re.compile(r"[0-9a-f]{40}")


def is_copy(path: Path) -> bool:
    """Whether a file has the name of a copy."""
    return path.suffix == ".jpg" and _NAME.fullmatch(path.stem) is not None


class ImageStore:
    """The folder of a catalogue's copies of images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """The path of the copy ``digest``, which need not exist.

        Raises:
            CatalogError: ``digest`` has another form.
        """
        if not _NAME.fullmatch(digest):
            raise CatalogError(f"{digest!r} isn't an image's digest of 40 hexadecimal digits")
        return self.folder / digest[:2] / f"{digest}.jpg"

    def read(self, digest: str) -> bytes:
        """The copy as it is stored.

        Raises:
            FileNotFoundError: it isn't there.
        """
        return read_regular(self.path(digest))

    def put(self, images: Sequence[bytes]) -> list[str]:
        """Writes JPEG files durably; returns their digests.

        Raises:
            CatalogError: the disk is full or fails.
        """
        digests, touched = [], set[Path]()
        try:
            for data in images:
                digest = hashlib.sha256(data).hexdigest()[:40]
                path = self.path(digest)
                if not path.exists():
                    if not path.parent.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        touched.add(self.folder)
                    # Each folder is synced once for a batch, as that costs as much as a file.
                    with durable_path(path, sync_parent=False) as temporary:
                        temporary.write_bytes(data)
                    touched.add(path.parent)
                digests.append(digest)
            for folder in touched:
                sync_folder(folder)
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise CatalogError(
                f"{self.folder} can't be written: {why}. What was acknowledged is kept; free some "
                "space, then run the same command again"
            ) from error
        return digests

    def adopt(self, source: ImageStore, digests: Collection[str]) -> int:
        """Copies another store's copies durably, but those that are here; returns their number.

        Those that the other lacks are passed over.
        """
        copied, touched = 0, set[Path]()
        for digest in digests:
            path, wanted = source.path(digest), self.path(digest)
            if not path.is_file() or (
                wanted.is_file() and wanted.stat().st_size == path.stat().st_size
            ):
                continue
            if not wanted.parent.exists():
                wanted.parent.mkdir(parents=True, exist_ok=True)
                touched.add(self.folder)
            with durable_path(wanted, sync_parent=False) as temporary:
                shutil.copyfile(path, temporary)
            touched.add(wanted.parent)
            copied += 1
        for folder in touched:
            sync_folder(folder)
        return copied

    def drop(self, digests: Collection[str]) -> None:
        """Deletes copies; missing ones are ignored."""
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            for folder in sorted(p for p in self.folder.iterdir() if p.is_dir()):
                yield from folder.iterdir()

    def names(self) -> Iterator[str]:
        """The digests of all copies."""
        return (path.stem for path in self._files() if is_copy(path))

    def strays(self, referenced: Collection[str]) -> list[Path]:
        """All files but the ``referenced`` copies, including unfinished ones."""
        return [p for p in self._files() if p.stem not in referenced or p.suffix != ".jpg"]

    def sweep(self, referenced: Collection[str]) -> int:
        """Deletes `strays`; returns their number."""
        strays = self.strays(referenced)
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)
