"""Writes to the catalogue, one after the other, in one thread of one process.

A write is answered when it is on the disk: what was acknowledged survives a kill.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.catalog.images import MAX_SIDE, QUALITY
from hemline.catalog.intake.opening import New, Opened, Same, Stored, embed_and_store
from hemline.catalog.pointer import Live
from hemline.catalog.store import Row
from hemline.data.images import encode_jpeg, open_image
from hemline.data.preprocess import PreparedImage
from hemline.errors import CatalogBusy, HemlineError, ImageError, UsageError
from hemline.service.metrics import Metrics
from hemline.service.problems import busy
from hemline.service.settings import Settings

T = TypeVar("T")
What = Literal["added", "updated", "unchanged", "removed", "refused"]
#: Seconds that a write waits for another program that writes to the catalogue.
_PATIENCE = 10.0
#: Columns that mean something else.
_TAKEN = ("item_id", "image_id", "category", "tags", "score", "rank")


@dataclass(slots=True)
class Put:
    """A product to be stored as it is given.

    Attributes:
        item_id: the product.
        columns, category, tags: replace what is stored.
        pictures: bytes of image files; they replace those that are there. None keeps them.
        remove: the product leaves instead.
    """

    item_id: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    category: str = ""
    tags: tuple[str, ...] = ()
    pictures: Sequence[bytes] | None = None
    remove: bool = False


@dataclass(slots=True)
class Done:
    """What became of a product; ``why`` where it was refused."""

    item_id: str
    what: What
    pictures: int = 0
    why: str = ""


class Writer:
    """The one writer."""

    def __init__(self, catalog: Catalog, settings: Settings, metrics: Metrics) -> None:
        self._catalog, self._settings, self._metrics = catalog, settings, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hemline-writer")
        self._waiting = 0
        self._counting = threading.Lock()

    async def run(self, job: Callable[[], T]) -> T:
        """Runs a write in its turn and waits until it is durable, also if nobody listens any more.

        Raises:
            Problem: 503 where too many writes wait.
        """
        with self._counting:
            if self._waiting >= self._settings.queue:
                raise busy("too many writes are waiting; try again in a second")
            self._waiting += 1
        try:
            running = self._thread.submit(job)
        except RuntimeError:
            self._left()
            raise busy("the server is about to end; try again in a while", 5) from None
        running.add_done_callback(lambda _: self._left())
        return await asyncio.shield(asyncio.wrap_future(running))

    def call(self, job: Callable[[], T]) -> T:
        """`run` for a thread that waits."""
        return self._thread.submit(job).result()

    def _left(self) -> None:
        with self._counting:
            self._waiting -= 1

    def close(self) -> None:
        """Ends when all that waits is written."""
        self._thread.shutdown(wait=True)

    # In the writer's thread

    def put(self, products: Sequence[Put]) -> list[Done]:
        """Stores (or removes) products in one durable commit for each run of the same kind.

        A product of which a picture can't be opened is refused whole; the others are stored.

        Raises:
            CatalogError: another program writes, or no room; nothing of this commit is stored.
        """
        with self._writing() as live:
            done: list[Done] = []
            for part in _runs(products):
                done += self._remove(live, part) if part[0].remove else self._store(live, part)
        for one in done:
            self._metrics.writes.labels(one.what).inc()
        return done

    def patch(
        self,
        item_id: str,
        columns: Mapping[str, Any],
        category: str | None,
        tags: Sequence[str] | None,
    ) -> Done | None:
        """Changes some columns of a product (None takes one out); None where there is no such."""
        with self._writing() as live:
            rows = live.store.items([item_id])
            if not rows:
                return None
            merged = {**rows[0].columns, **columns}
            product = Put(
                item_id,
                {name: value for name, value in merged.items() if value is not None},
                rows[0].category if category is None else category,
                rows[0].tags if tags is None else tuple(tags),
            )
            (done,) = self._store(live, [product])
        self._metrics.writes.labels(done.what).inc()
        return done

    def remove(self, item_ids: Sequence[str]) -> int:
        """How many of them were there."""
        with self._writing() as live:
            done = self._remove(live, [Put(item_id, remove=True) for item_id in item_ids])
        return sum(one.what == "removed" for one in done)

    def _writing(self) -> Any:
        return _Patient(self._catalog)

    def _remove(self, live: Live, products: Sequence[Put]) -> list[Done]:
        removed = self._catalog.remove([product.item_id for product in products])
        return [
            Done(p.item_id, "removed", removed[p.item_id])
            if p.item_id in removed
            else Done(p.item_id, "unchanged", why="there is no such product")
            for p in products
        ]

    def _store(self, live: Live, products: Sequence[Put]) -> list[Done]:
        old: dict[str, list[Row]] = {}
        for row in live.store.items([product.item_id for product in products]):
            old.setdefault(row.item_id, []).append(row)
        known = {row.image_id: row for rows in old.values() for row in rows}
        done, opened, leaving = [], list[Opened](), dict[str, str]()
        for product in products:
            rows = old.get(product.item_id, [])
            try:
                check(product)
                own = self._opened(live, product, rows)
            except HemlineError as error:
                done.append(Done(product.item_id, "refused", why=str(error)))
                continue
            kept = {one.row.image_id for one in own if isinstance(one, New | Same) and one.row}
            kept |= {row.image_id for row in rows if self._same(product, row)}
            gone = {row.image_id: row.picture for row in rows if row.image_id not in kept}
            leaving |= gone
            opened += own
            changed = bool(gone) or any(not (isinstance(o, Same) and o.row is None) for o in own)
            what: What = ("updated" if changed else "unchanged") if rows else "added"
            done.append(Done(product.item_id, what, len(own)))
        if opened or leaving:
            stored = embed_and_store(
                live.store, self._catalog.pictures, live.encoder(), opened, known, lambda _: leaving
            )
            self._tidy(live, stored)
        return done

    def _same(self, product: Put, row: Row) -> bool:
        if product.pictures is None:
            return True
        return row.source in {_digest(data) for data in product.pictures}

    def _opened(self, live: Live, product: Put, rows: Sequence[Row]) -> list[Opened]:
        """Its pictures, each ready to be stored.

        Raises:
            UsageError: a new product without a picture.
            ImageError: a picture that can't be opened.
        """
        info = live.bundle.info
        by_source = {row.source: row for row in rows}
        pictures: list[tuple[str, bytes | None, Row | None]] = []
        if product.pictures is None:
            pictures += [(row.source, None, row) for row in rows]
        for given in product.pictures or ():
            source = _digest(given)
            if source not in {seen for seen, _, _ in pictures}:
                pictures.append((source, given, by_source.get(source)))
        if not pictures:
            raise UsageError("a product needs a picture, and none was given")
        found: list[Opened] = []
        for number, (source, data, row) in enumerate(pictures, 1):
            fresh = Row(
                image_id=row.image_id if row else f"{product.item_id}/{source[:16]}",
                item_id=product.item_id,
                embedding=np.zeros(0, np.float32),
                norm=0.0,
                category=product.category,
                tags=product.tags,
                columns=dict(product.columns),
                source=source,
            )
            if row is not None and not (info.uses_tags and row.tags != product.tags):
                filled = replace(
                    row, category=fresh.category, tags=fresh.tags, columns=fresh.columns
                )
                found.append(Same(None if _alike(filled, row) else filled))
                continue
            found.append(self._new(live, fresh, row, data, number))
        return found

    def _new(self, live: Live, fresh: Row, row: Row | None, data: bytes | None, number: int) -> New:
        """A picture to embed: of its bytes, or of the stored copy where only the tags changed."""
        if data is None and row is not None:
            path = self._catalog.picture(row)
            if path is None:
                raise UsageError("the catalogue keeps no pictures; send them along")
            data = path.read_bytes() if path.is_file() else b""
        try:
            image = open_image(data or b"", self._settings.max_pixels, name="the picture")
        except ImageError as error:
            raise ImageError(f"picture {number}: {error}") from None
        copy = encode_jpeg(image, QUALITY, MAX_SIDE)
        prepared = PreparedImage.of(image, live.bundle.info.preprocessing)
        return New(fresh, prepared, copy, row is not None)

    def _tidy(self, live: Live, stored: Stored) -> None:
        """Deletes the copies that no row refers to any more."""
        if stored.dropped and self._catalog.pictures:
            self._catalog.pictures.drop(stored.dropped - live.store.pictures())


class _Patient:
    """The right to write, waited for a while."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._held: Any = None

    def __enter__(self) -> Live:
        end = time.monotonic() + _PATIENCE
        while True:
            self._held = self._catalog.writing()
            try:
                live: Live = self._held.__enter__()
                return live
            except CatalogBusy:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.05)

    def __exit__(self, *error: Any) -> None:
        self._held.__exit__(*error)


def check(product: Put) -> None:
    """
    Raises:
        UsageError: a name that can't be stored.
    """
    if not 1 <= len(product.item_id) <= 200 or any(ord(c) < 32 for c in product.item_id):
        raise UsageError("an item_id has 1 to 200 characters, none of them a control character")
    for name in product.columns:
        if name in _TAKEN or not 1 <= len(name) <= 100:
            raise UsageError(
                f"{name[:100]!r} can't be a column: it has 1 to 100 characters and isn't one of "
                + ", ".join(_TAKEN)
            )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:40]


def _alike(row: Row, old: Row) -> bool:
    return (row.category, row.tags) == (old.category, old.tags) and dict(row.columns) == dict(
        old.columns
    )


def _runs(products: Sequence[Put]) -> list[list[Put]]:
    """Runs that one commit can take: all stored or all removed, no product twice."""
    runs: list[list[Put]] = []
    for product in products:
        last = runs[-1] if runs else None
        if (
            last is None
            or last[0].remove != product.remove
            or any(one.item_id == product.item_id for one in last)
        ):
            runs.append([product])
        else:
            last.append(product)
    return runs
