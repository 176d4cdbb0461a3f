"""The catalogue's statistics for the admin page, without counting all files for each request.

Adding up the files of 200,000 images takes seconds, and the page polls. So a background thread
counts the files, and only after a change; the numbers of products and images are always current.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from hemline.catalog.catalog import Catalog
from hemline.errors import HemlineError
from hemline.service.logs import log

#: Share of a core's time for counting; least seconds between two counts.
_SHARE, _REST = 0.05, 2.0
_PATIENCE = 0.5  # seconds to wait for the first count


class Sizes:
    """`Catalog.stats`, counted in the background."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        self._revision, self._due = -1, 0.0
        self._counting: threading.Thread | None = None

    def stats(self) -> dict[str, Any]:
        """Current counts and revision; the rest as last counted, and absent before the first count.

        Raises:
            CatalogError: the catalogue can't be read.
        """
        store = self._catalog.live().store
        revision = store.revision
        counting = self._count(revision)
        if counting is not None and not self._known:
            counting.join(_PATIENCE)
        counts = store.item_page(1).counts
        now = {"items": counts.items, "pictures": counts.images, "revision": revision}
        return {**self._known, **now}

    def _count(self, revision: int) -> threading.Thread | None:
        """Starts to count if a count is due; returns the counting thread."""
        with self._lock:
            busy = self._counting is not None and self._counting.is_alive()
            if not busy and revision != self._revision and time.monotonic() >= self._due:
                self._revision = revision
                self._counting = threading.Thread(
                    target=self._run, name="hemline-sizes", daemon=True
                )
                self._counting.start()
            return self._counting

    def _run(self) -> None:
        start = time.monotonic()
        try:
            stats = self._catalog.stats()
            stats.pop("catalog", None)  # a path
            self._known = stats
        except (HemlineError, OSError) as error:  # the service is closing, or a rebuild swaps
            self._revision = -1
            log("failed", reason=f"the catalogue's files can't be counted: {error}")
        took = time.monotonic() - start
        self._due = time.monotonic() + max(_REST, took / _SHARE)
