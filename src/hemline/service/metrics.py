"""Prometheus metrics: requests, steps of a search, batches, queues, the catalogue."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

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

_STEPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Set for the processes of one service, so that each can report the sum of all of them.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            *("hemline_requests", "Requests answered.", ["method", "route", "status"]),
            registry=registry,
        )
        self.seconds = Histogram(
            *("hemline_request_seconds", "From the request's head to its answer's end.", ["route"]),
            buckets=_STEPS,
            registry=registry,
        )
        self.steps = Histogram(
            *("hemline_step_seconds", "Steps of searches and detections.", ["step"]),
            buckets=_STEPS,
            registry=registry,
        )
        self.batch = Histogram(
            "hemline_batch_photos",
            "Photos in one run of the street tower.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.waits = Histogram(
            *("hemline_queue_seconds", "Waiting for the street tower."),
            buckets=_STEPS,
            registry=registry,
        )
        self.refused = Counter(
            *("hemline_refused", "Refused requests, by kind.", ["kind"]), registry=registry
        )
        self.writes = Counter(
            *("hemline_writes", "Products written, by status.", ["what"]), registry=registry
        )
        self.feedback = Counter(
            *("hemline_feedback", "Feedback on hits.", ["right"]), registry=registry
        )
        self.inside = Gauge(
            *("hemline_inside", "Requests at work or waiting now."),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.items = Gauge(
            *("hemline_catalog_items", "Products."), registry=registry, multiprocess_mode="max"
        )
        self.pictures = Gauge(
            *("hemline_catalog_pictures", "Pictures."), registry=registry, multiprocess_mode="max"
        )

    def on_run(self, photos: int, waits: Sequence[float]) -> None:
        """Counts a run of the street tower."""
        self.batch.observe(photos)
        for seconds in waits:
            self.waits.observe(seconds)

    def timed(self, timings_ms: Mapping[str, float]) -> None:
        """Counts the steps of an answer."""
        for step, milliseconds in timings_ms.items():
            self.steps.labels(step).observe(milliseconds / 1000)

    def text(self) -> bytes:
        """The metrics of all processes of the service, in Prometheus's format."""
        if not os.environ.get(SHARED):
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)
