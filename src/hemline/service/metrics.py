"""Prometheus metrics: requests, steps of a search, runs of the tower, queues, the catalogue."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PHOTOS = (1, 2, 4, 8, 16, 32, 64)
#: Set for the processes of one service, so that each can report the sum of all of them.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"hemline_{name}", text, labels, registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS
        ) -> Histogram:
            return Histogram(f"hemline_{name}", text, labels, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, mode: Literal["livesum", "max"]) -> Gauge:
            return Gauge(f"hemline_{name}", text, registry=registry, multiprocess_mode=mode)

        self.requests = counter("requests", "Requests answered.", "method", "route", "status")
        self.refused = counter("refused", "Refused requests, by kind.", "kind")
        self.writes = counter("writes", "Products written, by status.", "what")
        self.feedback = counter("feedback", "Feedback on hits.", "right")
        self.seconds = histogram("request_seconds", "From request head to answer end.", "route")
        self.steps = histogram("step_seconds", "Steps of searches and detections.", "step")
        self._step = functools.cache(self.steps.labels)
        self.waits = histogram("queue_seconds", "Waiting for the street tower.")
        self.batch = histogram(
            "batch_photos", "Photos per run of the street tower.", buckets=_PHOTOS
        )
        self.inside = gauge("inside", "Requests in work or waiting.", "livesum")
        self.items = gauge("catalog_items", "Products.", "max")
        self.pictures = gauge("catalog_pictures", "Images.", "max")

    def on_run(self, photos: int, waited: float) -> None:
        """Counts a run of the street tower."""
        self.batch.observe(photos)
        self.waits.observe(waited)

    def timed(self, timings_ms: Mapping[str, float]) -> None:
        """Counts the steps of an answer."""
        for step, milliseconds in timings_ms.items():
            self._step(step).observe(milliseconds / 1000)

    def text(self) -> bytes:
        """The metrics of all processes of the service, in Prometheus's format."""
        if not os.environ.get(SHARED):
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)
