"""Backs up a catalogue in a consistent state while others search and write.

The stored copies of images never change, so most are copied first; then the store, and then the few
copies added since. Where one of those has been deleted already, the store is copied again.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog import folders
from hemline.catalog.images import ImageStore
from hemline.catalog.intake import feed_map
from hemline.catalog.remote_images import open_images
from hemline.catalog.store import Advance, StoreSpec
from hemline.documents import read_document, write_document
from hemline.errors import CatalogError, DamageError
from hemline.files import absolute, publish_folder

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

#: In the catalogue: when and where its last backup was made.
LAST = "last-backup.json"
_TRIES = 100  # copies of the store before a fast-changing catalogue is refused


def _referenced(snapshot: Path, spec: StoreSpec) -> frozenset[str]:
    """The copies that the rows of a stored state refer to."""
    store = (spec.inspect or spec.open)(snapshot)
    try:
        return store.image_digests()
    finally:
        store.close()


def backup(catalog: Catalog, target: Path, advance: Advance, damaged: bool) -> dict[str, int]:
    """See `Catalog.backup`."""
    folder, spec = folders.stored(catalog.folder)
    live, images = catalog.live(), open_images(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CatalogError(f"{target} is there already; name a new folder for the backup")
    if absolute(target).is_relative_to(absolute(folder)):
        raise CatalogError(f"{target} is inside the catalogue; name a folder outside it")
    partial = target.with_name(f".{target.name}.backup")  # an interrupted one is continued
    copies = ImageStore(partial / "pictures")
    copies.folder.mkdir(parents=True, exist_ok=True)
    for left in partial.iterdir():
        if left.name != "pictures":
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    first = live.store.image_digests()
    _copy_images(images, copies, sorted(first), advance)
    complete = first & set(copies.names())  # other files may be what a kill left of one
    for _ in range(_TRIES):
        snapshot = partial / "store"
        shutil.rmtree(snapshot, ignore_errors=True)
        snapshot.mkdir()
        if damaged:
            live.store.backup(snapshot, damaged=True)
        else:
            live.store.backup(snapshot)
        referenced = _referenced(snapshot, spec)
        _copy_images(images, copies, sorted(referenced - complete), advance)
        if referenced <= set(copies.names()) | _lost(live.store.image_digests(), images):
            break
    else:
        raise CatalogError(f"{folder} changes faster than it can be copied; try again later")
    copies.sweep(referenced)
    live.bundle.copy_to(partial / "bundle")
    for path in snapshot.iterdir():
        path.rename(partial / path.name)
    snapshot.rmdir()
    if (folder / feed_map.FILE).exists():
        shutil.copy2(folder / feed_map.FILE, partial / feed_map.FILE)
    publish_folder(partial, target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return {"pictures": len(referenced), "bytes": size}


def note(catalog: Path, target: Path) -> None:
    """Writes down that a backup was made just now; a catalogue that can't be written has none."""
    with contextlib.suppress(OSError):
        write_document(catalog / LAST, {"time": time.time(), "target": str(absolute(target))})


def last(catalog: Path) -> tuple[float, Path] | None:
    """When (seconds since 1970) and where the last backup was made, or None."""
    try:
        found = read_document(catalog / LAST)
        return float(found["time"]), Path(found["target"])
    except (OSError, DamageError, KeyError, ValueError, TypeError):
        return None


def _lost(rows: Iterable[str], images: ImageStore) -> set[str]:
    """The copies that rows refer to and that are missing."""
    return set(rows) - set(images.names())


def _copy_images(
    source: ImageStore, target: ImageStore, digests: Sequence[str], advance: Advance
) -> None:
    """Copies files that the target lacks.

    A file never changes, so one that is there in full length is complete; a shorter one is what a
    power cut left of an earlier run, as nothing is synced before the backup is complete.
    """
    for done, digest in enumerate(digests, start=1):
        path, copy = source.path(digest), target.path(digest)
        copy.parent.mkdir(exist_ok=True)
        try:
            if not copy.exists() or copy.stat().st_size != path.stat().st_size:
                shutil.copyfile(path, copy)
        except FileNotFoundError:
            pass  # removed meanwhile
        advance(done, len(digests))
