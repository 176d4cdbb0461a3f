"""What all catalogues of one process share: memory, threads, limits of clients, loaded graphs."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

from hemline.runtime.bundle import Bundle
from hemline.service.keys import RateLimit
from hemline.service.metrics import Families, Metrics
from hemline.service.settings import Settings
from hemline.work import Memory, Work

#: Answering threads beyond the number of cores; more were no faster
#: (`benchmarks/service_load.py`). Other requests wait in order.
_MORE = 2
#: Requests of a reader without a key at once, in seconds of its rate: a page asks for several.
_BURST = 10
#: Images a second that are made smaller for one address; a page has 24 of them, once.
_THUMBNAILS = 20.0


class Shared:
    """One budget for all catalogues of a process.

    Attributes:
        settings: of the service.
        data, images: memory of all requests for what they send, and for images being decoded.
        readers, failures, thumbnail_rate: limits of the requests from each address without a key,
            of wrong keys, and of images made smaller.
        families, metrics: of the process, and of requests that are for no catalogue.
        threads: they answer.
        inside: number of requests in work or waiting.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        share = settings.memory_share
        self.data, self.images = Memory(share // 3), Memory(share - share // 3)
        own = settings.public_rate / settings.workers
        self.readers = RateLimit(own, max(1.0, _BURST * own))
        self.failures = RateLimit(1.0, 10.0)
        self.thumbnail_rate = RateLimit(_THUMBNAILS, 20 * _THUMBNAILS)
        self.families = Families(shops=bool(settings.shops))
        self.metrics = Metrics(self.families)
        self.threads = ThreadPoolExecutor(
            min((os.cpu_count() or 1) // settings.workers + _MORE, settings.queue),
            thread_name_prefix="hemline-answer",
        )
        self.inside = 0
        self._bundles: WeakValueDictionary[tuple[str, str], Bundle] = WeakValueDictionary()
        self._lock = threading.Lock()

    def new_work(self) -> Work:
        """The work of one request, within the memory of the process."""
        return Work(self.data, self.images)

    def share_graphs(self, bundle: Bundle) -> None:
        """Lets a bundle run the graphs that an equal one of another catalogue has loaded."""
        detector = bundle.info.detector
        name = bundle.fingerprint, detector.fingerprint if detector else ""
        with self._lock:
            other = self._bundles.get(name)
            if other is not None and other is not bundle:
                bundle.share_sessions(other)
            self._bundles[name] = bundle

    def close(self) -> None:
        """Returns when the requests in progress are answered."""
        self.threads.shutdown(wait=True)
