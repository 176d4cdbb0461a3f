"""Writes to the catalogue, one after the other, in one thread of one process.

A write is answered once it is on the disk: what was acknowledged survives a kill.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.update import ItemOutcome, ItemUpdate
from hemline.service.metrics import Metrics
from hemline.service.problems import busy
from hemline.service.settings import Settings
from hemline.work import Work, bound

T = TypeVar("T")
#: Seconds that a write waits for another program that writes to the catalogue.
_WAIT = 10.0


class Writer:
    """The queue of writes and the one thread that does them."""

    def __init__(self, catalog: Catalog, settings: Settings, metrics: Metrics, work: Work) -> None:
        """
        Args:
            work: memory for images; never stopped, as a write that has begun is finished.
        """
        self._catalog, self._settings, self._metrics = catalog, settings, metrics
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hemline-writer")
        self._waiting = 0
        self._counting = threading.Lock()

    async def update(self, updates: Sequence[ItemUpdate]) -> list[ItemOutcome]:
        """Stores, changes or removes items in their turn; returns when all is durable, also if the
        client has left.

        Raises:
            Problem: 503 where too many writes wait.
            CatalogError: another program writes, or no room.
        """
        return await self._run(lambda: self._update(updates))

    def update_from_thread(self, updates: Sequence[ItemUpdate]) -> list[ItemOutcome]:
        """`update` for a thread, which waits for its turn however long the queue is."""
        return self._thread.submit(self._update, updates).result()

    async def _run(self, write: Callable[[], T]) -> T:
        with self._counting:
            if self._waiting >= self._settings.queue:
                raise busy("too many writes are waiting; try again in a second")
            self._waiting += 1
        try:
            running = self._thread.submit(write)
        except RuntimeError:
            self._left()
            raise busy("the server is about to end; try again in a while", 5) from None
        running.add_done_callback(lambda _: self._left())
        return await asyncio.shield(asyncio.wrap_future(running))

    def _left(self) -> None:
        with self._counting:
            self._waiting -= 1

    def _update(self, updates: Sequence[ItemUpdate]) -> list[ItemOutcome]:
        most = self._settings.max_pixels
        with bound(self._work):
            outcomes = self._catalog.update(updates, wait=_WAIT, max_pixels=most)
        for outcome in outcomes:
            self._metrics.writes.labels(outcome.status).inc()
        return outcomes

    def close(self) -> None:
        """Returns when all waiting writes are done."""
        self._thread.shutdown(wait=True)
