"""Prometheus metrics: requests, steps of a search, runs of the tower, queues, the catalogue."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, Literal, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE_LATEST", "Families", "Metrics"]

Kind = TypeVar("Kind", Counter, Histogram)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PHOTOS = (1, 2, 4, 8, 16, 32, 64)
#: Set for the processes of one service, so that each can report the sum of all of them.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Families:
    """The metrics of one process: each with the label ``shop`` where it serves several."""

    def __init__(self, shops: bool = False) -> None:
        registry = self.registry = CollectorRegistry()
        self.shops = shops
        first = ("shop",) if shops else ()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"hemline_{name}", text, (*first, *labels), registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS
        ) -> Histogram:
            names = (*first, *labels)
            return Histogram(f"hemline_{name}", text, names, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, mode: Literal["livesum", "max"]) -> Gauge:
            name = f"hemline_{name}"
            return Gauge(name, text, first, registry=registry, multiprocess_mode=mode)

        self.requests = counter("requests", "Requests answered.", "method", "route", "status")
        self.refused = counter("refused", "Refused requests, by kind.", "kind")
        self.writes = counter("writes", "Products written, by status.", "what")
        self.feedback = counter("feedback", "Feedback on hits.", "right")
        self.seconds = histogram("request_seconds", "From request head to answer end.", "route")
        self.steps = histogram("step_seconds", "Steps of searches and detections.", "step")
        self.waits = histogram("queue_seconds", "Waiting for the street tower.")
        self.batch = histogram(
            "batch_photos", "Photos per run of the street tower.", buckets=_PHOTOS
        )
        self.inside = gauge("inside", "Requests in work or waiting.", "livesum")
        self.items = gauge("catalog_items", "Products.", "max")
        self.pictures = gauge("catalog_pictures", "Images.", "max")

    def text(self, shop: str | None = None) -> bytes:
        """The metrics of all processes of the service, in Prometheus's format; those of one shop
        where ``shop`` is given."""
        everyone = self.registry
        if os.environ.get(SHARED):
            everyone = CollectorRegistry()
            MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        if shop is None or not self.shops:
            return generate_latest(everyone)
        own = CollectorRegistry()
        own.register(_OneShop(everyone, shop))
        return generate_latest(own)


class _OneShop(Collector):
    """The series of one shop."""

    def __init__(self, registry: CollectorRegistry, shop: str) -> None:
        self._registry, self._shop = registry, shop

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if s.labels.get("shop") == self._shop]
            yield metric


class _Labelled(Generic[Kind]):
    """A family whose first labels are set."""

    def __init__(self, family: Kind, *first: str) -> None:
        self._family: Kind = family
        self._first = first

    def labels(self, *values: str) -> Kind:
        child: Kind = self._family.labels(*self._first, *values)
        return child


class Metrics:
    """The metrics of one catalogue, or with ``shop`` "" of what belongs to none of several.

    Names of shops come from the settings alone, so no client makes a series.
    """

    def __init__(self, families: Families | None = None, shop: str = "") -> None:
        own = self._families = families or Families()
        self._shop = shop
        first = (shop,) if own.shops else ()
        self.requests = _Labelled(own.requests, *first)
        self.refused = _Labelled(own.refused, *first)
        self.writes = _Labelled(own.writes, *first)
        self.feedback = _Labelled(own.feedback, *first)
        self.seconds = _Labelled(own.seconds, *first)
        self.steps = _Labelled(own.steps, *first)
        self._step = functools.cache(self.steps.labels)
        self.waits = own.waits.labels(shop) if own.shops else own.waits
        self.batch = own.batch.labels(shop) if own.shops else own.batch
        self.inside = own.inside.labels(shop) if own.shops else own.inside
        self.items = own.items.labels(shop) if own.shops else own.items
        self.pictures = own.pictures.labels(shop) if own.shops else own.pictures

    def on_run(self, photos: int, waited: float) -> None:
        """Counts a run of the street tower."""
        self.batch.observe(photos)
        self.waits.observe(waited)

    def timed(self, timings_ms: Mapping[str, float]) -> None:
        """Counts the steps of an answer."""
        for step, milliseconds in timings_ms.items():
            self._step(step).observe(milliseconds / 1000)

    def text(self) -> bytes:
        """The catalogue's metrics of all processes of the service, in Prometheus's format."""
        return self._families.text(self._shop)
