"""The right to write to a catalogue's live store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from hemline.catalog import folders, pointer
from hemline.catalog.pointer import Live
from hemline.errors import CatalogBusy

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

_POLL = 0.05  # seconds between two tries to become the writer


@contextmanager
def hold(catalog: Catalog, wait: float) -> Iterator[Live]:
    """See `Catalog.writing`."""
    end = time.monotonic() + wait
    while True:
        live = catalog.live()
        with ExitStack() as stack:
            try:
                died = stack.enter_context(live.store.writing())
            except CatalogBusy:
                if time.monotonic() >= end:
                    raise
                time.sleep(_POLL)
                continue
            if catalog.folder is not None and pointer.version(catalog.folder) != live.version:
                continue  # rebuilt between `live` and the lock
            if died and catalog.images:
                catalog.images.sweep(live.store.image_digests())
            if catalog.folder is not None:
                pointer.delete_old(catalog.folder, folders.discard)
            yield live
            return
