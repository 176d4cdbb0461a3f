"""A shop's feed with its pictures, uploaded: unpacked safely, understood as `catalog sync` does.

Only what was sent is read: a name in a zip or in the feed that leads out of the upload is refused.
Products are added and changed; none leaves.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_items import Product, products
from hemline.catalog.intake.feed_map import FeedMapping, understand
from hemline.data.images import MAX_BYTES
from hemline.errors import DataError, HemlineError
from hemline.service.jobs import Ended, Job, Jobs, Refused
from hemline.service.writing import Put, Writer

FEEDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_FILES = 200_000
_BATCH = 32
_TOLD = 100  # refused products that are listed
_PIECE = 1 << 20


class Upload:
    """A folder that one upload lies in until its job has ended."""

    def __init__(self, state: Path, limit: int) -> None:
        """
        Args:
            state: of the service; the folder is made below it.
            limit: bytes that may lie in it.
        """
        place = state / "uploads"
        place.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=place))
        self._left, self._files = limit, 0

    def take(self, name: str, source: Any) -> None:
        """Copies a stream to the file ``name``; a zip is unpacked.

        Raises:
            DataError: too much, or a name that isn't one.
        """
        if name.lower().endswith(".zip"):
            self._unzip(source)
        else:
            self._copy(name, source)

    def _unzip(self, source: Any) -> None:
        try:
            with zipfile.ZipFile(source) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir() and not entry.filename.startswith("__MACOSX/"):
                        with archive.open(entry) as stream:
                            self._copy(entry.filename, stream)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as e:
            raise DataError(f"the zip can't be unpacked: {str(e)[:100]}") from None

    def _copy(self, name: str, source: Any) -> None:
        path = PurePosixPath(name.replace("\\", "/"))
        bad = path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]
        if bad or any(ord(c) < 32 for c in name) or len(name) > 500:
            raise DataError(f"{name[:100]!r} is no name of a file within the upload")
        self._files += 1
        if self._files > _FILES:
            raise DataError(f"an upload has at most {_FILES:,} files")
        target = self.folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while piece := source.read(_PIECE):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise DataError("the upload is too large; send it in parts")
                    file.write(piece)
        except OSError:
            raise DataError(f"{name[:100]!r} is there twice, or can't be written") from None

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
        shutil.rmtree(self.folder, ignore_errors=True)


def add_upload(upload: Upload, writer: Writer, jobs: Jobs, job: Job) -> dict[str, Any]:
    """Stores the products of an upload, some at a time; each batch is durable before it counts.

    Raises:
        DataError: the feed can't be understood.
    """
    try:
        feed = Feed.read(upload.feed())
        columns = understand(feed.columns, FeedMapping(), "the feed")
        found = products(feed, columns, ImageFiles(feed.path, upload.folder))
        return _add(found.products, upload.folder, writer, jobs, job) | {
            "rows": found.rows,
            "bad_rows": [bad._asdict() for bad in found.bad[:_TOLD]],
            "bad": len(found.bad),
        }
    except HemlineError as error:
        raise Refused(str(error).replace(f"{upload.folder}/", "")) from None
    finally:
        upload.close()


def _add(
    wanted: dict[str, Product], folder: Path, writer: Writer, jobs: Jobs, job: Job
) -> dict[str, Any]:
    counts = {"added": 0, "updated": 0, "unchanged": 0, "refused": 0}
    refused: list[dict[str, str]] = []
    done = 0
    for some in _batches(list(wanted.values())):
        if jobs.ending.is_set():
            raise Ended
        puts = [_put(product, folder) for product in some]
        for one in writer.call(lambda puts=puts: writer.put(puts)):  # type: ignore[misc]
            counts[one.what] += 1
            if one.what == "refused" and len(refused) < _TOLD:
                refused.append({"item_id": one.item_id, "why": one.why})
        done += len(some)
        job.advance(done, len(wanted))
    return {"products": len(wanted), **counts, "refused_products": refused}


def _batches(products: Sequence[Product]) -> Iterator[Sequence[Product]]:
    for start in range(0, len(products), _BATCH):
        yield products[start : start + _BATCH]


def _put(product: Product, folder: Path) -> Put:
    """The product with its pictures' bytes; without any, those that it has are kept."""
    root = folder.resolve()
    pictures = []
    for wanted in product.pictures:
        path = wanted.path
        if path is not None and path.resolve().is_relative_to(root):
            pictures.append(path.read_bytes() if path.stat().st_size <= MAX_BYTES else b"")
    said = product.said
    return Put(product.item_id, said.columns, said.category, said.tags, pictures or None)
