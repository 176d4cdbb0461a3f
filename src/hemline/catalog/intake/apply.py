"""Makes a catalogue equal to a shop's whole feed.

One product after another is brought to what the feed says of it, its old pictures leaving in the
commit that brings the new ones; then the products that the feed doesn't have leave. Each batch is
durable before it counts, and the whole is worked out anew from feed and catalogue at each run: so a
second run does nothing, and a run after a kill does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from hemline.catalog.images import Pictures
from hemline.catalog.intake.feed import BadRow
from hemline.catalog.intake.feed_items import Product, Products, Said, Wanted
from hemline.catalog.intake.ingest import batches, counted_tags, opened_ahead
from hemline.catalog.intake.opening import (
    New,
    Opened,
    Opener,
    Same,
    Skipped,
    Stored,
    alike,
    embed_and_store,
)
from hemline.catalog.intake.stamps import Stamp, Stamps
from hemline.catalog.store import Key, Row, Store
from hemline.encoding import Encoder
from hemline.errors import CatalogError, DataError
from hemline.types import Record

#: The share of the catalogue's products that a feed may drop without being asked about it.
REMOVALS = 0.2
#: The share of a feed's rows that may be bad.
BAD = 0.05
_GONE = 500  # products removed in one commit


@dataclass(slots=True)
class SyncReport:
    """What `Catalog.sync` did, or would do.

    Attributes:
        products: of the feed.
        new, changed, unchanged, gone: products.
        removal_share: gone products / products that were there.
        embedded: pictures that went through the shop tower.
        reused: pictures that took the vector of one with the same content.
        columns_only: pictures of which only columns were written.
        removed: pictures that left.
        kept: old pictures that stay because their product has no new one that can be opened.
        by_name: pictures of the feed that were found by the file name of their address.
        skipped: pictures that can't be opened.
        without_picture: products of the feed that have no picture that can be opened, and aren't in
            the catalogue.
        bad: rows of the feed that can't be used.
        duplicates: numbers that several rows have; the last of them counts.
        unread_prices: column → how many cells are no price.
        unknown_tags: tag → how often it came, of tags that the bundle doesn't know.
        dry_run: nothing was changed.
    """

    products: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    removal_share: float = 0.0
    embedded: int = 0
    reused: int = 0
    columns_only: int = 0
    removed: int = 0
    kept: int = 0
    by_name: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    without_picture: list[str] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unread_prices: dict[str, int] = field(default_factory=dict)
    unknown_tags: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False


class Removals(NamedTuple):
    """What a feed would take out: products, of how many that the catalogue has."""

    gone: int
    of: int

    @property
    def share(self) -> float:
        return self.gone / self.of if self.of else 0.0


class _There:
    """What the catalogue has before a run: its pictures by product and by content."""

    def __init__(self, keys: Iterator[Key]) -> None:
        self.items: dict[str, dict[str, str]] = {}
        self.sources: dict[str, str] = {}
        for key in keys:
            self.items.setdefault(key.item_id, {})[key.image_id] = key.picture
            self.sources.setdefault(key.source, key.image_id)


class _Unit(NamedTuple):
    """A few products on their way in."""

    products: Sequence[Product]
    known: Mapping[str, Row]
    noted: dict[Path, Stamp]


@dataclass(slots=True)
class Sync:
    """One run.

    Attributes:
        store, pictures, encoder, opener, stamps: what it works with.
        feed: what the catalogue shall have.
        batch: pictures to a commit, about.
        workers: threads that open pictures.
        dry_run: only says what it would do.
    """

    store: Store
    pictures: Pictures | None
    encoder: Encoder
    opener: Opener
    stamps: Stamps
    feed: Products
    batch: int
    workers: int
    dry_run: bool
    wanted: set[str] = field(init=False)

    def __post_init__(self) -> None:
        products = self.feed.products.values()
        self.wanted = {picture.image_id for one in products for picture in one.pictures}

    def run(
        self,
        allowed: Callable[[Removals], bool],
        max_bad: float,
        advance: Callable[[int, int], None],
    ) -> SyncReport:
        """
        Raises:
            DataError: too many rows of the feed are bad, or it has no product.
            CatalogError: it would take out more than is ``allowed``; nothing was changed.
        """
        report = self._report(max_bad)
        there = _There(self.store.row_keys())
        gone = [item for item in there.items if item not in self.feed.products]
        removals = Removals(len(gone), len(there.items))
        if gone and not self.dry_run and not allowed(removals):
            raise CatalogError(
                f"the feed lacks {len(gone)} of the catalogue's {removals.of} products "
                f"({removals.share:.2f} of them), more than may leave unasked; nothing was "
                f"changed. If they shall leave: --allow-removals {_up(removals.share)}, or --yes"
            )
        report.gone = len(gone)
        report.removal_share = round(removals.share, 4)
        dropped = self._bring_in(there, report, advance)
        for item in gone:
            report.removed += len(there.items[item].keys() - self.wanted)
            dropped |= {digest for digest in there.items[item].values() if digest}
        if not self.dry_run:
            for some in batches(gone, _GONE):
                self.store.remove(some)
            if dropped and self.pictures:
                self.pictures.drop(dropped - self.store.pictures())
        return report

    def _report(self, max_bad: float) -> SyncReport:
        feed = self.feed
        if feed.bad and len(feed.bad) > max_bad * feed.rows:
            first = feed.bad[0]
            raise DataError(
                f"{len(feed.bad)} rows of the feed can't be used (the first, line {first.line}: "
                f"{first.reason}), more than {max_bad:g} of them; nothing was changed"
            )
        if not feed.products:
            raise DataError("the feed has no product; nothing was changed")
        files = [p.file for product in feed.products.values() for p in product.pictures]
        if all(file.path is None for file in files):
            first_file = f"; the first, {files[0].name}, {files[0].problem}" if files else ""
            raise DataError(
                f"none of the feed's {len(files)} pictures is there{first_file} (nothing was "
                "changed)"
            )
        return SyncReport(
            products=len(feed.products),
            by_name=feed.by_name,
            bad=feed.bad,
            duplicates=feed.duplicates,
            unread_prices=feed.unread,
            dry_run=self.dry_run,
        )

    def _bring_in(
        self, there: _There, report: SyncReport, advance: Callable[[int, int], None]
    ) -> set[str]:
        """New and changed products; gives the digests of copies that lost a row."""
        wanted = self.wanted
        self.opener.twin = lambda source: self._twin(there, source)
        dropped: set[str] = set()
        done = opened_all = 0
        with counted_tags(self.encoder) as unknown:
            for unit, opened in opened_ahead(self._units(), self._start, self.workers):
                leaving = _Leaving(there, wanted, unit.products)
                stored = self._store(unit, opened, leaving)
                self._count(unit, stored, leaving, there, report)
                dropped |= stored.dropped
                done += len(opened)
                opened_all += len(opened) - len(stored.skipped)
                advance(done, len(wanted))
        report.unknown_tags = dict(unknown)
        if not opened_all and report.skipped:
            first = report.skipped[0]
            raise DataError(
                f"none of the feed's {len(report.skipped)} pictures can be opened; the first, "
                f"{first.path}: {first.reason}"
            )
        return dropped

    def _units(self) -> Iterator[list[Product]]:
        """Products with about a batch of pictures together."""
        some: list[Product] = []
        count = 0
        for product in self.feed.products.values():
            if some and count + len(product.pictures) > self.batch:
                yield some
                some, count = [], 0
            some.append(product)
            count += len(product.pictures)
        if some:
            yield some

    def _start(
        self, products: Sequence[Product], pool: ThreadPoolExecutor
    ) -> tuple[_Unit, list[Future[Opened]]]:
        pictures = [(product, picture) for product in products for picture in product.pictures]
        known = self.store.get([picture.image_id for _, picture in pictures])
        known |= {row.image_id: row for row in self.store.items([p.item_id for p in products])}
        stamps = self.stamps.known(p.path for _, p in pictures if p.path is not None)
        unit = _Unit(products, known, {})
        return unit, [
            pool.submit(self._open, unit, product, picture, stamps) for product, picture in pictures
        ]

    def _open(
        self, unit: _Unit, product: Product, picture: Wanted, stamps: Mapping[Path, Stamp]
    ) -> Opened:
        path = picture.path
        if path is None:
            return Skipped(picture.image_id, picture.file.name, picture.file.problem)
        record = _record(product, picture)
        old = unit.known.get(picture.image_id)
        return self.opener.open(record, path, old, stamps.get(path), unit.noted)

    def _twin(self, there: _There, source: str) -> Row | None:
        image_id = there.sources.get(source)
        return None if image_id is None else self.store.get([image_id]).get(image_id)

    def _store(self, unit: _Unit, opened: Sequence[Opened], leaving: _Leaving) -> Stored:
        opened = [*opened, *self._kept(unit, opened)]
        if self.dry_run:
            stored = _foretold(opened)
            leaving(stored)
            return stored
        stored = embed_and_store(
            self.store, self.pictures, self.encoder, opened, unit.known, leaving
        )
        self.stamps.note(unit.noted)
        return stored

    def _kept(self, unit: _Unit, opened: Sequence[Opened]) -> Iterator[Same]:
        """Old pictures that stay though the feed's can't be opened, with what the feed says now."""
        lost = {one.image_id for one in opened if isinstance(one, Skipped)}
        for product in unit.products:
            for picture in product.pictures:
                old = unit.known.get(picture.image_id)
                if old is not None and picture.image_id in lost:
                    yield self._with(old, product, picture.said)
            if all(picture.image_id in lost for picture in product.pictures):
                for old in unit.known.values():
                    if old.item_id == product.item_id and old.image_id not in self.wanted:
                        yield self._with(old, product, product.said)

    def _with(self, old: Row, product: Product, said: Said) -> Same:
        """An old row with other columns; its tags stay where its vector was made with them."""
        tags = old.tags if self.opener.info.uses_tags else said.tags
        row = replace(
            old,
            item_id=product.item_id,
            category=said.category,
            tags=tags,
            columns=said.columns,
        )
        return Same(None if alike(row, old) else row)

    def _count(
        self, unit: _Unit, stored: Stored, leaving: _Leaving, there: _There, report: SyncReport
    ) -> None:
        report.embedded += len(stored.new) + len(stored.again)
        report.reused += len(stored.twins)
        report.columns_only += len(stored.columns)
        report.removed += len(leaving.gone)
        report.kept += leaving.kept
        report.skipped += stored.skipped
        written = {*stored.new, *stored.again, *stored.twins, *stored.columns}
        lost = {one.image_id for one in stored.skipped}
        for product in unit.products:
            ids = {picture.image_id for picture in product.pictures}
            before = set(there.items.get(product.item_id, ()))
            if not before and ids <= lost:
                report.without_picture.append(product.item_id)
            elif not before:
                report.new += 1
            elif (ids | before) & written or before & leaving.gone.keys():
                report.changed += 1
            else:
                report.unchanged += 1


class _Leaving:
    """Which old pictures of some products leave, once it is known what of the new is stored."""

    def __init__(self, there: _There, wanted: set[str], products: Sequence[Product]) -> None:
        self.there, self.wanted, self.products = there, wanted, products
        self.gone: dict[str, str] = {}
        self.kept = 0

    def __call__(self, stored: Stored) -> Mapping[str, str]:
        lost = {one.image_id for one in stored.skipped}
        for product in self.products:
            old = self.there.items.get(product.item_id, {})
            gone = {image_id: copy for image_id, copy in old.items() if image_id not in self.wanted}
            if all(picture.image_id in lost for picture in product.pictures):
                self.kept += len(gone)  # better an old picture than none
            else:
                self.gone |= gone
        return self.gone


def _record(product: Product, picture: Wanted) -> Record:
    return Record(
        image_id=picture.image_id,
        path=picture.file.name,
        item_id=product.item_id,
        domain="shop",
        category=picture.said.category,
        tags=picture.said.tags,
        extra=picture.said.columns,
    )


def _foretold(opened: Sequence[Opened]) -> Stored:
    """What would be stored."""
    stored = Stored(skipped=[one for one in opened if isinstance(one, Skipped)])
    for one in opened:
        if isinstance(one, New):
            (stored.again if one.known else stored.new).append(one.row.image_id)
        elif isinstance(one, Same) and one.row is not None:
            (stored.twins if one.twin else stored.columns).append(one.row.image_id)
        elif isinstance(one, Same):
            stored.same += 1
    return stored


def _up(share: float) -> str:
    """A share with two digits that isn't smaller."""
    return f"{-(-share * 100 // 1) / 100:g}"
