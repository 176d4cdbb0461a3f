"""A catalogue's copies of images at an address of fsspec, with those used last in its folder.

For a catalogue that several machines read: ``s3://BUCKET/START``, ``gs://BUCKET/START`` or any
other address that fsspec opens, with credentials of the environment. The address belongs to one
catalogue alone, as copies without a row are deleted. A copy is there, whole, before its row is
committed.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from hemline.catalog.images import ImageStore, is_copy
from hemline.documents import read_document, write_document
from hemline.errors import CatalogError, DamageError, UsageError
from hemline.files import write_atomic

#: In the catalogue's folder; says where its copies of images are.
FILE = "pictures.json"
MOST = 4 << 30  # bytes of the copies in the folder
_EVERY = 500  # copies fetched between two looks at their bytes
_TRIES, _PAUSE = 4, 0.5  # seconds, doubled each time
_THREADS = 8
T = TypeVar("T")


def open_images(folder: Path) -> ImageStore:
    """The copies of the catalogue in ``folder``.

    Raises:
        DamageError: its file is damaged.
        CatalogError: fsspec isn't installed.
    """
    path = folder / FILE
    try:
        address = read_document(path)["address"]
    except FileNotFoundError:
        return ImageStore(folder / "pictures")
    except DamageError as error:  # copies without a row are deleted, so it must be no other's
        raise DamageError(f"{error}; write the address again") from None
    except LookupError:
        raise DamageError(f"{path} has no address; write it again") from None
    return RemoteImages(folder / "pictures", str(address))


def place_images(folder: Path, address: str) -> None:
    """Lets the new catalogue in ``folder`` keep its copies at an address.

    Raises:
        UsageError: the address has a password, or something is there already.
        CatalogError: it can't be reached.
    """
    if urlsplit(address).password:
        raise UsageError("an address of pictures has no password; set it in the environment")
    if next(RemoteImages(folder / "pictures", address).names(), None) is not None:
        raise UsageError(f"{address} has pictures already; name a place of this catalogue's own")
    write_document(folder / FILE, {"address": address})


class RemoteImages(ImageStore):
    """Copies at ``address``; `path` fetches what isn't in the folder.

    Raises:
        CatalogError: fsspec isn't installed, or knows no such address.
    """

    def __init__(self, folder: Path, address: str, most: int = MOST) -> None:
        super().__init__(folder)
        self.address, self._most, self._fetched = address.rstrip("/"), most, 0
        try:
            from fsspec.core import url_to_fs

            self._fs, root = url_to_fs(self.address, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise CatalogError(
                f"pictures at {self.address} can't be opened: {error}; pip install "
                "'hemline[remote]' brings fsspec with s3 and gs"
            ) from None
        self._root = str(root).rstrip("/")

    def path(self, digest: str) -> Path:
        path = super().path(digest)
        if not path.is_file():
            with contextlib.suppress(FileNotFoundError):
                data = self.read(digest)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, data)
                self._fetched += 1
                if self._fetched % _EVERY == 0:
                    self.trim()
        return path

    def read(self, digest: str) -> bytes:
        place = self._place(digest)
        return bytes(self._call(lambda: self._fs.cat_file(place)))

    def put(self, images: Sequence[bytes]) -> list[str]:
        digests = [hashlib.sha256(data).hexdigest()[:40] for data in images]
        self._write(dict(zip(digests, images, strict=True)))
        return digests

    def adopt(self, source: ImageStore, digests: Collection[str]) -> int:
        found: dict[str, bytes] = {}
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):
                found[digest] = source.read(digest)
        return self._write(found)

    def _write(self, images: Mapping[str, bytes]) -> int:
        """Writes those that aren't there in their full length; returns their number."""
        with ThreadPoolExecutor(_THREADS) as threads:
            sizes = dict(zip(images, threads.map(self._size, images), strict=True))
        new = {d: data for d, data in images.items() if sizes[d] != len(data)}
        if new:
            self._call(lambda: [self._fs.makedirs(self._parent(d), exist_ok=True) for d in new])
            self._call(lambda: self._fs.pipe({self._place(d): v for d, v in new.items()}))
        return len(new)

    def _size(self, digest: str) -> int:
        place = self._place(digest)
        try:
            return int(self._call(lambda: self._fs.info(place))["size"])
        except FileNotFoundError:
            return -1

    def drop(self, digests: Collection[str]) -> None:
        for digest in digests:
            place = self._place(digest)
            with contextlib.suppress(FileNotFoundError):
                self._call(lambda place=place: self._fs.rm_file(place))  # type: ignore[misc]
        super().drop(digests)

    def names(self) -> Iterator[str]:
        return (path.stem for path in self._listed() if is_copy(path))

    def strays(self, referenced: Collection[str]) -> list[Path]:
        return [p for p in self._listed() if p.stem not in referenced or not is_copy(p)]

    def sweep(self, referenced: Collection[str]) -> int:
        strays = self.strays(referenced)
        for path in strays:
            with contextlib.suppress(FileNotFoundError):
                self._call(lambda path=path: self._fs.rm_file(str(path)))  # type: ignore[misc]
        for path in super().strays(referenced):
            path.unlink(missing_ok=True)
        return len(strays)

    def trim(self) -> None:
        """Deletes the copies in the folder that were fetched first, beyond the bytes allowed."""
        held = []
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                held.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in held)
        for _, size, path in sorted(held):
            if total <= self._most:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _listed(self) -> list[Path]:
        try:
            return [Path(str(name)) for name in self._call(lambda: self._fs.find(self._root))]
        except FileNotFoundError:
            return []

    def _parent(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}"

    def _place(self, digest: str) -> str:
        return f"{self._parent(digest)}/{super().path(digest).name}"

    def _call(self, work: Callable[[], T]) -> T:
        """Runs ``work``, again where it fails.

        Raises:
            FileNotFoundError: there is no such file.
            CatalogError: it failed each time.
        """
        for attempt in range(_TRIES):
            try:
                return work()
            except FileNotFoundError:
                raise
            except Exception as error:  # each library has its own
                if attempt == _TRIES - 1 or isinstance(error, PermissionError):
                    said = " ".join(str(error).split())[:200] or type(error).__name__
                    raise CatalogError(
                        f"the pictures at {self.address} can't be reached: {said}. What was "
                        "acknowledged is kept; run the same command again"
                    ) from error
            time.sleep(_PAUSE * 2**attempt)
        raise AssertionError
