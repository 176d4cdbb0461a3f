"""A catalogue's folder: made whole or not at all, found, and opened as it is live."""

from __future__ import annotations

from pathlib import Path

from hemline.catalog import pointer
from hemline.catalog.store import Store, StoreSpec
from hemline.catalog.stores import STORES
from hemline.errors import CatalogError, UsageError
from hemline.files import durable_folder
from hemline.runtime.bundle import Bundle


def create(target: Path, bundle: Bundle, spec: StoreSpec) -> None:
    """See `Catalog.create`."""
    if not spec.file:
        raise UsageError("the memory store keeps nothing in a folder; use Catalog.in_memory")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        kind = "a catalogue already" if find(target) else "there already and isn't empty"
        raise CatalogError(f"{target} is {kind}; name a new folder, or add to it")
    with durable_folder(target) as temporary:
        bundle.copy_to(temporary / "bundle")
        spec.create(temporary, bundle.fingerprint, bundle.info.embedding_dim).close()
        (temporary / "pictures").mkdir()


def open_live(folder: Path) -> pointer.Live:
    """See `Catalog.open`."""
    while True:
        stamp = pointer.stamp(folder)
        spec = find(folder)
        if spec is None:
            if folder.exists() and not folder.is_dir():
                raise CatalogError(f"{folder} is a file; a catalogue is a folder")
            what = "has no catalogue" if folder.is_dir() else "isn't there"
            raise CatalogError(f"{folder} {what}; 'hemline catalog create {folder}' makes one")
        home = pointer.home(folder)
        if not (home / "bundle").is_dir():
            raise CatalogError(
                f"the catalogue {folder} has lost its folder 'bundle'; copy the catalogue whole, "
                "or create it anew"
            )
        store = spec.open(home)
        try:
            bundle = Bundle.open(home / "bundle")
            same_print(store, bundle.fingerprint, f"the bundle in {folder}")
        except BaseException:
            store.close()
            raise
        if stamp == pointer.stamp(folder):
            return pointer.Live(home, bundle, store, stamp)
        store.close()  # rebuilt while it was opened


def find(folder: Path) -> StoreSpec | None:
    """The store whose file lies in ``folder``, or in the part of it that is live."""
    home = pointer.home(folder) if folder.is_dir() else folder
    for spec in STORES.values():
        if spec.file and (home / spec.file).is_file():
            return spec
    return None


def kind(folder: Path | None) -> StoreSpec:
    """The store of an open catalogue.

    Raises:
        CatalogError: it is in memory.
    """
    spec = None if folder is None else find(folder)
    if spec is None:
        raise CatalogError("a catalogue in memory keeps nothing on the disk")
    return spec


def same_print(store: Store, fingerprint: str, whose: str) -> None:
    """
    Raises:
        CatalogError: the store's vectors weren't made with the bundle of this fingerprint.
    """
    if fingerprint != store.fingerprint:
        raise CatalogError(
            f"{whose} has the fingerprint {fingerprint[:12]}, the catalogue's vectors were made "
            f"with {store.fingerprint[:12]}; use that bundle, or create a new catalogue"
        )
