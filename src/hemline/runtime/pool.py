"""The street tower, shared by all answering threads: a bounded number of runs at a time.

Each call runs its own photos on its own thread. Photos of several calls in one run gain a sixth of
the processor's time (`benchmarks/service_load.py`), less than the thread that gathers them loses.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

from hemline.data.preprocess import ImageInput, PreparedImage
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.errors import BusyError
from hemline.runtime.encoder import BundleEncoder
from hemline.types import FloatArray
from hemline.work import present

#: Called for each run with its number of photos and the seconds that it has waited.
OnRun = Callable[[int, float], None]


class EncoderPool:
    """An encoder that several threads share: at most ``runs`` of them encode photos at a time."""

    def __init__(
        self,
        encoder: BundleEncoder,
        runs: int | None = None,
        waiting: int = 64,
        timeout: float = 30.0,
        on_run: OnRun = lambda photos, waited: None,
    ) -> None:
        """
        Args:
            encoder: the bundle's encoder, best with one thread for a run.
            runs: at a time; None is one for each core.
            waiting: calls that may wait.
            timeout: seconds after which a waiting call gives up.
            on_run: called for each run.
        """
        self._encoder = encoder
        self._runs, self._waiting = runs or os.cpu_count() or 1, waiting
        self._timeout, self._on_run = timeout, on_run
        self._changed = threading.Condition()
        self._running, self._depth = 0, 0

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    @property
    def embedding_dim(self) -> int:
        return self._encoder.embedding_dim

    @property
    def reranks(self) -> bool:
        return self._encoder.reranks

    @property
    def depth(self) -> int:
        """Number of calls that wait."""
        return self._depth

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        """As `BundleEncoder.encode_street`.

        Raises:
            BusyError: too many calls wait, or this one has waited too long.
            StoppedError: nobody waits for the answer any more.
        """
        spec = self._encoder.bundle.info.preprocessing
        # Prepared ahead, so that small images wait and not whole photos.
        ready = [i if isinstance(i, PreparedImage) else PreparedImage.of(i, spec) for i in images]
        begun = time.monotonic()
        self._enter()
        try:
            self._on_run(len(ready), time.monotonic() - begun)
            present().check()
            return self._encoder.encode_street(ready)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        return self._encoder.encode_shop(images, tags)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        return self._encoder.rerank(local, contexts)

    def _enter(self) -> None:
        """Waits for a free run, and takes it.

        Raises:
            BusyError: too many calls wait, or this one has waited too long.
        """
        with self._changed:
            if self._running >= self._runs:
                if self._depth >= self._waiting:
                    raise BusyError("too many photos are waiting; try again in a second")
                self._depth += 1
                try:
                    free = self._changed.wait_for(lambda: self._running < self._runs, self._timeout)
                finally:
                    self._depth -= 1
                if not free:
                    raise BusyError("the photo waited too long for its turn; try again")
            self._running += 1
