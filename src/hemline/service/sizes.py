"""What the shop's people see of their catalogue, without counting all its files at each look.

To add up the copies of 200,000 pictures takes seconds, and the page asks again and again. So the
files are counted beside, by a thread of its own, and only where something has changed; the numbers
of products and pictures are always those of now.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from hemline.catalog.catalog import Catalog
from hemline.errors import HemlineError
from hemline.service.logs import log

#: Counting may take this share of a core's time, and rests so many seconds at least.
_SHARE, _REST = 0.05, 2.0
_PATIENCE = 0.5  # seconds that an answer waits for the first count


class Sizes:
    """`Catalog.stats`, as of some moments ago."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        self._revision, self._again = -1, 0.0
        self._counting: threading.Thread | None = None

    def stats(self) -> dict[str, Any]:
        """Counts and revision of now, the rest as last counted; without it until that is done.

        Raises:
            CatalogError: the catalogue can't be read.
        """
        store = self._catalog.live().store
        revision = store.revision
        counting = self._count(revision)
        if counting is not None and not self._known:
            counting.join(_PATIENCE)
        counts = store.item_page(1).counts
        now = {"items": counts.items, "pictures": counts.pictures, "revision": revision}
        return {**self._known, **now}

    def _count(self, revision: int) -> threading.Thread | None:
        """Begins to count where that is due; who counts."""
        with self._lock:
            busy = self._counting is not None and self._counting.is_alive()
            if not busy and revision != self._revision and time.monotonic() >= self._again:
                self._revision = revision
                self._counting = threading.Thread(
                    target=self._run, name="hemline-sizes", daemon=True
                )
                self._counting.start()
            return self._counting

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            found = self._catalog.stats()
            found.pop("catalog", None)  # a path
            self._known = found
        except (HemlineError, OSError) as error:  # while the service ends, or a rebuild swaps
            self._revision = -1
            log("failed", reason=f"the catalogue's files can't be counted: {error}")
        took = time.monotonic() - begun
        self._again = time.monotonic() + max(_REST, took / _SHARE)
