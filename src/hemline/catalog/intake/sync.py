"""`Catalog.sync`: makes a catalogue equal to a shop's whole product feed.

First every item of the feed is brought to what the feed says of it; then the items that it doesn't
have are removed.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog.intake import feed_map
from hemline.catalog.intake.crops import find_crop
from hemline.catalog.intake.feed import BadRow, Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_items import FeedItems, read_items
from hemline.catalog.intake.feed_map import FeedMapping
from hemline.catalog.intake.manifest import checked_encoder
from hemline.catalog.intake.options import Removals, SyncOptions
from hemline.catalog.intake.prepare import Preparer
from hemline.catalog.intake.stamps import Stamps
from hemline.catalog.intake.update import ImageReport, ItemUpdate
from hemline.catalog.intake.upsert import Upsert
from hemline.catalog.store import Advance, Row, Store
from hemline.data.remote.fetcher import Fetcher
from hemline.errors import CatalogError, DataError, UsageError

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog


@dataclass(slots=True)
class SyncReport:
    """What `Catalog.sync` did, or would do.

    Attributes:
        images: what became of the images.
        items: number of items of the feed.
        new, changed, unchanged: of these items.
        removed_items: items that the feed doesn't have.
        removal_share: removed items / items that were stored.
        by_name: images of the feed that were found by the file name of their address.
        without_image: items of the feed that have no image that can be opened, and aren't stored.
        bad: rows of the feed that can't be used.
        duplicates: ids that several rows have; the last of them counts.
        unread_prices: column → number of cells that are no price.
        dry_run: nothing was changed.
    """

    images: ImageReport = field(default_factory=ImageReport)
    items: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed_items: int = 0
    removal_share: float = 0.0
    by_name: int = 0
    without_image: list[str] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unread_prices: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False


def sync(catalog: Catalog, path: Path, options: SyncOptions, advance: Advance) -> SyncReport:
    """See `Catalog.sync`."""
    new = options.given_mapping()
    mapping = feed_map.load(catalog.folder).changed(new)
    crop = find_crop(mapping.crop or "none", catalog.live().bundle)
    items = _read(path, mapping, options.remote)
    held = nullcontext(catalog.live()) if options.dry_run else catalog.writing()
    with held as live:
        encoder = checked_encoder(live, options.encoder)
        stamps = Stamps(catalog.folder, options.dry_run, forget=options.reread)
        stored = _Stored(live.store)
        preparer = Preparer(
            live.bundle.info, catalog.images, crop, stored.with_source, track_files=True
        )
        upsert = Upsert(
            live,
            catalog.images,
            preparer,
            encoder,
            options.batch,
            options.threads,
            claimed=items.image_ids(),
            stamps=stamps,
            dry_run=options.dry_run,
        )
        try:
            report = _run(upsert, stored, items, options, advance)
        finally:
            stamps.close()
        if new != FeedMapping() and catalog.folder is not None and not options.dry_run:
            feed_map.save(catalog.folder, mapping)
        return report


def _read(path: Path, mapping: FeedMapping, remote: Fetcher | None) -> FeedItems:
    if mapping.images and not Path(mapping.images).is_dir():
        raise UsageError(f"the folder of images {mapping.images} isn't there; name it (--images)")
    feed = Feed.read(path)
    columns = feed_map.find_columns(feed.columns, mapping, f"the feed {path}")
    return read_items(feed, columns, ImageFiles(path, mapping.images or None, remote))


class _Stored:
    """The ids and contents that a catalogue has before a run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.items: set[str] = set()
        self._sources: dict[str, str] = {}
        for key in store.row_keys():
            self.items.add(key.item_id)
            self._sources.setdefault(key.source, key.image_id)

    def with_source(self, source: str) -> Row | None:
        """A row whose image has this content."""
        image_id = self._sources.get(source)
        return None if image_id is None else self._store.get([image_id]).get(image_id)


def _run(
    upsert: Upsert, stored: _Stored, feed: FeedItems, options: SyncOptions, advance: Advance
) -> SyncReport:
    """
    Raises:
        DataError: too many rows of the feed are bad, or none of its images can be used.
        CatalogError: it would remove more items than are allowed; nothing was changed.
    """
    _check(feed, options.max_bad)
    removed = sorted(stored.items - feed.items.keys())
    removals = Removals(len(removed), len(stored.items))
    if removed and not options.dry_run and not options.allows(removals):
        raise CatalogError(
            f"the feed lacks {len(removed)} of the catalogue's {removals.of} items "
            f"({removals.share:.2f} of them), more than may be removed without asking; "
            f"nothing was changed. To remove them: --allow-removals {_up(removals.share)}, or --yes"
        )
    report = SyncReport(
        upsert.report,
        items=len(feed.items),
        removed_items=len(removed),
        removal_share=round(removals.share, 4),
        by_name=feed.by_name,
        bad=feed.bad,
        duplicates=feed.duplicates,
        unread_prices=feed.unread_prices,
        dry_run=options.dry_run,
    )
    for outcome in upsert.run(feed.items.values(), len(upsert.claimed), advance):
        if outcome.status == "refused":
            report.without_image.append(outcome.item_id)
        elif outcome.status == "added" and outcome.item_id not in stored.items:
            report.new += 1
        elif outcome.status == "unchanged":
            report.unchanged += 1
        else:
            report.changed += 1
    skipped = upsert.report.skipped
    if skipped and len(skipped) == len(upsert.claimed):
        raise DataError(
            f"none of the feed's {len(skipped)} images can be opened; the first, "
            f"{skipped[0].path}: {skipped[0].reason}"
        )
    for _ in upsert.run(ItemUpdate(item_id, remove=True) for item_id in removed):
        pass
    return report


def _check(feed: FeedItems, max_bad: float) -> None:
    """
    Raises:
        DataError: the feed isn't to be trusted.
    """
    if feed.bad and len(feed.bad) > max_bad * feed.rows:
        first = feed.bad[0]
        raise DataError(
            f"{len(feed.bad)} rows of the feed can't be used (the first, line {first.line}: "
            f"{first.reason}), more than {max_bad:g} of them; nothing was changed"
        )
    if not feed.items:
        raise DataError("the feed has no item; nothing was changed")
    images = [image for update in feed.items.values() for image in update.images or ()]
    if all(image.source is None for image in images):
        first_image = f"; the first, {images[0].name}, {images[0].problem}" if images else ""
        raise DataError(
            f"none of the feed's {len(images)} images exists{first_image} (nothing was changed)"
        )


def _up(share: float) -> str:
    """A share with two digits that isn't smaller."""
    return f"{-(-share * 100 // 1) / 100:g}"
