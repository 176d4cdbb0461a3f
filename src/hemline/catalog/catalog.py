"""The catalogue: products, pictures, vectors; one file for each store.

A catalogue is a folder: the store's files (``catalog.sqlite`` …), ``bundle/`` (a copy of the bundle
that made its vectors) and ``pictures/`` (a bounded copy of each picture). After a rebuild the first
two lie in a folder of their own (`hemline.catalog.pointer`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.catalog.store import Advance, Row, Store, silent
from hemline.catalog.stores import STORES

if TYPE_CHECKING:
    from hemline.catalog.intake.apply import Removals, SyncReport
    from hemline.catalog.intake.feed_map import FeedMapping
    from hemline.catalog.intake.ingest import AddReport
    from hemline.catalog.maintenance.health import Health
    from hemline.catalog.maintenance.rebuild import RebuildReport
    from hemline.catalog.pointer import Live
    from hemline.data.manifest import Manifest
    from hemline.encoding import Encoder
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import BundleEncoder

__all__ = ["Catalog"]

DEFAULT_STORE = "sqlite"


class Catalog:
    """Products that can be searched, with the bundle that made their vectors.

    A catalogue that another process rebuilds goes on as it was opened, until `live` is asked for:
    `Engine` does so at each search.

    Attributes:
        folder: where it lies, or None for one in memory.
        pictures: the copies of its pictures, or None in memory.
    """

    def __init__(self, folder: Path | None, live: Live) -> None:
        from hemline.catalog.images import Pictures

        self.folder = folder
        self.pictures = Pictures(folder / "pictures") if folder else None
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
    def writing(self) -> Iterator[Live]:
        """Holds the right to write to what is live; cleans up after a writer that died.

        Raises:
            CatalogError: another process or thread writes.
        """
        from hemline.catalog import pointer

        while True:
            live = self.live()
            with live.store.writing() as died:
                if self.folder is not None and pointer.stamp(self.folder) != live.stamp:
                    continue  # rebuilt between the look and the lock
                if died and self.pictures:
                    self.pictures.sweep(live.store.pictures())
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
        crop: str = "none",
        encoder: Encoder | None = None,
        batch: int = 64,
        workers: int | None = None,
        advance: Advance = silent,
    ) -> AddReport:
        """Embeds the shop (or ``gallery``) rows of a manifest and stores them.

        What is there already (same image_id, picture, tags and columns) is passed over, so the same
        call goes on after a kill. A picture that can't be opened is listed in the report.

        Args:
            manifest: its rows.
            crop: ``none`` embeds whole pictures; ``box`` what is inside each row's box, if any;
                ``detect`` the garment that fits each row's category, as the bundle's detector finds
                it, or the whole picture where none fits.
            encoder: instead of the bundle's own; of the same fingerprint.
            batch: pictures to one durable commit.
            workers: threads that open pictures.
            advance: told (rows done, rows in all) after each commit.

        Raises:
            CatalogError: another writer, another bundle's encoder, or no room; what was told to
                ``advance`` is kept.
            UsageError: no row is for a catalogue, or bad options.
        """
        from hemline.catalog.intake.crops import find_crop
        from hemline.catalog.intake.ingest import coder_of, gallery, ingest, workers_of
        from hemline.catalog.intake.opening import Opener

        count = workers_of(batch, workers)
        with self.writing() as live:
            coder = coder_of(live, encoder)
            return ingest(
                live.store,
                self.pictures,
                gallery(manifest),
                coder,
                opener=Opener(live.bundle.info, find_crop(crop, live.bundle)),
                batch=batch,
                workers=count,
                advance=advance,
            )

    def sync(
        self,
        feed: str | os.PathLike[str],
        *,
        mapping: FeedMapping | None = None,
        allow_removals: float | Callable[[Removals], bool] | None = None,
        max_bad: float | None = None,
        dry_run: bool = False,
        reread: bool = False,
        crop: str | None = None,
        encoder: Encoder | None = None,
        batch: int = 64,
        workers: int | None = None,
        advance: Advance = silent,
    ) -> SyncReport:
        """Makes the catalogue equal to a shop's whole product feed.

        New and changed products come in, of which only new and changed pictures are embedded; those
        that the feed doesn't have leave. The same call again does nothing, or what a kill left.

        Args:
            feed: CSV, JSON lines or Parquet, with all products.
            mapping, crop: what its columns mean, and as for `add`; both are remembered.
            allow_removals: the share of the products that may leave (0.2 by default), or who is
                asked where some would.
            max_bad: the share of the feed's rows that may be unusable (0.05 by default).
            dry_run: changes nothing and says what would be done.
            reread: reads every picture, also those whose file has the size and time it had.
            encoder, batch, workers: as for `add`.
            advance: told (pictures done, pictures in all) after each commit.

        Raises:
            DataError: the feed can't be read, breaks off, or has too many bad rows.
            CatalogError: it would take out more than is allowed (nothing was changed), another
                writer, or no room.
        """
        from hemline.catalog.intake import sync as run

        return run.sync(
            self,
            Path(feed),
            mapping=mapping,
            allow_removals=allow_removals,
            max_bad=max_bad,
            dry_run=dry_run,
            reread=reread,
            crop=crop,
            encoder=encoder,
            batch=batch,
            workers=workers,
            advance=advance,
        )

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes products; item_id → how many pictures, of those that were there."""
        with self.writing() as live:
            copies = {row.picture for row in live.store.items(item_ids) if row.picture}
            removed = live.store.remove(item_ids)
            if copies and self.pictures:
                self.pictures.drop(copies - live.store.pictures())
        return removed

    def picture(self, row: Row) -> Path | None:
        """The stored copy of a row's picture, or None where none is kept."""
        if self.pictures is None or not row.picture:
            return None
        return self.pictures.path(row.picture)

    def stats(self) -> dict[str, Any]:
        """Counts and what it was made with, for people and for ``--json``."""
        from hemline.catalog import stats

        return stats.stats(self)

    # Care

    def sweep(self) -> int:
        """Deletes picture copies that no row refers to (a kill can leave some); how many."""
        if self.pictures is None:
            return 0
        with self.writing() as live:
            return self.pictures.sweep(live.store.pictures())

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
