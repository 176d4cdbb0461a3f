"""The catalogue: items, images and their vectors in one folder.

The folder holds the store's files (``catalog.sqlite`` …), ``bundle/`` (a copy of the bundle that
made the vectors) and ``pictures/`` (a copy of each image, bounded in size). After a rebuild the
first two lie in a subfolder (`hemline.catalog.pointer`).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.catalog import folders, pointer, stats
from hemline.catalog.cluster.engine import HERE
from hemline.catalog.intake.crops import Whole
from hemline.catalog.intake.prepare import Preparer
from hemline.catalog.intake.update import ItemOutcome, ItemUpdate
from hemline.catalog.intake.upsert import Upsert
from hemline.catalog.maintenance import copy, health, rebuild
from hemline.catalog.milvus.address import parse
from hemline.catalog.pointer import Live
from hemline.catalog.remote_images import open_images
from hemline.catalog.store import Advance, Row, Store, silent
from hemline.catalog.stores import STORES
from hemline.catalog.writer import hold
from hemline.encoding import Encoder
from hemline.limits import MAX_PIXELS
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

if TYPE_CHECKING:  # what reads manifests, feeds and Parquet is imported where it is used
    from hemline.catalog.intake.options import SyncOptions
    from hemline.catalog.intake.sync import SyncReport
    from hemline.catalog.intake.update import ImageReport
    from hemline.data.manifest import Manifest
    from hemline.data.remote.fetcher import Fetcher

DEFAULT_STORE = "sqlite"


class Catalog:
    """Items that can be searched, with the bundle that made their vectors.

    After another process has rebuilt the catalogue, an open one continues with the old store until
    `live` is called, as `Engine` does at each search.

    Attributes:
        folder: its folder, or None in memory.
        images: the copies of its images, or None in memory.
    """

    def __init__(self, folder: Path | None, live: Live) -> None:
        self.folder = folder
        self.images = open_images(folder) if folder else None
        self._live = live
        self._reopening = threading.Lock()

    @property
    def bundle(self) -> Bundle:
        """The bundle that made its vectors."""
        return self._live.bundle

    @property
    def store(self) -> Store:
        """Its rows and vectors."""
        return self._live.store

    # Creating and opening

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        bundle: Bundle,
        store: str = DEFAULT_STORE,
        *,
        address: str | None = None,
        pictures: str | None = None,
    ) -> Catalog:
        """Creates an empty catalogue with a copy of the bundle; it appears whole or not at all.

        Args:
            folder: of the catalogue; of one on Milvus it keeps all but rows and vectors.
            bundle: makes its vectors.
            store: the kind of store.
            address: ``milvus://HOST:PORT/NAME`` or ``milvus-lite:PATH.db``, for a store there.
            pictures: ``s3://BUCKET/START`` or what else fsspec opens, for copies of images there.

        Raises:
            CatalogError: the folder exists and isn't empty, or the address is in use.
        """
        place = None if address is None else parse(address)
        spec = STORES[store if place is None else "milvus"]
        folders.create(Path(folder), bundle, spec, place, pictures)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, damaged: bool = False) -> Catalog:
        """Opens the catalogue in ``folder``, for searching and for writing.

        Args:
            folder: of the catalogue; or its address, where its folder has the address's name.
            damaged: also opens one that misses acknowledged commits, for `check` and `backup`.

        Raises:
            CatalogError: there is none, it is damaged, of another format version, or its bundle
                isn't the one that made its vectors.
        """
        found = folders.folder_of(folder)
        return cls(found, folders.open_live(found, damaged))

    @classmethod
    def in_memory(cls, bundle: Bundle) -> Catalog:
        """An empty catalogue in memory, which keeps no images; its search is exact."""
        store = STORES["memory"].create(Path(), bundle.fingerprint, bundle.info.embedding_dim)
        return cls(None, Live(None, bundle, store))

    def close(self) -> None:
        self._live.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def live(self) -> Live:
        """The store and bundle that are live now; costs one `os.stat`.

        After a rebuild one thread opens them; meanwhile the others continue with the old ones.

        Raises:
            CatalogError: the rebuilt store can't be opened.
        """
        if self.folder is None or pointer.version(self.folder) == self._live.version:
            return self._live
        if self._reopening.acquire(blocking=False):
            try:
                if pointer.version(self.folder) != self._live.version:
                    self._live = folders.open_live(self.folder)
            finally:
                self._reopening.release()
        return self._live

    @contextmanager
    def writing(self, wait: float = 0.0) -> Iterator[Live]:
        """Holds the right to write to the live store; cleans up after a writer that died.

        Args:
            wait: seconds to wait for another writer.

        Raises:
            CatalogBusy: another process or thread still writes.
        """
        with hold(self, wait) as live:
            yield live

    # Using

    def encoder(self, threads: int | None = None) -> BundleEncoder:
        """The bundle's encoder; made by the first call, with so many ``threads``."""
        return self._live.encoder(threads)

    def add(
        self,
        manifest: Manifest,
        *,
        crop: str | None = None,
        batch: int = 64,
        workers: int | None = None,
        encoder: Encoder | None = None,
        remote: Fetcher | None = None,
        engine: str = HERE,
        advance: Advance = silent,
    ) -> ImageReport:
        """Embeds the shop (or ``gallery``) rows of a manifest and stores them.

        Rows that are stored already (same image_id, content, tags and columns) are passed over, so
        the same call resumes after a kill. An image that can't be opened is listed in the report.

        Args:
            manifest: its rows.
            crop, batch, workers, encoder, remote, engine: see `IntakeOptions`.
            advance: called with (rows done, rows) after each commit; those are durable.

        Raises:
            CatalogError: another writer, another bundle's encoder, or a full disk; what was
                reported to ``advance`` is kept.
            UsageError: no row is for a catalogue, or bad options.
        """
        from hemline.catalog.intake.manifest import add
        from hemline.catalog.intake.options import IntakeOptions

        options = IntakeOptions(crop, batch, workers, encoder, remote, engine)
        with self.writing() as live:
            return add(live, self.images, manifest, options, advance)

    def sync(
        self,
        feed: str | os.PathLike[str],
        options: SyncOptions | None = None,
        *,
        advance: Advance = silent,
    ) -> SyncReport:
        """Makes the catalogue equal to a shop's whole product feed.

        New and changed items are stored, of which only new and changed images are embedded; items
        that the feed doesn't have are removed. The same call again does nothing, or goes on after a
        kill.

        Args:
            feed: CSV, JSON lines or Parquet, with all items.
            options: see `SyncOptions`.
            advance: called with (images done, images) after each commit; those are durable.

        Raises:
            DataError: the feed can't be read, breaks off, or has too many bad rows.
            CatalogError: it would remove more than is allowed (nothing was changed), another
                writer, or a full disk.
        """
        from hemline.catalog.intake.options import SyncOptions
        from hemline.catalog.intake.sync import sync

        return sync(self, Path(feed), options or SyncOptions(), advance)

    def update(
        self, updates: Sequence[ItemUpdate], *, wait: float = 0.0, max_pixels: int = MAX_PIXELS
    ) -> list[ItemOutcome]:
        """Stores, changes and removes items; gives an outcome for each, once it is durable.

        Up to 500 items are one commit, up to where an item comes again. An item with an image that
        can't be opened is refused whole; the others are stored.

        Args:
            updates: in their order.
            wait: seconds to wait for another writer.
            max_pixels: an image may have.

        Raises:
            CatalogError: another writer, or a full disk; nothing of the current commit is stored.
        """
        with self.writing(wait) as live:
            preparer = Preparer(live.bundle.info, self.images, Whole(), max_pixels=max_pixels)
            upsert = Upsert(live, self.images, preparer, batch=sys.maxsize, strict=True)
            return list(upsert.run(updates))  # as one commit

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes items; item_id → number of images, of those that were stored."""
        removals = [ItemUpdate(item_id, remove=True) for item_id in dict.fromkeys(item_ids)]
        return {o.item_id: o.images for o in self.update(removals) if o.status == "removed"}

    def image_path(self, row: Row) -> Path | None:
        """The stored copy of a row's image, or None if there is none."""
        if self.images is None or not row.image_digest:
            return None
        return self.images.path(row.image_digest)

    def stats(self) -> dict[str, Any]:
        """Counts, and what the catalogue was made with."""
        return stats.stats(self)

    # Maintenance

    def sweep(self) -> int:
        """Deletes copies that no row refers to (a kill can leave some); gives their number."""
        if self.images is None:
            return 0
        with self.writing() as live:
            return self.images.sweep(live.store.image_digests())

    def check(
        self, *, repair: bool = False, deep: bool = False, advance: Advance = silent
    ) -> health.Health:
        """Verifies checksums and that all parts agree.

        Args:
            repair: repairs what can be derived: index, columns, stray copies, and lost vectors
                from the copies of their images; accepts the loss of commits that are missing, and
                gives rows of an earlier version their checksums. Takes the right to write.
            deep: also reads the copy of every image.
            advance: called with (images checked, images).

        Raises:
            CatalogError: ``repair`` while another process writes.
        """
        with self.writing() if repair else nullcontext():
            return health.check(self, repair, deep, advance)

    def compact(self, *, advance: Advance = silent) -> dict[str, int]:
        """Frees the space of removed rows and stray files, while others search.

        Raises:
            CatalogError: another writer, a full disk, or a damaged store.
        """
        return health.compact(self, advance)

    def backup(
        self,
        target: str | os.PathLike[str],
        *,
        damaged: bool = False,
        advance: Advance = silent,
    ) -> dict[str, int]:
        """Copies a snapshot to a new folder, while others search and write.

        The copy appears whole or not at all. Gives its numbers of images and bytes.

        Args:
            target: a new folder.
            damaged: copies a damaged store, too, as it is.
            advance: called with (copies of images done, copies).

        Raises:
            CatalogError: the target exists, a full disk, or a damaged store.
        """
        from hemline.catalog.maintenance import backup

        return backup.backup(self, Path(target), advance, damaged)

    def copy_to(self, target: Catalog, *, advance: Advance = silent) -> copy.CopyReport:
        """Makes another catalogue equal to this one, of whatever store, and verifies it.

        Rows with their vectors and the copies of images are copied as they are; nothing is
        embedded. The same call resumes after a kill and brings the copy up to date.

        Args:
            target: made with the same bundle; what this one doesn't have is removed from it.
            advance: called with (rows done, rows) after each commit; those are durable.

        Raises:
            CatalogError: the bundles differ, another process writes to the target, this catalogue
                was written to meanwhile, or the copy isn't equal.
        """
        return copy.copy(self, target, advance)

    def rebuild(
        self,
        bundle: Bundle,
        *,
        batch: int = 64,
        threads: int | None = None,
        drop_lost: bool = False,
        engine: str = HERE,
        advance: Advance = silent,
    ) -> rebuild.RebuildReport:
        """Embeds the copies of all images with another bundle, then switches to it in one step.

        Searches and writes continue on the old store meanwhile; their changes are carried over.
        The same call resumes after a kill.

        Args:
            bundle: the new one.
            batch: images in one durable commit.
            threads: of its shop tower.
            drop_lost: drops images whose copy can't be opened.
            engine: see `IntakeOptions`.
            advance: called with (images done, images) after each commit.

        Raises:
            CatalogError: copies can't be opened, another rebuild or (at the end) a writer is
                running, or a full disk; the catalogue is unchanged.
        """
        options = (batch, threads, drop_lost, engine)
        return rebuild.rebuild(self, bundle, *options, advance)

    def abandon_rebuild(self) -> int:
        """Deletes what an interrupted rebuild left; gives the number of parts.

        Raises:
            CatalogError: a rebuild is running.
        """
        return rebuild.abandon(self)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: bool = False,
        advance: Advance = silent,
    ) -> dict[str, int]:
        """Writes every row as a manifest in Parquet; gives numbers of images, items and bytes.

        Args:
            path: ``.parquet``; it appears whole or not at all.
            vectors: adds the columns ``embedding`` (D float32) and ``norm``.

        Raises:
            UsageError: another suffix.
        """
        from hemline.catalog.maintenance import export

        return export.export(self, Path(path), vectors, advance)
