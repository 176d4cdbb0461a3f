"""The catalogue: products, pictures, vectors; one file for each store.

A catalogue is a folder: the store's files (``catalog.sqlite`` …), ``bundle/`` (a copy of the bundle
that made its vectors) and ``pictures/`` (a bounded copy of each picture). After a rebuild the first
two lie in a folder of their own (`hemline.catalog.pointer`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.catalog.store import Advance, Row, Store, silent
from hemline.catalog.stores import STORES
from hemline.errors import CatalogBusy
from hemline.limits import MAX_PIXELS

if TYPE_CHECKING:
    from hemline.catalog.intake.manifest import AddReport
    from hemline.catalog.intake.options import SyncOptions
    from hemline.catalog.intake.sync import SyncReport
    from hemline.catalog.intake.update import ItemOutcome, ItemUpdate
    from hemline.catalog.maintenance.health import Health
    from hemline.catalog.maintenance.rebuild import RebuildReport
    from hemline.catalog.pointer import Live
    from hemline.data.manifest import Manifest
    from hemline.encoding import Encoder
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import BundleEncoder

__all__ = ["Catalog"]

DEFAULT_STORE = "sqlite"
_POLL = 0.05  # seconds between two tries to become the writer


class Catalog:
    """Products that can be searched, with the bundle that made their vectors.

    A catalogue that another process rebuilds goes on as it was opened, until `live` is asked for:
    `Engine` does so at each search.

    Attributes:
        folder: where it lies, or None for one in memory.
        pictures: the copies of its pictures, or None in memory.
    """

    def __init__(self, folder: Path | None, live: Live) -> None:
        from hemline.catalog.images import ImageStore

        self.folder = folder
        self.images = ImageStore(folder / "pictures") if folder else None
        self._live = live
        self._reopening = threading.Lock()

    @property
    def bundle(self) -> Bundle:
        """What made its vectors."""
        return self._live.bundle

    @property
    def store(self) -> Store:
        """Its rows and vectors."""
        return self._live.store

    # Making and opening

    @classmethod
    def create(
        cls, folder: str | os.PathLike[str], bundle: Bundle, store: str = DEFAULT_STORE
    ) -> Catalog:
        """A new, empty catalogue; the bundle is copied into it. It appears whole or not at all.

        Raises:
            CatalogError: the folder is there and isn't empty.
        """
        from hemline.catalog import folders

        folders.create(Path(folder), bundle, STORES[store])
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Catalog:
        """The catalogue that lies in ``folder``, for searching and for writing.

        Raises:
            CatalogError: none there, damaged, of another format version, or its bundle isn't the
                one that made its vectors.
        """
        from hemline.catalog import folders

        return cls(Path(folder), folders.open_live(Path(folder)))

    @classmethod
    def in_memory(cls, bundle: Bundle) -> Catalog:
        """An empty one that is gone with the process and keeps no pictures; exact."""
        from hemline.catalog.pointer import Live

        store = STORES["memory"].create(Path(), bundle.fingerprint, bundle.info.embedding_dim)
        return cls(None, Live(None, bundle, store))

    def close(self) -> None:
        self._live.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def live(self) -> Live:
        """The store and bundle that are live now, at the cost of a look at one file.

        After a rebuild one thread opens them anew; meanwhile the others go on with the old ones.

        Raises:
            CatalogError: what another process has made live can't be opened.
        """
        from hemline.catalog import folders, pointer

        if self.folder is None or pointer.stamp(self.folder) == self._live.stamp:
            return self._live
        if self._reopening.acquire(blocking=False):
            try:
                if pointer.stamp(self.folder) != self._live.stamp:
                    self._live = folders.open_live(self.folder)
            finally:
                self._reopening.release()
        return self._live

    @contextmanager
    def writing(self, wait: float = 0.0) -> Iterator[Live]:
        """Holds the right to write to what is live; cleans up after a writer that died.

        Args:
            wait: seconds to wait for another writer.

        Raises:
            CatalogBusy: another process or thread still writes.
        """
        from hemline.catalog import pointer

        end = time.monotonic() + wait
        while True:
            live = self.live()
            with ExitStack() as stack:
                try:
                    died = stack.enter_context(live.store.writing())
                except CatalogBusy:
                    if time.monotonic() >= end:
                        raise
                    time.sleep(_POLL)
                    continue
                if self.folder is not None and pointer.stamp(self.folder) != live.stamp:
                    continue  # rebuilt between `live` and the lock
                if died and self.images:
                    self.images.sweep(live.store.image_digests())
                if self.folder is not None:
                    pointer.sweep(self.folder)
                yield live
                return

    # Using

    def encoder(self, threads: int | None = None) -> BundleEncoder:
        """The bundle's encoder, made once; ``threads`` counts at the first call."""
        return self._live.encoder(threads)

    def add(
        self,
        manifest: Manifest,
        *,
        crop: str | None = None,
        batch: int = 64,
        workers: int | None = None,
        encoder: Encoder | None = None,
        advance: Advance = silent,
    ) -> AddReport:
        """Embeds the shop (or ``gallery``) rows of a manifest and stores them.

        Rows that are stored already (same image_id, content, tags and columns) are passed over, so
        the same call goes on after a kill. An image that can't be opened is listed in the report.

        Args:
            manifest: its rows.
            crop, batch, workers, encoder: see `IntakeOptions`.
            advance: called with (rows done, rows) after each commit; those are durable.

        Raises:
            CatalogError: another writer, another bundle's encoder, or no room; what was reported
                to ``advance`` is kept.
            UsageError: no row is for a catalogue, or bad options.
        """
        from hemline.catalog.intake.manifest import add
        from hemline.catalog.intake.options import IntakeOptions

        options = IntakeOptions(crop, batch, workers, encoder)
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
                writer, or no room.
        """
        from hemline.catalog.intake.options import SyncOptions
        from hemline.catalog.intake.sync import sync

        return sync(self, Path(feed), options or SyncOptions(), advance)

    def update(
        self, updates: Sequence[ItemUpdate], *, wait: float = 0.0, max_pixels: int = MAX_PIXELS
    ) -> list[ItemOutcome]:
        """Stores, changes and removes items in one durable commit; gives an outcome for each.

        An item with an image that can't be opened is refused whole; the others are stored. Where
        one item comes again, a further commit takes its later updates.

        Args:
            updates: in their order.
            wait: seconds to wait for another writer.
            max_pixels: an image may have.

        Raises:
            CatalogError: another writer, or no room; nothing of the commit is stored.
        """
        from hemline.catalog.intake.crops import Whole
        from hemline.catalog.intake.prepare import Preparer
        from hemline.catalog.intake.upsert import Upsert

        with self.writing(wait) as live:
            preparer = Preparer(live.bundle.info, self.images, Whole(), max_pixels=max_pixels)
            one_commit = sys.maxsize
            return list(
                Upsert(live, self.images, preparer, batch=one_commit, strict=True).run(updates)
            )

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes items; item_id → number of images, of those that were stored."""
        from hemline.catalog.intake.update import ItemUpdate

        removals = [ItemUpdate(item_id, remove=True) for item_id in dict.fromkeys(item_ids)]
        return {o.item_id: o.images for o in self.update(removals) if o.status == "removed"}

    def image_path(self, row: Row) -> Path | None:
        """The stored copy of a row's picture, or None where none is kept."""
        if self.images is None or not row.image_digest:
            return None
        return self.images.path(row.image_digest)

    def stats(self) -> dict[str, Any]:
        """Counts and what it was made with, for people and for ``--json``."""
        from hemline.catalog import stats

        return stats.stats(self)

    # Care

    def sweep(self) -> int:
        """Deletes picture copies that no row refers to (a kill can leave some); how many."""
        if self.images is None:
            return 0
        with self.writing() as live:
            return self.images.sweep(live.store.image_digests())

    def check(
        self, *, repair: bool = False, deep: bool = False, advance: Advance = silent
    ) -> Health:
        """Verifies checksums and that all parts agree.

        Args:
            repair: puts right what can be derived: index, columns, stray copies, and lost vectors
                from their pictures' copies. Takes the right to write.
            deep: also reads every picture's copy.
            advance: told (pictures checked, pictures).

        Raises:
            CatalogError: to be repaired while another process writes.
        """
        from hemline.catalog.maintenance import health

        with self.writing() if repair else nullcontext():
            return health.check(self, repair, deep, advance)

    def compact(self, *, advance: Advance = silent) -> dict[str, int]:
        """Gives the room of removed rows and stray files back, while others search.

        Raises:
            CatalogError: another writer, no room, or a damaged store.
        """
        from hemline.catalog.maintenance import health

        return health.compact(self, advance)

    def backup(
        self, target: str | os.PathLike[str], *, advance: Advance = silent
    ) -> dict[str, int]:
        """Copies one moment's state to a new folder, while others search and write.

        It appears whole or not at all; gives how many pictures and bytes it has.

        Raises:
            CatalogError: the target is there already, no room, or a damaged store.
        """
        from hemline.catalog import folders
        from hemline.catalog.maintenance import backup

        return backup.backup(self, Path(target), folders.kind(self.folder), advance)

    def rebuild(
        self,
        bundle: Bundle,
        *,
        batch: int = 64,
        threads: int | None = None,
        drop_lost: bool = False,
        advance: Advance = silent,
    ) -> RebuildReport:
        """Embeds every picture's copy anew by another bundle, and makes it live in one step.

        Searches and writers go on with the old one meanwhile; what they change is brought along.
        The same call goes on after a kill.

        Args:
            bundle: the new one.
            batch: pictures to one durable commit.
            threads: of its shop tower.
            drop_lost: lets pictures go whose copy can't be opened.
            advance: told (pictures done, pictures in all) after each commit.

        Raises:
            CatalogError: copies can't be opened, another rebuild or (at the end) a writer is at
                work, or no room; the catalogue is as it was.
        """
        from hemline.catalog import folders
        from hemline.catalog.maintenance import rebuild

        return rebuild.rebuild(
            self,
            bundle,
            folders.kind(self.folder),
            batch=batch,
            threads=threads,
            drop_lost=drop_lost,
            advance=advance,
        )

    def abandon_rebuild(self) -> int:
        """Deletes what an interrupted rebuild left; how many parts.

        Raises:
            CatalogError: it is at work.
        """
        from hemline.catalog import folders
        from hemline.catalog.maintenance import rebuild

        return rebuild.abandon(self, folders.kind(self.folder))

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: bool = False,
        advance: Advance = silent,
    ) -> dict[str, int]:
        """Writes every row as a manifest in Parquet; gives pictures, items and bytes.

        Args:
            path: ``.parquet``; it appears whole or not at all.
            vectors: with the columns ``embedding`` (D float32) and ``norm``.

        Raises:
            UsageError: another suffix.
        """
        from hemline.catalog.maintenance import export

        return export.export(self, Path(path), vectors, advance)
