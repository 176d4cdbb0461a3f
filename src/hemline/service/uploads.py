"""An uploaded feed with its images: unpacked safely, understood as `hemline catalog sync` does.

Only uploaded files are read: a name in a zip or in the feed that leads out of the upload is
refused. Items are added and changed; none is removed.
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

from hemline.catalog.intake.embedding import batches
from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_items import read_items
from hemline.catalog.intake.feed_map import FeedMapping, find_columns
from hemline.catalog.intake.update import ItemUpdate
from hemline.errors import DataError, HemlineError
from hemline.files import disk_full
from hemline.service.folders import UPLOAD, TemporaryFolder
from hemline.service.jobs import Ended, Job, Jobs, Refused
from hemline.service.writing import Writer
from hemline.text import text_problem

FEEDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".xml", ".parquet")
_FILES = 200_000
_PARTS, _FIELDS = 20_000, 100  # of a form
_FIELD = 1 << 16  # bytes of a field that is no file
_BATCH = 32
_REPORTED = 100  # refused items and bad rows that are listed
_PIECE = 1 << 20
_LIST = 32 << 20  # bytes of a zip's list of files, which takes some ten times as many in memory
#: What `zipfile` and its decompressors raise for damaged or unknown data.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a form, which `MultiPartParser` writes; it is open only while it is written to.

    Attributes:
        path: where it lies.
        name: as the sender calls it.
    """

    path: Path
    name: str

    async def write(self, data: bytes) -> None:
        await run_in_threadpool(self._append, data)

    async def seek(self, offset: int) -> None:
        """Called once it is whole."""
        await self.write(b"")  # an empty file is one, too

    def _append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


class Upload:
    """The folder of one upload, until its job has ended."""

    def __init__(self, state: Path, limit: int) -> None:
        """
        Args:
            state: the service's folder; the upload's is made below it.
            limit: bytes of all files.
        """
        place = state / "uploads"
        place.mkdir(parents=True, exist_ok=True)
        self._temporary = TemporaryFolder(place, UPLOAD)
        self.folder, self._parts = (self._temporary.path / name for name in ("files", "parts"))
        self.folder.mkdir()
        self._parts.mkdir()
        self._left, self._files = limit, 0

    async def read(self, request: Request) -> dict[str, list[Part]]:
        """The files of a multipart body, by the names of their fields; none is held in memory.

        Raises:
            MultiPartException: it can't be read, or has too many parts.
        """
        folder = self._parts

        class OnDisk(MultiPartParser):
            def on_headers_finished(self) -> None:
                super().on_headers_finished()
                upload = self._current_part.file
                if upload is not None:
                    part = Part(folder / str(self._current_files), upload.filename or "")
                    self._current_part.file = part  # type: ignore[assignment]

        limits = {"max_files": _PARTS, "max_fields": _FIELDS, "max_part_size": _FIELD}
        parsed = await OnDisk(request.headers, request.stream(), **limits).parse()
        found: dict[str, list[Part]] = {}
        for name, value in parsed.multi_items():
            if isinstance(value, Part):
                found.setdefault(name, []).append(value)
        return found

    def take(self, part: Part) -> None:
        """Copies a part to the file of its name; a zip is unpacked. The part is deleted.

        Raises:
            DataError: too many bytes or files, or a name that isn't allowed.
        """
        with _Bounded(io.FileIO(part.path)) as source:
            if part.name.lower().endswith(".zip"):
                self._unzip(source)
            else:
                self._copy(part.name, source)
        part.path.unlink()

    def _unzip(self, source: Any) -> None:
        try:
            archive = zipfile.ZipFile(source)
        except _BROKEN as error:
            raise _not_unpacked(error) from None
        with archive:
            for entry in archive.infolist():
                if not entry.is_dir() and not entry.filename.startswith("__MACOSX/"):
                    try:
                        stream = archive.open(entry)
                    except _BROKEN as error:
                        raise _not_unpacked(error) from None
                    with stream:
                        self._copy(entry.filename, stream)

    def _copy(self, name: str, source: Any) -> None:
        path = PurePosixPath(name.replace("\\", "/"))
        bad = path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]
        if bad or any(ord(c) < 32 for c in name) or len(name) > 500 or text_problem(name):
            raise DataError(f"{name[:100]!r} is no name of a file within the upload")
        self._files += 1
        if self._files > _FILES:
            raise DataError(f"an upload has at most {_FILES:,} files")
        target = self.folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while piece := _read(source):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise DataError("the upload is too large; send it in parts")
                    file.write(piece)
        except FileExistsError:
            raise DataError(f"{name[:100]!r} is there twice") from None
        except OSError as error:
            if disk_full(error):
                raise
            raise DataError(f"{name[:100]!r} can't be written: {error.strerror}") from None

    def feed(self) -> Path:
        """
        Raises:
            DataError: there isn't exactly one feed.
        """
        found = [path for path in sorted(self.folder.iterdir()) if path.suffix.lower() in FEEDS]
        if len(found) != 1:
            raise DataError(
                f"an upload has one feed ({', '.join(FEEDS)}) beside its pictures, not {len(found)}"
            )
        return found[0]

    def close(self) -> None:
        """Deletes it."""
        self._temporary.close()


class _Bounded(io.BufferedReader):
    """A file that isn't read in pieces longer than a zip's list of files may be."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = _LIST + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) > _LIST:
            raise zipfile.BadZipFile("its list of files is too long")
        return data


def _read(source: Any) -> bytes:
    """The next piece of a file, unpacked.

    Raises:
        DataError: it is damaged.
    """
    try:
        return bytes(source.read(_PIECE))
    except _BROKEN as error:
        raise _not_unpacked(error) from None


def _not_unpacked(error: Exception) -> DataError:
    return DataError(f"the zip can't be unpacked: {str(error)[:100]}")


def add_upload(upload: Upload, writer: Writer, jobs: Jobs, job: Job) -> dict[str, Any]:
    """Stores the items of an upload, a batch at a time; each is durable before it counts.

    Raises:
        Refused: the feed can't be understood.
    """
    try:
        feed = Feed.read(upload.feed())
        columns = find_columns(feed.columns, FeedMapping(), "the feed")
        found = read_items(feed, columns, ImageFiles(feed.path, upload.folder))
        updates = [_within(update, upload.folder.resolve()) for update in found.items.values()]
        return _add(updates, writer, jobs, job) | {
            "rows": found.rows,
            "bad_rows": [bad._asdict() for bad in found.bad[:_REPORTED]],
            "bad": len(found.bad),
        }
    except HemlineError as error:
        raise Refused(str(error).replace(f"{upload.folder}/", "")) from None
    finally:
        upload.close()


def _within(update: ItemUpdate, folder: Path) -> ItemUpdate:
    """The update with its images that lie in the folder; without any it keeps the stored ones.

    Images are known by their content, as in every write over HTTP, not by their names.
    """
    images = [
        replace(image, image_id="", domain="")
        for image in update.images or ()
        if isinstance(image.source, Path) and image.source.resolve().is_relative_to(folder)
    ]
    return replace(update, images=images or None)


def _add(updates: list[ItemUpdate], writer: Writer, jobs: Jobs, job: Job) -> dict[str, Any]:
    counts = {"added": 0, "updated": 0, "unchanged": 0, "refused": 0}
    refused: list[dict[str, str]] = []
    done = 0
    for some in batches(updates, _BATCH):
        if jobs.ending.is_set():
            raise Ended
        for outcome in writer.update_from_thread(some):
            counts[outcome.status] += 1
            if outcome.status == "refused" and len(refused) < _REPORTED:
                refused.append({"item_id": outcome.item_id, "why": outcome.reason})
        done += len(some)
        job.advance(done, len(updates))
    return {"products": len(updates), **counts, "refused_products": refused}
