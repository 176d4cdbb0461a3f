"""The parts of one serving process, and its bounded pool of answering threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from hemline.budget import check_time, limited, limits
from hemline.bundle import BundleInfo
from hemline.catalog.catalog import Catalog
from hemline.catalog.pointer import Live
from hemline.encoding import Encoder
from hemline.errors import DamageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.pool import EncoderPool, OnRun
from hemline.search.engine import Engine
from hemline.service.folders import UPLOAD, sweep
from hemline.service.guard import shop_field
from hemline.service.jobs import Jobs
from hemline.service.keys import KeyStore, RateLimit
from hemline.service.logs import log
from hemline.service.metrics import Metrics
from hemline.service.problems import busy
from hemline.service.settings import Settings
from hemline.service.shared import Shared
from hemline.service.shop_page import ShopFiles
from hemline.service.state import open_journal, open_keys, open_photos
from hemline.service.thumbnails import CACHE as THUMBNAIL_BYTES
from hemline.service.thumbnails import Thumbnails
from hemline.service.writing import Writer
from hemline.work import Work, bound, present

T = TypeVar("T")


class ServedEngine(Engine):
    """An engine whose threads share the street tower, also after a rebuild with another bundle."""

    def __init__(self, catalog: Catalog, settings: Settings, on_run: OnRun, shared: Shared) -> None:
        self._settings, self._on_run, self._shared = settings, on_run, shared
        self._pool: tuple[Bundle, EncoderPool] | None = None
        self._swapping = threading.Lock()
        self._cores = settings.threads or max(1, (os.cpu_count() or 1) // settings.workers)
        super().__init__(catalog, threads=self._cores, max_pixels=settings.max_pixels)

    def encoder_of(self, live: Live) -> Encoder:
        with self._swapping:
            now, own = self._pool, self._settings
            if now is None or now[0] is not live.bundle:
                self._shared.share_graphs(live.bundle)
                encoder = live.encoder(1)  # a run on several cores costs each photo more
                pool = EncoderPool(encoder, self._cores, own.queue, own.timeout, self._on_run)
                now = self._pool = live.bundle, pool
            return now[1]

    @property
    def waiting(self) -> int:
        """Number of requests that wait for the street tower."""
        return self._pool[1].depth if self._pool else 0


class Service:
    """One catalogue in one process of the service.

    Attributes:
        settings, catalog, engine, journal, keys, metrics, writer, jobs: its parts.
        shared: what the process's catalogues share; data, images, readers, failures,
            thumbnail_rate: of it.
        rates: limits of the requests of each key.
        thumbnails: images made smaller.
        shop_files: files of the page as the shop wants them.
        photo_links, photo_rate: photos shared by links, and a limit of them for each address.
        ready: whether it is warm and not shutting down.
    """

    def __init__(self, settings: Settings, shared: Shared | None = None) -> None:
        """Opens the catalogue.

        Args:
            shared: with other catalogues of the process; None makes one, which `close` closes.

        Raises:
            CatalogError, BundleError: as `Catalog.open`.
        """
        self.settings = settings
        self.catalog = Catalog.open(settings.catalog)
        self.shared, self._alone = shared or Shared(settings), shared is None
        self.metrics = Metrics(self.shared.families, settings.shop)
        self.keys: KeyStore = open_keys(settings)
        self.journal = open_journal(settings)
        sweep(settings.state / "uploads", UPLOAD)
        self.engine = ServedEngine(self.catalog, settings, self.metrics.on_run, self.shared)
        self.data, self.images = self.shared.data, self.shared.images
        self.writer = Writer(self.catalog, settings, self.metrics, self.new_work())
        self.jobs = Jobs()
        self.rates = RateLimit(settings.rate / settings.workers)
        self.readers, self.failures = self.shared.readers, self.shared.failures
        self.thumbnail_rate = self.shared.thumbnail_rate
        self.thumbnails = Thumbnails(THUMBNAIL_BYTES // max(1, len(self.shared.settings.shops)))
        self.photo_links = open_photos(settings)
        self.shop_files = ShopFiles(settings.page)
        self.photo_rate = RateLimit(1 / 30, 20.0)
        self.ready = False
        self._inside = 0

    @property
    def info(self) -> BundleInfo:
        """Of the live bundle."""
        return self.catalog.live().bundle.info

    def warm(self) -> None:
        """Loads graphs and index, so that the first answer is as fast as the others."""
        try:
            self.engine.warm()
            self.count()
        except DamageError as error:  # it costs the answers that need it, not all the others
            log("damaged", reason=str(error), **shop_field(self.settings))
        if self.info.detector is not None:
            import numpy as np

            self.engine.detector().detect([np.zeros((64, 64, 3), np.uint8)])
        self.ready = True

    def count(self) -> None:
        """Sets the metrics of the catalogue's size."""
        counts = self.catalog.live().store.item_page(1).counts  # from memory
        self.metrics.items.set(counts.items)
        self.metrics.pictures.set(counts.images)

    def new_work(self) -> Work:
        """The work of one request, within the memory of the process."""
        return self.shared.new_work()

    async def work(self, job: Callable[[], T]) -> T:
        """Runs ``job`` on a thread, until its time is over or nobody waits for it any more.

        Raises:
            Problem: 503, too many requests wait, or it takes too long.
            TimeLimitError: it takes too long.
        """
        if self.shared.inside >= self.settings.queue:
            raise busy("too many requests at once; try again in a second")
        work, own, loop = present(), limits(), asyncio.get_running_loop()
        end = time.monotonic() + own.seconds

        def within_limits() -> T:
            with bound(work), limited(own, end):
                check_time()  # it may have waited for a thread until now
                return job()

        answered: asyncio.Future[T] = loop.create_future()

        def leave(done: Future[T]) -> None:
            self._enter(-1)
            error = done.exception()
            if error is None:
                answered.set_result(done.result())
            else:
                answered.set_exception(error)

        def ended(done: Future[T]) -> None:
            work.leave()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(leave, done)  # once: each wakes the loop

        try:
            running = self.shared.threads.submit(within_limits)
        except RuntimeError:
            raise busy("the server is shutting down; try again in a while", 5) from None
        self._enter(1)
        work.enter()
        running.add_done_callback(ended)
        try:
            await asyncio.wait([answered], timeout=own.seconds)
            if answered.done():
                return answered.result()
            raise busy("this took too long; try again later, or with less", 2)
        finally:
            if not answered.done():
                work.stop()  # the thread ends at its next step
                answered.add_done_callback(_ignore)

    def _enter(self, one: int) -> None:
        self.shared.inside += one
        self._inside += one
        self.metrics.inside.set(self._inside)

    def close(self) -> None:
        """Finishes the requests in progress, then closes the catalogue."""
        self.ready = False
        if self._alone:
            self.shared.close()
        self.jobs.close()
        self.writer.close()
        self.journal.close()
        self.photo_links.close()
        self.catalog.close()


def _ignore(answered: asyncio.Future[T]) -> None:
    """Fetches the error of an answer that nobody waits for; asyncio would log it."""
    if not answered.cancelled():
        answered.exception()
