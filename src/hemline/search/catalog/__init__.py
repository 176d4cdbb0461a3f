"""The catalogue: products, pictures, vectors; one file for each store.

A catalogue is a folder: the store's file (``catalog.sqlite``), ``bundle/`` (a copy of the bundle
that made its vectors) and ``pictures/`` (a bounded copy of each picture).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemline.errors import CatalogError, UsageError
from hemline.registry import Registry
from hemline.search.catalog._protocol import Row, Store, StoreSpec

if TYPE_CHECKING:
    from hemline.data.manifest import Manifest
    from hemline.encoding import Encoder
    from hemline.search.bundle import Bundle
    from hemline.search.catalog._ingest import AddReport
    from hemline.search.encoder import BundleEncoder

__all__ = ["STORES", "Catalog", "Row", "Store", "StoreSpec"]

#: The stores: each module of this package declares ``STORES``, a name → its `StoreSpec`.
STORES: Registry[StoreSpec] = Registry("hemline.search.catalog", "STORES", "store")

DEFAULT_STORE = "sqlite"


class Catalog:
    """Products that can be searched, with the bundle that made their vectors.

    Attributes:
        folder: where it lies, or None for one in memory.
        bundle: what made its vectors.
        store: its rows and vectors.
    """

    def __init__(self, folder: Path | None, bundle: Bundle, store: Store) -> None:
        from hemline.search.catalog._pictures import Pictures

        self.folder = folder
        self.bundle = bundle
        self.store = store
        self._pictures = Pictures(folder / "pictures") if folder else None
        self._encoder: BundleEncoder | None = None
        self._lock = threading.Lock()

    # Making and opening

    @classmethod
    def create(
        cls, folder: str | os.PathLike[str], bundle: Bundle, store: str = DEFAULT_STORE
    ) -> Catalog:
        """A new, empty catalogue; the bundle is copied into it. It appears whole or not at all.

        Raises:
            CatalogError: the folder is there and isn't empty.
        """
        from hemline.search.catalog._pictures import sync_folder

        target = Path(folder)
        spec = STORES[store]
        if not spec.file:
            raise UsageError(f"the {store} store keeps nothing in a folder; use Catalog.in_memory")
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            kind = "a catalogue already" if _spec(target) else "there already and isn't empty"
            raise CatalogError(f"{target} is {kind}; name a new folder, or add to it")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            bundle.copy_to(partial / "bundle")
            spec.create(partial, bundle.fingerprint, bundle.info.embedding_dim).close()
            (partial / "pictures").mkdir()
            partial.chmod(0o755)
            if target.exists():
                target.rmdir()
            partial.rename(target)
            sync_folder(target)
            sync_folder(target.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return cls.open(target)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Catalog:
        """The catalogue that lies in ``folder``, for searching and for writing.

        Raises:
            CatalogError: none there, damaged, of another format version, or its bundle isn't the
                one that made its vectors.
        """
        from hemline.search.bundle import Bundle

        path = Path(folder)
        spec = _spec(path)
        if spec is None:
            if path.exists() and not path.is_dir():
                raise CatalogError(f"{path} is a file; a catalogue is a folder")
            what = "has no catalogue" if path.is_dir() else "isn't there"
            raise CatalogError(f"{path} {what}; 'hemline catalog create {path}' makes one")
        if not (path / "bundle").is_dir():
            raise CatalogError(
                f"the catalogue {path} has lost its folder 'bundle'; copy the catalogue whole, or "
                "create it anew"
            )
        store = spec.open(path)
        try:
            bundle = Bundle.open(path / "bundle")
            _same_print(store, bundle.fingerprint, f"the bundle in {path}")
        except BaseException:
            store.close()
            raise
        return cls(path, bundle, store)

    @classmethod
    def in_memory(cls, bundle: Bundle) -> Catalog:
        """An empty one that is gone with the process and keeps no pictures; exact."""
        spec = STORES["memory"]
        return cls(None, bundle, spec.create(Path(), bundle.fingerprint, bundle.info.embedding_dim))

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Using

    def encoder(self, threads: int | None = None) -> BundleEncoder:
        """The bundle's encoder, made once; ``threads`` counts at the first call."""
        from hemline.search.encoder import BundleEncoder

        with self._lock:
            if self._encoder is None:
                self._encoder = BundleEncoder(self.bundle, threads)
            return self._encoder

    def add(
        self,
        manifest: Manifest,
        *,
        crop: str = "none",
        encoder: Encoder | None = None,
        batch: int = 64,
        workers: int | None = None,
        advance: Callable[[int, int], None] = lambda done, total: None,
    ) -> AddReport:
        """Embeds the shop (or ``gallery``) rows of a manifest and stores them.

        What is there already (same image_id, picture, tags and columns) is passed over, so the same
        call goes on after a kill. A picture that can't be opened is listed in the report.

        Args:
            manifest: its rows.
            crop: ``none`` embeds whole pictures; ``box`` what is inside each row's box, if any.
            encoder: instead of the bundle's own; of the same fingerprint.
            batch: pictures to one durable commit.
            workers: threads that open pictures.
            advance: told (rows done, rows in all) after each commit.

        Raises:
            CatalogError: another writer, another bundle's encoder, or no room; what was told to
                ``advance`` is kept.
            UsageError: no row is for a catalogue, or bad options.
        """
        from hemline.search.catalog._ingest import check_crop, gallery, ingest

        if batch < 1 or (workers is not None and workers < 1):
            raise UsageError(f"batch and workers are at least 1, not {batch} and {workers}")
        encoder = encoder or self.encoder()
        _same_print(self.store, encoder.fingerprint, f"the encoder {encoder.name}")
        with self.store.writing() as died:
            if died:
                self.sweep()
            return ingest(
                self.store,
                self._pictures,
                gallery(manifest),
                encoder,
                info=self.bundle.info,
                how=check_crop(crop),
                batch=batch,
                workers=workers or min(4, os.cpu_count() or 1),
                advance=advance,
            )

    def remove(self, item_ids: Collection[str]) -> dict[str, int]:
        """Removes products; item_id → how many pictures, of those that were there."""
        with self.store.writing() as died:
            if died:
                self.sweep()
            copies = {row.picture for row in self.store.items(item_ids) if row.picture}
            removed = self.store.remove(item_ids)
            if copies and self._pictures:
                self._pictures.drop(copies - self.store.pictures())
        return removed

    def sweep(self) -> int:
        """Deletes picture copies that no row refers to (a kill can leave some); how many."""
        if self._pictures is None:
            return 0
        with self.store.writing():
            return self._pictures.sweep(self.store.pictures())

    def picture(self, row: Row) -> Path | None:
        """The stored copy of a row's picture, or None where none is kept."""
        if self._pictures is None or not row.picture:
            return None
        return self._pictures.path(row.picture)

    def stats(self) -> dict[str, Any]:
        """Counts and what it was made with, for people and for ``--json``."""
        counts, info = self.store.counts(), self.bundle.info
        files = [] if self.folder is None else [p for p in self.folder.iterdir() if p.is_file()]
        return {
            "catalog": str(self.folder or "memory"),
            "items": counts.items,
            "pictures": counts.pictures,
            "columns": ["category", "tags", *self.store.columns()],
            "model": info.name,
            "fingerprint": self.store.fingerprint,
            "embedding_dim": self.store.dim,
            "reranks": info.reranks,
            "uses_tags": info.uses_tags,
            "store_bytes": sum(p.stat().st_size for p in files),
        }


def _spec(folder: Path) -> StoreSpec | None:
    """The store whose file lies in ``folder``."""
    for spec in STORES.values():
        if spec.file and (folder / spec.file).is_file():
            return spec
    return None


def _same_print(store: Store, fingerprint: str, whose: str) -> None:
    if fingerprint != store.fingerprint:
        raise CatalogError(
            f"{whose} has the fingerprint {fingerprint[:12]}, the catalogue's vectors were made "
            f"with {store.fingerprint[:12]}; use that bundle, or create a new catalogue"
        )
