"""From a manifest to rows: what is there already is skipped, what changed is done again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hemline.catalog.folders import same_print
from hemline.catalog.images import Pictures
from hemline.catalog.intake.opening import Opened, Opener, Skipped, embed_and_store
from hemline.catalog.pointer import Live
from hemline.catalog.store import Row, Store
from hemline.data.manifest import Manifest
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.types import Record

B = TypeVar("B")
C = TypeVar("C")

#: Columns of an export that are no columns of a product.
VECTORS = ("embedding", "norm")

__all__ = ["VECTORS", "AddReport", "Skipped", "gallery", "ingest"]


@dataclass(slots=True)
class AddReport:
    """What `Catalog.add` did, in pictures.

    Attributes:
        added: new ones.
        embedded_again: known ones whose picture or tags changed.
        updated: known ones of which only columns changed.
        unchanged: there already.
        skipped: those that can't be opened.
        unknown_tags: tag → how often it came, of tags that the bundle doesn't know.
        whole: new and embedded again, without a garment of their category to crop.
    """

    added: int = 0
    embedded_again: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    unknown_tags: dict[str, int] = field(default_factory=dict)
    whole: int = 0

    @property
    def stored(self) -> int:
        """Rows that were written."""
        return self.added + self.embedded_again + self.updated


def gallery(manifest: Manifest) -> Manifest:
    """The rows of a manifest that a catalogue takes: role ``gallery``, or shop rows without role.

    Raises:
        UsageError: there is none.
    """
    roles, domains = manifest.column("role"), manifest.column("domain")
    mask = (roles == "gallery") | ((roles == "") & (domains == "shop"))
    if not mask.any():
        raise UsageError(
            f"none of the {len(manifest)} rows is for a catalogue: those of domain 'shop' or of "
            "role 'gallery' are"
        )
    kept = manifest.select(mask)
    vectors = [name for name in VECTORS if name in kept.names]
    return Manifest(kept.table.drop_columns(vectors), kept.root)


def ingest(
    store: Store,
    pictures: Pictures | None,
    manifest: Manifest,
    encoder: Encoder,
    *,
    opener: Opener,
    batch: int,
    workers: int,
    advance: Callable[[int, int], None],
) -> AddReport:
    """Adds every row of ``manifest``; each batch is one commit, and then it is told to ``advance``.

    The caller holds ``store.writing()``.
    """
    report = AddReport()
    done = 0

    def start(
        records: Sequence[Record], pool: ThreadPoolExecutor
    ) -> tuple[dict[str, Row], list[Future[Opened]]]:
        known = store.get([record.image_id for record in records])
        return known, [
            pool.submit(
                opener.open, record, manifest.root / record.path, known.get(record.image_id)
            )
            for record in records
        ]

    with counted_tags(encoder) as unknown:
        for known, opened in opened_ahead(batches(manifest, batch), start, workers):
            stored = embed_and_store(store, pictures, encoder, opened, known)
            report.added += len(stored.new)
            report.embedded_again += len(stored.again)
            report.updated += len(stored.columns) + len(stored.twins)
            report.unchanged += stored.same
            report.skipped += stored.skipped
            done += len(opened)
            advance(done, len(manifest))
    report.unknown_tags = dict(unknown)
    report.whole = opener.crop.whole
    return report


@contextmanager
def counted_tags(encoder: Encoder) -> Iterator[Counter[str]]:
    """Gives a count that holds, at the end, the tags that the encoder didn't know meanwhile."""
    # Only the encoder of a bundle counts them.
    seen: Any = getattr(encoder, "unknown_tags", Counter())
    before: Counter[str] = Counter(seen)
    count: Counter[str] = Counter()
    yield count
    count.update(seen - before)


def opened_ahead(
    work: Iterable[B],
    start: Callable[[B, ThreadPoolExecutor], tuple[C, list[Future[Opened]]]],
    workers: int,
) -> Iterator[tuple[C, list[Opened]]]:
    """What ``start`` gives for each piece of work, with the opened pictures.

    The pictures of the next piece are opened while those of one are embedded.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="catalog-add") as pool:
        waiting: tuple[C, list[Future[Opened]]] | None = None
        try:
            for one in work:
                ahead = start(one, pool)
                if waiting is not None:
                    yield waiting[0], [future.result() for future in waiting[1]]
                waiting = ahead
            if waiting is not None:
                yield waiting[0], [future.result() for future in waiting[1]]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def batches(values: Iterable[B], size: int) -> Iterator[list[B]]:
    """Lists of ``size``; the last may be shorter."""
    some: list[B] = []
    for value in values:
        some.append(value)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def workers_of(batch: int, workers: int | None) -> int:
    """How many threads open pictures.

    Raises:
        UsageError: a number that makes no sense.
    """
    if batch < 1 or (workers is not None and workers < 1):
        raise UsageError(f"batch and workers are at least 1, not {batch} and {workers}")
    return workers or min(4, os.cpu_count() or 1)


def coder_of(live: Live, encoder: Encoder | None) -> Encoder:
    """The given encoder if it is the bundle's, or the bundle's own.

    Raises:
        CatalogError: it is another bundle's.
    """
    coder = encoder or live.encoder()
    same_print(live.store, coder.fingerprint, f"the encoder {coder.name}")
    return coder
