"""The one way into a catalogue: brings items to what their `ItemUpdate` says, in durable commits.

Each commit holds about a batch of images. An item's old images leave in the commit that brings its
new ones. The images of the next commit are decoded while those of one are embedded. Every run works
out from the store what is left to do, so the same call goes on after a kill.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hemline.catalog.images import ImageStore
from hemline.catalog.intake.embedding import counted_tags, embed_rows, same_content
from hemline.catalog.intake.prepare import (
    Complete,
    Prepared,
    Preparer,
    StoredRows,
    ToEmbed,
    with_attributes,
)
from hemline.catalog.intake.stamps import Stamps
from hemline.catalog.intake.update import (
    AttributeChanges,
    ImageReport,
    ItemOutcome,
    ItemUpdate,
    Skipped,
    Status,
)
from hemline.catalog.pointer import Live
from hemline.catalog.store import Advance, Row, silent
from hemline.encoding import Encoder
from hemline.errors import UsageError

_ITEMS = 500  # of one commit, at most
_UNKNOWN = "there is no such product"


class _Batch(NamedTuple):
    """The updates of one commit, the rows they are about, and their images on the way in."""

    updates: Sequence[ItemUpdate]
    stored: StoredRows
    images: list[list[Future[Prepared]]]

    def replaces(self, updates: Iterable[ItemUpdate]) -> bool:
        """Whether it replaces items that other updates are about, too."""
        items = {update.item_id for update in self.updates if not update.keep_others}
        return bool(items) and any(update.item_id in items for update in updates)


@dataclass(slots=True)
class _Commit:
    """What one commit writes; ``copies`` are the digests of copies that may become unused."""

    rows: list[Row] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Upsert:
    """One run over updates; the caller holds `Catalog.writing`.

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
        report: what was done.
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

    def run(
        self, updates: Iterable[ItemUpdate], total: int = 0, advance: Advance = silent
    ) -> Iterator[ItemOutcome]:
        """Gives the outcome of each update, in their order, once it is durable.

        Args:
            updates: an item may come again; later ones see what earlier ones did.
            total: number of images of all updates.
            advance: called with (images done, ``total``) after each commit.

        Raises:
            CatalogError: no room; nothing of the current commit is stored.
        """
        unused: set[str] = set()
        done = 0
        for batch in self._ahead(updates):
            images = [[future.result() for future in futures] for futures in batch.images]
            commit = _Commit()
            outcomes = self._plan(batch, images, commit)
            self._write(commit, batch.stored)
            unused |= commit.copies
            done += sum(len(update.images or ()) for update in batch.updates)
            advance(done, total)
            yield from outcomes
        unused.discard("")  # an image without a copy
        if unused and self.copies and not self.dry_run:
            self.copies.drop(unused - self.live.store.image_digests())

    # Reading ahead

    def _ahead(self, updates: Iterable[ItemUpdate]) -> Iterator[_Batch]:
        """Batches whose images are being decoded, one further than the one that is given."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="catalog-add") as pool:
            waiting: _Batch | None = None
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

    def _start(self, updates: Sequence[ItemUpdate], pool: ThreadPoolExecutor) -> _Batch:
        store = self.live.store
        images = [image for update in updates for image in update.images or ()]
        known = store.get([image.image_id for image in images if image.image_id])
        by_item: dict[str, list[Row]] = {}
        for remove in (False, True):  # a row that is removed needs no vector
            items = [u.item_id for u in updates if not u.keep_others and u.remove is remove]
            for row in store.items(items, vectors=not remove) if items else ():
                by_item.setdefault(row.item_id, []).append(row)
                known.setdefault(row.image_id, row)
        paths = [image.source for image in images if not isinstance(image.source, bytes)]
        stamps = self.stamps.known(path for path in paths if path) if self.stamps else {}
        stored = StoredRows(known, by_item, stamps, {})
        return _Batch(updates, stored, [self._submit(one, stored, pool) for one in updates])

    def _submit(
        self, update: ItemUpdate, stored: StoredRows, pool: ThreadPoolExecutor
    ) -> list[Future[Prepared]]:
        if update.remove:
            return []
        if update.images is None:
            rows = stored.by_item.get(update.item_id, ())
            return [pool.submit(self.preparer.prepare_stored, update, row) for row in rows]
        return [
            pool.submit(self.preparer.prepare, update, image, stored) for image in update.images
        ]

    # One commit

    def _plan(
        self, batch: _Batch, images: list[list[Prepared]], commit: _Commit
    ) -> list[ItemOutcome]:
        """Embeds what has to be, and notes in ``commit`` what is to be written."""
        refusals = [self._refusal(*one) for one in zip(batch.updates, images, strict=True)]
        images = [[] if no else own for no, own in zip(refusals, images, strict=True)]
        self._embed(images)
        outcomes: list[ItemOutcome] = []
        for update, own, no in zip(batch.updates, images, refusals, strict=True):
            reason = no or self._refusal(update, own)
            stored = batch.stored.by_item.get(update.item_id, [])
            if update.remove:
                outcome = self._remove(update, stored, commit)
            elif reason:
                outcome = ItemOutcome(update.item_id, "refused", reason=reason)
            elif isinstance(update.attributes, AttributeChanges) and not stored:
                outcome = ItemOutcome(update.item_id, "unchanged", 0, _UNKNOWN, False)
            else:
                outcome = self._store(update, own, batch.stored, commit)
            outcomes.append(outcome)
        return outcomes

    def _refusal(self, update: ItemUpdate, own: Sequence[Prepared]) -> str:
        """Why a strict run refuses an item; empty where it doesn't."""
        changes = isinstance(update.attributes, AttributeChanges)
        if not self.strict or update.remove or (changes and not own):
            return ""
        try:
            update.check()
        except UsageError as error:
            return str(error)
        for number, one in enumerate(own, 1):
            if isinstance(one, Skipped):
                return f"picture {number}: {one.reason}"
        return "" if own else "a product needs a picture, and none was given"

    def _embed(self, images: list[list[Prepared]]) -> None:
        """Puts a `Complete` row, or why there is none, in the place of each `ToEmbed`."""
        todo = [(own, i, one) for own in images for i, one in enumerate(own)
                if isinstance(one, ToEmbed)]  # fmt: skip
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
        """The rows with vectors; their copies are stored."""
        encoder = self.encoder or self.live.encoder()
        digests = [one.row.image_digest for one in todo]
        new = [(i, one.copy) for i, one in enumerate(todo) if one.copy is not None]
        if self.copies:
            stored = self.copies.put([copy for _, copy in new])
            for (i, _), digest in zip(new, stored, strict=True):
                digests[i] = digest
        rows, images = [one.row for one in todo], [one.image for one in todo]
        with counted_tags(encoder, self.report.unknown_tags):
            return embed_rows(encoder, rows, images, digests)

    def _remove(self, update: ItemUpdate, stored: Sequence[Row], commit: _Commit) -> ItemOutcome:
        self._drop([row for row in stored if row.image_id not in self.claimed], commit)
        if not stored:
            return ItemOutcome(update.item_id, "unchanged", 0, _UNKNOWN, False)
        return ItemOutcome(update.item_id, "removed", len(stored))

    def _store(
        self, update: ItemUpdate, own: Sequence[Prepared], stored: StoredRows, commit: _Commit
    ) -> ItemOutcome:
        """Notes the rows of an item that are written and removed."""
        complete: dict[str, Complete] = {}
        skipped: dict[str, Skipped] = {}
        for one in own:
            if isinstance(one, Complete):
                complete.setdefault(one.row.image_id, one)
            elif isinstance(one, Skipped):
                skipped[one.image_id] = one
        before = [] if update.keep_others else stored.by_item.get(update.item_id, [])
        others = [row for row in before if row.image_id not in {*complete, *skipped}]
        left = [row for row in others if row.image_id not in self.claimed]
        moved = len(others) > len(left)
        if not update.keep_others:
            kept = [] if complete else left  # better an old image than none
            left = left if complete else []
            self.report.kept += len(kept)
            complete |= self._kept(update, skipped, kept, stored)
        self.report.skipped += skipped.values()
        self._drop(left, commit)
        for one in complete.values():
            self.report.count(one.change)
            if one.change != "unchanged":
                commit.rows.append(one.row)
                old = stored.by_image.get(one.row.image_id)
                if old is not None and old.image_digest != one.row.image_digest:
                    commit.copies.add(old.image_digest)
        if not complete and not before:
            reason = next((one.reason for one in skipped.values()), "it has no image")
            return ItemOutcome(update.item_id, "refused", 0, reason)
        changed = left or moved or any(c.change != "unchanged" for c in complete.values())
        status: Status = ("updated" if changed else "unchanged") if before else "added"
        return ItemOutcome(update.item_id, status, len(complete))

    def _kept(
        self,
        update: ItemUpdate,
        skipped: Mapping[str, Skipped],
        kept: Sequence[Row],
        stored: StoredRows,
    ) -> dict[str, Complete]:
        """Stored rows of images that can't be opened now, with the update's attributes.

        Their tags stay where the vectors were made with them.
        """
        found: dict[str, Complete] = {}
        own = [
            (row, image.attributes or update.attributes)
            for image in update.images or ()
            if image.image_id in skipped and (row := stored.by_image.get(image.image_id))
        ]
        for row, new in [*own, *((row, update.attributes) for row in kept)]:
            attributes = new.over(row)
            if self.preparer.info.uses_tags:
                attributes = replace(attributes, tags=row.tags)
            changed = with_attributes(row, update.item_id, attributes)
            same = same_content(changed, row)
            found[row.image_id] = Complete(changed, "unchanged" if same else "columns")
        return found

    def _drop(self, rows: Sequence[Row], commit: _Commit) -> None:
        commit.removed += [row.image_id for row in rows]
        commit.copies |= {row.image_digest for row in rows}
        self.report.removed += len(rows)

    def _write(self, commit: _Commit, stored: StoredRows) -> None:
        if self.dry_run:
            return
        if commit.rows or commit.removed:
            self.live.store.add(commit.rows, commit.removed)
        if self.stamps is not None:
            self.stamps.note(stored.read)
