"""Photos that arrive at the same time go through the street tower together.

One thread runs the tower. While it is busy, requests gather in a bounded queue; when it is free it
takes all that are there, up to a batch. So a single client never waits for others to come, and
under load the batches grow by themselves.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from hemline.data.preprocess import ImageInput, PreparedImage
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.runtime.encoder import BundleEncoder
from hemline.service.problems import busy
from hemline.types import FloatArray

#: Told how many photos one run had, and the seconds that each of its requests had waited.
Told = Callable[[int, Sequence[float]], None]


@dataclass(slots=True)
class _Asked:
    images: list[ImageInput]
    answer: Future[StreetEncoding] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class BatchingEncoder:
    """A bundle's encoder whose street tower is run by one thread for all callers.

    Attributes:
        waiting: requests that may wait for the tower.
    """

    def __init__(
        self,
        encoder: BundleEncoder,
        batch: int = 16,
        waiting: int = 64,
        timeout: float = 30.0,
        told: Told = lambda photos, waits: None,
    ) -> None:
        """
        Args:
            encoder: what is run.
            batch: photos to one run; one request's photos are never parted.
            waiting: requests in the queue.
            timeout: seconds after which a caller gives up.
            told: of each run.
        """
        self._encoder, self._batch, self._timeout, self._told = encoder, batch, timeout, told
        self._queue: queue.Queue[_Asked | None] = queue.Queue(waiting)
        self._ending, self._ended = threading.Lock(), False
        self._thread = threading.Thread(target=self._run, name="hemline-encoder", daemon=True)
        self._thread.start()

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
        """Requests that wait now."""
        return self._queue.qsize()

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        """As the bundle's encoder.

        Raises:
            Problem: too many wait already, or it took too long.
        """
        spec = self._encoder.bundle.info.preprocessing
        # Prepared ahead, so that small images wait in the queue and not whole photos.
        asked = _Asked(
            [i if isinstance(i, PreparedImage) else PreparedImage.of(i, spec) for i in images]
        )
        with self._ending:
            if self._ended:  # a rebuild has just taken its place: the last ones help themselves
                return self._encoder.encode_street(asked.images)
            try:
                self._queue.put_nowait(asked)
            except queue.Full:
                raise busy("too many photos are waiting; try again in a second") from None
        try:
            return asked.answer.result(self._timeout)
        except TimeoutError:
            asked.answer.cancel()
            raise busy("the photo waited too long for its turn; try again") from None

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        return self._encoder.encode_shop(images, tags)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        return self._encoder.rerank(local, contexts)

    def close(self) -> None:
        """Ends the thread when what is queued has been answered."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
        self._queue.put(None)
        self._thread.join(self._timeout)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            some, ended = self._gather(first)
            some = [asked for asked in some if asked.answer.set_running_or_notify_cancel()]
            if some:
                now = time.monotonic()
                self._told(
                    sum(len(asked.images) for asked in some), [now - asked.since for asked in some]
                )
                self._answer(some)
            if ended:
                return

    def _gather(self, first: _Asked) -> tuple[list[_Asked], bool]:
        """All that wait, up to a batch; and whether the end was among them."""
        some, photos = [first], len(first.images)
        while photos < self._batch:
            try:
                asked = self._queue.get_nowait()
            except queue.Empty:
                break
            if asked is None:
                return some, True
            some.append(asked)
            photos += len(asked.images)
        return some, False

    def _answer(self, some: Sequence[_Asked]) -> None:
        try:
            coded = self._encoder.encode_street([i for asked in some for i in asked.images])
        except Exception as error:
            if len(some) == 1:
                some[0].answer.set_exception(error)
                return
            for asked in some:  # one request's fault isn't the others'
                self._answer([asked])
            return
        start = 0
        for asked in some:
            part = slice(start, start + len(asked.images))
            local = None if coded.local is None else np.ascontiguousarray(coded.local[part])
            asked.answer.set_result(StreetEncoding(coded.embedding[part], local))
            start += len(asked.images)
