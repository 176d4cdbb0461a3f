"""Creates, recognises and opens the folder of a catalogue."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hemline.catalog import pointer
from hemline.catalog.milvus import address
from hemline.catalog.milvus.address import Address
from hemline.catalog.remote_images import place_images
from hemline.catalog.store import Store, StoreSpec
from hemline.catalog.stores import STORES
from hemline.errors import CatalogError, UsageError
from hemline.files import durable_folder, write_durable
from hemline.runtime.bundle import Bundle


def folder_of(place: str | os.PathLike[str]) -> Path:
    """The folder of a catalogue: an address's is the one of its name, here.

    Raises:
        UsageError: the address is invalid, or that folder is of a catalogue elsewhere.
    """
    if not address.is_address(place):
        return Path(place)
    wanted = address.parse(place)
    folder = Path(wanted.name)
    spec = find(folder) if folder.is_dir() else None
    if spec is not None and spec.address is not None:
        kept = spec.address(pointer.live_folder(folder))
        if (kept.uri, kept.name) == (wanted.uri, wanted.name):
            return folder
    raise CatalogError(
        f"the folder {folder} isn't that of {wanted.text}; name the folder that 'hemline catalog "
        f"create {wanted.text}' made, or a copy of it"
    )


def create(
    target: Path,
    bundle: Bundle,
    spec: StoreSpec,
    place: Address | None = None,
    pictures: str | None = None,
) -> None:
    """See `Catalog.create`; a store elsewhere is at the address ``place``."""
    if not spec.file:
        raise UsageError("the memory store has no folder; use Catalog.in_memory")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        kind = "a catalogue already" if find(target) else "there already and isn't empty"
        raise CatalogError(f"{target} is {kind}; name a new folder, or add to it")
    with durable_folder(target) as temporary:
        bundle.copy_to(temporary / "bundle")
        if place is not None:
            write_durable(temporary / spec.file, json.dumps({"address": place.text}) + "\n")
        spec.create(temporary, bundle.fingerprint, bundle.info.embedding_dim).close()
        (temporary / "pictures").mkdir()
        if pictures is not None:
            place_images(temporary, pictures)


def open_live(folder: Path, damaged: bool = False) -> pointer.Live:
    """See `Catalog.open`."""
    while True:
        version = pointer.version(folder)
        spec = find(folder)
        if spec is None:
            if folder.exists() and not folder.is_dir():
                raise CatalogError(f"{folder} is a file; a catalogue is a folder")
            what = "has no catalogue" if folder.is_dir() else "isn't there"
            raise CatalogError(f"{folder} {what}; 'hemline catalog create {folder}' makes one")
        live = pointer.live_folder(folder)
        if not (live / "bundle").is_dir():
            raise CatalogError(
                f"the catalogue {folder} has lost its folder 'bundle'; copy the whole catalogue, "
                "or create it again"
            )
        store = (spec.inspect if damaged and spec.inspect else spec.open)(live)
        try:
            bundle = Bundle.open(live / "bundle")
            check_fingerprint(store, bundle.fingerprint, f"the bundle in {folder}")
        except BaseException:
            store.close()
            raise
        if version == pointer.version(folder):
            return pointer.Live(live, bundle, store, version)
        store.close()  # a rebuild was swapped in meanwhile


def find(folder: Path) -> StoreSpec | None:
    """The kind of store in the live part of ``folder``; None for no catalogue."""
    live = pointer.live_folder(folder) if folder.is_dir() else folder
    for spec in STORES.values():
        if spec.file and (live / spec.file).is_file():
            return spec
    return None


def stored(folder: Path | None) -> tuple[Path, StoreSpec]:
    """The folder and the kind of store of an open catalogue.

    Raises:
        CatalogError: it is in memory.
    """
    spec = None if folder is None else find(folder)
    if folder is None or spec is None:
        raise CatalogError("a catalogue in memory has nothing on the disk; create one in a folder")
    return folder, spec


def discard(folder: Path) -> None:
    """Drops what the store of a part keeps elsewhere, before its folder is deleted."""
    for spec in STORES.values():
        if spec.discard is not None and (folder / spec.file).is_file():
            spec.discard(folder)


def check_fingerprint(store: Store, fingerprint: str, whose: str) -> None:
    """Refuses a bundle or encoder that didn't make the store's vectors.

    Raises:
        CatalogError: the fingerprints differ.
    """
    if fingerprint != store.fingerprint:
        raise CatalogError(
            f"{whose} has the fingerprint {fingerprint[:12]}, the catalogue's vectors were made "
            f"with {store.fingerprint[:12]}; use that bundle, or create a new catalogue"
        )
