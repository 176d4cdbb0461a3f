"""Dynamic batching: photos that arrive at the same time go through the street tower together.

One thread runs the tower. While it is busy, calls wait in a bounded queue; when it is free, it
takes all that wait, up to a batch. So a single caller never waits for others to come, and batches
grow with the load.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

import numpy as np

from hemline.data.preprocess import ImageInput, PreparedImage
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.errors import BusyError, StoppedError
from hemline.runtime.encoder import BundleEncoder
from hemline.types import FloatArray
from hemline.work import Work, present

#: Called for each run with its number of photos and the seconds that each of its calls has waited.
OnRun = Callable[[int, Sequence[float]], None]


@dataclass(slots=True)
class _Call:
    images: list[ImageInput]
    work: Work
    answer: Future[StreetEncoding] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class BatchingEncoder:
    """An encoder whose street tower is run by one thread for all callers."""

    def __init__(
        self,
        encoder: BundleEncoder,
        batch: int = 16,
        waiting: int = 64,
        timeout: float = 30.0,
        on_run: OnRun = lambda photos, waits: None,
    ) -> None:
        """
        Args:
            encoder: the bundle's encoder.
            batch: photos per run; the photos of one call are never split.
            waiting: calls that the queue holds.
            timeout: seconds after which a caller gives up.
            on_run: called for each run.
        """
        self._encoder, self._batch, self._timeout, self._on_run = encoder, batch, timeout, on_run
        self._queue: queue.Queue[_Call | None] = queue.Queue(waiting)
        self._closing, self._closed = threading.Lock(), False
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
        """Number of calls that wait."""
        return self._queue.qsize()

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        """As `BundleEncoder.encode_street`.

        Raises:
            BusyError: the queue is full, or the call has waited too long.
        """
        spec = self._encoder.bundle.info.preprocessing
        # Prepared ahead, so that small images wait in the queue and not whole photos.
        call = _Call(
            [i if isinstance(i, PreparedImage) else PreparedImage.of(i, spec) for i in images],
            present(),
        )
        with self._closing:
            if self._closed:  # a rebuild has just replaced it: its last callers run the tower
                return self._encoder.encode_street(call.images)
            try:
                self._queue.put_nowait(call)
            except queue.Full:
                raise BusyError("too many photos are waiting; try again in a second") from None
        try:
            return call.answer.result(self._timeout)
        except CancelledError:
            raise StoppedError("the request has ended before its answer") from None
        except TimeoutError:
            call.answer.cancel()
            raise BusyError("the photo waited too long for its turn; try again") from None

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        return self._encoder.encode_shop(images, tags)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        return self._encoder.rerank(local, contexts)

    def close(self) -> None:
        """Ends the thread after the calls that wait have been answered."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join(self._timeout)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            calls, ended = self._gather(first)
            for call in calls:
                if call.work.stopped:  # nobody waits for it
                    call.answer.cancel()
            calls = [call for call in calls if call.answer.set_running_or_notify_cancel()]
            if calls:
                now = time.monotonic()
                photos = sum(len(call.images) for call in calls)
                self._on_run(photos, [now - call.since for call in calls])
                self._answer(calls)
            if ended:
                return

    def _gather(self, first: _Call) -> tuple[list[_Call], bool]:
        """The calls that wait, up to a batch; and whether the queue has ended."""
        calls, photos = [first], len(first.images)
        while photos < self._batch:
            try:
                call = self._queue.get_nowait()
            except queue.Empty:
                break
            if call is None:
                return calls, True
            calls.append(call)
            photos += len(call.images)
        return calls, False

    def _answer(self, calls: Sequence[_Call]) -> None:
        try:
            encoded = self._encoder.encode_street([i for call in calls for i in call.images])
        except Exception as error:
            if len(calls) == 1:
                calls[0].answer.set_exception(error)
                return
            for call in calls:  # one call's fault must not fail the others
                self._answer([call])
            return
        start = 0
        for call in calls:
            part = slice(start, start + len(call.images))
            local = None if encoded.local is None else np.ascontiguousarray(encoded.local[part])
            call.answer.set_result(StreetEncoding(encoded.embedding[part], local))
            start += len(call.images)
