"""Upsert: every write to a catalogue, as `ItemUpdate`s that are stored in durable commits.

An item's old images are removed in the commit that adds its new ones. The images of the next commit
are decoded while those of one are embedded. Each run compares with the store what is left to do, so
the same call resumes after a kill.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from hemline.catalog.images import ImageStore
from hemline.catalog.intake import damaged
from hemline.catalog.intake.embedding import counted_tags, embed_rows
from hemline.catalog.intake.prepare import (
    Batch,
    Complete,
    Prepared,
    Preparer,
    ToEmbed,
    with_attributes,
)
from hemline.catalog.intake.stamps import Stamps
from hemline.catalog.intake.update import (
    AttributeChanges,
    Attributes,
    ImageReport,
    ItemOutcome,
    ItemUpdate,
    Skipped,
    Status,
)
from hemline.catalog.pointer import Live
from hemline.catalog.store import Advance, Row, silent
from hemline.data.remote.fetcher import RemoteImage
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.limits import MAX_CATALOG_COLUMNS

_ITEMS = 500  # of one commit, at most
_UNKNOWN = "there is no such product"


@dataclass(slots=True)
class Upsert:
    """Stores updates; the caller holds `Catalog.writing`.

    Attributes:
        live: the store and its bundle.
        copies: stored copies of the images, or None in memory.
        preparer: compares and decodes images.
        encoder: None: the bundle's own.
        batch: images in one commit, about.
        workers: threads that decode images.
        strict: an item with an image that can't be opened is refused whole; otherwise that image is
            skipped, and what is stored of it stays.
        claimed: image_ids that some update of the run has: they move to its item.
        stamps: files that were read before.
        dry_run: stores nothing.
        report: what became of the images.
    """

    live: Live
    copies: ImageStore | None
    preparer: Preparer
    encoder: Encoder | None = None
    batch: int = 64
    workers: int = 1
    strict: bool = False
    claimed: Collection[str] = ()
    stamps: Stamps | None = None
    dry_run: bool = False
    report: ImageReport = field(default_factory=ImageReport)
    _columns: set[str] | None = None  # of the whole catalogue

    def run(
        self, updates: Iterable[ItemUpdate], total: int = 0, advance: Advance = silent
    ) -> Iterator[ItemOutcome]:
        """Yields the outcome of each update, in their order, once it is durable.

        Args:
            updates: an item may come again; later updates see what earlier ones did.
            total: number of images of all updates.
            advance: called with (images done, ``total``) after each commit.

        Raises:
            CatalogError: a full disk; nothing of the current commit is stored.
            UsageError: in a run that isn't ``strict``, more columns than a catalogue may have.
        """
        unused: set[str] = set()
        done = 0
        for batch in self._ahead(updates):
            outcomes = self._apply(batch)
            if not self.dry_run:
                if batch.rows or batch.removed:
                    self.live.store.add(batch.rows, batch.removed)
                if self.stamps is not None:
                    self.stamps.note(batch.read)
                unused |= batch.replaced_copies
            done += sum(len(update.images or ()) for update in batch.updates)
            advance(done, total)
            yield from outcomes
        unused.discard("")  # of an image without a copy
        if unused and self.copies:
            self.copies.drop(unused - self.live.store.image_digests())

    # Reading ahead

    def _ahead(self, updates: Iterable[ItemUpdate]) -> Iterator[Batch]:
        """Batches whose images are being decoded, one ahead of the one that is yielded."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="catalog-add") as pool:
            waiting: Batch | None = None
            try:
                for some in self._batches(updates):
                    if waiting is not None and waiting.replaces(some):
                        yield waiting  # its commit changes what these updates find
                        waiting = None
                    following = self._start(some, pool)
                    if waiting is not None:
                        yield waiting
                    waiting = following
                if waiting is not None:
                    yield waiting
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _batches(self, updates: Iterable[ItemUpdate]) -> Iterator[list[ItemUpdate]]:
        """Updates with about a batch of images, of which none replaces an item of another."""
        some: list[ItemUpdate] = []
        replaced: set[str] = set()
        count = 0
        for update in updates:
            size = 0 if update.remove else max(1, len(update.images or ()))
            full = count + size > self.batch or len(some) >= _ITEMS
            if some and (full or update.item_id in replaced):
                yield some
                some, replaced, count = [], set(), 0
            some.append(update)
            count += size
            if not update.keep_others:
                replaced.add(update.item_id)
        if some:
            yield some

    def _start(self, updates: Sequence[ItemUpdate], pool: ThreadPoolExecutor) -> Batch:
        """Reads the stored rows of some updates and begins to decode their images."""
        store = self.live.store
        images = [image for update in updates for image in update.images or ()]
        named = [image.image_id for image in images if image.image_id]
        batch = Batch(updates, damaged.images(store, named))
        for remove in (False, True):  # a row that is removed needs no vector
            items = [u.item_id for u in updates if not u.keep_others and u.remove is remove]
            rows, broken = damaged.items(store, items, not remove) if items else ([], {})
            batch.damaged |= broken
            for row in rows:
                batch.by_item.setdefault(row.item_id, []).append(row)
                batch.by_image.setdefault(row.image_id, row)
        if self.stamps is not None:
            sources = (image.source for image in images)
            files = (s.path if isinstance(s, RemoteImage) else s for s in sources)
            batch.stamps = self.stamps.known(s for s in files if s and not isinstance(s, bytes))
        batch.prepared = [self._submit(update, batch, pool) for update in updates]
        return batch

    def _submit(
        self, update: ItemUpdate, batch: Batch, pool: ThreadPoolExecutor
    ) -> list[Future[Prepared]]:
        def submit(work: Callable[..., Prepared], *given: Any) -> Future[Prepared]:
            return pool.submit(copy_context().run, work, *given)  # in the caller's memory

        prepare = self.preparer
        if update.remove:
            return []
        if update.images is None:
            rows = batch.by_item.get(update.item_id, ())
            return [submit(prepare.stored, update, row) for row in rows]
        return [submit(prepare.image, update, image, batch) for image in update.images]

    # One commit

    def _apply(self, batch: Batch) -> list[ItemOutcome]:
        """Embeds what has to be, and notes in the batch what is to be written."""
        images = [[future.result() for future in futures] for futures in batch.prepared]
        refusals = [self._refusal(*one) for one in zip(batch.updates, images, strict=True)]
        images = [[] if reason else own for reason, own in zip(refusals, images, strict=True)]
        self._embed(images)
        outcomes: list[ItemOutcome] = []
        for update, own, refusal in zip(batch.updates, images, refusals, strict=True):
            item, stored = update.item_id, batch.by_item.get(update.item_id, [])
            reason = refusal or self._refusal(update, own)  # the tower may have refused an image
            if reason:
                outcomes.append(ItemOutcome(item, "refused", reason=reason))
            elif item in batch.damaged:
                outcomes.append(self._replace(update, own, batch))
            elif not stored and (update.remove or isinstance(update.attributes, AttributeChanges)):
                outcomes.append(ItemOutcome(item, "unchanged", 0, _UNKNOWN, found=False))
            elif update.remove:
                self._remove([row for row in stored if row.image_id not in self.claimed], batch)
                outcomes.append(ItemOutcome(item, "removed", len(stored)))
            else:
                outcomes.append(self._store(update, own, stored, batch))
        return outcomes

    def _replace(self, update: ItemUpdate, own: Sequence[Prepared], batch: Batch) -> ItemOutcome:
        """Removes an item with damaged rows, for good or to store it anew.

        Raises:
            DamageError: the update needs what was stored.
        """
        if isinstance(update.attributes, AttributeChanges) and not update.remove:
            raise batch.damaged[update.item_id]
        outcome = ItemOutcome(update.item_id, "removed")
        if not update.remove:
            outcome = self._store(update, own, [], batch)
            if outcome.status == "refused":
                return outcome
            outcome = replace(outcome, status="updated")
        if self.dry_run:
            return outcome
        removed = self.live.store.remove([update.item_id]).get(update.item_id, 0)
        return replace(outcome, images=removed) if update.remove else outcome

    def _refusal(self, update: ItemUpdate, own: Sequence[Prepared]) -> str:
        """Why a strict run refuses an item; empty where it doesn't."""
        try:
            update.check_texts()
        except UsageError as error:
            return str(error)
        many = self._too_many_columns(own)
        if many and not self.strict:
            raise UsageError(many)
        changes = isinstance(update.attributes, AttributeChanges)
        if many or not self.strict or update.remove or (changes and not own):
            return many
        try:
            update.check()
        except UsageError as error:
            return str(error)
        for number, one in enumerate(own, 1):
            if isinstance(one, Skipped):
                return f"picture {number}: {one.reason}"
        return "" if own else "a product needs a picture, and none was given"

    def _too_many_columns(self, own: Sequence[Prepared]) -> str:
        """Why the catalogue can't have the columns of these rows; empty where it can."""
        rows = [one.row for one in own if not isinstance(one, Skipped)]
        if self._columns is None:
            self._columns = set(self.live.store.columns())
        new = set[str]().union(*(row.columns for row in rows)) - self._columns
        if new and len(self._columns) + len(new) > MAX_CATALOG_COLUMNS:
            return (
                f"the catalogue has {len(self._columns):,} columns and can't have {len(new)} more "
                f"({min(new)!r} …), as {MAX_CATALOG_COLUMNS:,} are the most. Leave them out; those "
                "that no item has any more leave at 'hemline catalog compact'"
            )
        self._columns |= new
        return ""

    def _embed(self, images: list[list[Prepared]]) -> None:
        """Puts a `Complete` row, or why there is none, in the place of each `ToEmbed`."""
        places = [(own, i) for own in images for i in range(len(own))]
        todo = [(own, i, one) for own, i in places if isinstance(one := own[i], ToEmbed)]
        rows: list[Row | None] = [one.row for _, _, one in todo]
        if todo and not self.dry_run:
            rows = self._embedded([one for _, _, one in todo])
        for (own, i, one), row in zip(todo, rows, strict=True):
            if row is None:
                reason = "the bundle's shop tower gives no finite vector for it"
                own[i] = Skipped(one.row.image_id, "", reason)
            else:
                own[i] = Complete(row, "embedded_again" if one.known else "added")

    def _embedded(self, todo: Sequence[ToEmbed]) -> list[Row | None]:
        """The rows with their vectors; their copies are stored."""
        digests = [one.row.image_digest for one in todo]
        if self.copies:
            new = [(i, one.copy) for i, one in enumerate(todo) if one.copy is not None]
            stored = self.copies.put([copy for _, copy in new])
            for (i, _), digest in zip(new, stored, strict=True):
                digests[i] = digest
        encoder = self.encoder or self.live.encoder()
        rows, images = [one.row for one in todo], [one.image for one in todo]
        with counted_tags(encoder, self.report.unknown_tags):
            return embed_rows(encoder, rows, images, digests)

    def _store(
        self, update: ItemUpdate, own: Sequence[Prepared], stored: Sequence[Row], batch: Batch
    ) -> ItemOutcome:
        """Notes the rows of an item that are written and removed."""
        complete: dict[str, Complete] = {}
        skipped: dict[str, Skipped] = {}
        for one in own:
            if isinstance(one, Complete):
                complete.setdefault(one.row.image_id, one)
            elif isinstance(one, Skipped):
                skipped[one.image_id] = one
        self.report.skipped += skipped.values()
        others = [row for row in stored if row.image_id not in {*complete, *skipped}]
        unclaimed = [row for row in others if row.image_id not in self.claimed]
        # Better an old image than none.
        left, kept = (unclaimed, []) if complete else ([], unclaimed)
        changed = len(others) > len(unclaimed) or bool(left)
        for image in () if update.keep_others else update.images or ():
            if image.image_id in skipped and (row := batch.by_image.get(image.image_id)):
                complete[row.image_id] = self._keep(row, update, image.attributes)
        complete |= {row.image_id: self._keep(row, update) for row in kept}
        self.report.kept += len(kept)
        self._remove(left, batch)
        for one in complete.values():
            self.report.count(one.change)
            if one.change != "unchanged":
                changed = True
                batch.write(one.row)
        if not complete and not stored:
            reason = next((one.reason for one in skipped.values()), "it has no image")
            return ItemOutcome(update.item_id, "refused", 0, reason)
        status: Status = ("updated" if changed else "unchanged") if stored else "added"
        return ItemOutcome(update.item_id, status, len(complete))

    def _keep(self, row: Row, update: ItemUpdate, attributes: Attributes | None = None) -> Complete:
        """A stored row whose image can't be opened now, with new attributes.

        Its tags stay if its vector was made with them.
        """
        new = (attributes or update.attributes).over(row)
        if self.preparer.info.uses_tags:
            new = replace(new, tags=row.tags)
        return with_attributes(row, update.item_id, new)

    def _remove(self, rows: Sequence[Row], batch: Batch) -> None:
        batch.removed += [row.image_id for row in rows]
        batch.replaced_copies |= {row.image_digest for row in rows}
        self.report.removed += len(rows)
