"""`Catalog.sync` from the feed's file to the report: reads, understands, asks, and runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog.intake import feed_map
from hemline.catalog.intake.apply import BAD, REMOVALS, Removals, Sync, SyncReport
from hemline.catalog.intake.crops import find_crop
from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_items import products
from hemline.catalog.intake.feed_map import FeedMapping
from hemline.catalog.intake.ingest import coder_of, workers_of
from hemline.catalog.intake.opening import Opener
from hemline.catalog.intake.stamps import Stamps
from hemline.errors import UsageError

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.pointer import Live
    from hemline.encoding import Encoder


def sync(
    catalog: Catalog,
    path: Path,
    *,
    mapping: FeedMapping | None,
    allow_removals: float | Callable[[Removals], bool] | None,
    max_bad: float | None,
    dry_run: bool,
    reread: bool,
    crop: str | None,
    encoder: Encoder | None,
    batch: int,
    workers: int | None,
    advance: Callable[[int, int], None],
) -> SyncReport:
    """See `Catalog.sync`."""
    count = workers_of(batch, workers)
    allowed = _allowed(allow_removals)
    bad = _share(BAD if max_bad is None else max_bad, "the share of bad rows")
    new = (mapping or FeedMapping()).changed(FeedMapping(crop=crop or ""))
    said = feed_map.remembered(catalog.folder).changed(new)
    cropped = find_crop(said.crop or "none", catalog.live().bundle)
    if said.images and not Path(said.images).is_dir():
        raise UsageError(f"the folder of pictures {said.images} isn't there; name it (--images)")
    feed = Feed.read(path)
    columns = feed_map.understand(feed.columns, said, f"the feed {path}")
    wanted = products(feed, columns, ImageFiles(path, said.images or None))
    del feed
    with _held(catalog, dry_run) as live:
        coder = coder_of(live, encoder)
        stamps = Stamps(catalog.folder, dry_run, forget=reread)
        try:
            run = Sync(
                live.store,
                catalog.pictures,
                coder,
                Opener(live.bundle.info, cropped),
                stamps,
                wanted,
                batch,
                count,
                dry_run,
            )
            report = run.run(allowed, bad, advance)
            if new != FeedMapping() and catalog.folder is not None and not dry_run:
                feed_map.remember(catalog.folder, said)
            return report
        finally:
            stamps.close()


@contextmanager
def _held(catalog: Catalog, dry_run: bool) -> Iterator[Live]:
    if dry_run:
        yield catalog.live()
        return
    with catalog.writing() as live:
        yield live


def _allowed(allow: float | Callable[[Removals], bool] | None) -> Callable[[Removals], bool]:
    if callable(allow):
        return allow
    share = _share(REMOVALS if allow is None else allow, "the share of products that may leave")
    return lambda removals: removals.share <= share


def _share(value: float, what: str) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"{what} is from 0 to 1, not {value:g}")
    return value
