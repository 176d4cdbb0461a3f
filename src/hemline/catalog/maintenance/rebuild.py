"""Embeds a whole catalogue with another bundle, beside the live store, and swaps it in.

A first round embeds all rows of the live store, while searches and writers go on with that; further
rounds bring what was written meanwhile, until few rows are left or they get no fewer. The rest is
done under the write lock, in slices, between which writers have their turn; so it ends under any
load, and no writer waits for more than a slice. In the last one the pointer is replaced
(`hemline.catalog.pointer`). PostgreSQL's CREATE INDEX CONCURRENTLY and gh-ost go the same way. The
same command continues an interrupted rebuild; one with another bundle starts again.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog import folders, pointer
from hemline.catalog.cluster.ahead import EncodedAhead, copies_ahead
from hemline.catalog.cluster.engine import HERE, SHARDS, check_engine
from hemline.catalog.cluster.ray_workers import ray_run
from hemline.catalog.cluster.shards import Encoded
from hemline.catalog.cluster.worker import Setup
from hemline.catalog.intake.embedding import (
    batches,
    counted_tags,
    embed_copies,
    embed_rows,
    same_content,
)
from hemline.catalog.store import Advance, Row, Store, StoreSpec
from hemline.errors import BundleError, CatalogBusy, CatalogError
from hemline.files import file_lock, publish_folder
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

LOCK = "rebuild.lock"
#: Seconds that the swap waits for a writer.
PATIENCE = 3600.0
#: Seconds of work under the write lock, and the rest between two of them for the writers.
SLICE, REST = 2.0, 0.5
_NOTHING: Mapping[str, Encoded] = {}
_ROUNDS = 10  # without the write lock
_FEW = 16  # rows of a round that may well be the last; embedded at a time from the second round on


@dataclass(slots=True)
class RebuildReport:
    """What `Catalog.rebuild` did.

    Attributes:
        embedded: number of images embedded.
        there: number that an earlier, interrupted run had embedded.
        lost: image_ids without a copy that can be opened.
        unknown_tags: number of images with each tag that the new bundle doesn't know.
        fingerprint: of the bundle that is live now.
        swapped: False where the catalogue was made with this bundle already.
    """

    embedded: int = 0
    there: int = 0
    lost: list[str] = field(default_factory=list)
    unknown_tags: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    swapped: bool = True


def rebuild(
    catalog: Catalog,
    bundle: Bundle,
    batch: int,
    threads: int | None,
    drop_lost: bool,
    engine: str,
    advance: Advance,
) -> RebuildReport:
    """See `Catalog.rebuild`."""
    check_engine(engine)
    folder, spec = folders.stored(catalog.folder)
    with _alone(folder):
        if catalog.live().store.fingerprint == bundle.fingerprint:
            _drop_unfinished(folder, spec)  # with another bundle
            return RebuildReport(fingerprint=bundle.fingerprint, swapped=False)
        place = _begin(folder, bundle, spec)
        staged = spec.open(place)
        try:
            with staged.writing():
                run = _Rebuild(catalog, staged, place, batch, threads, engine, advance)
                run.publish = spec.publish
                run.run(drop_lost)
        finally:
            staged.close()
    catalog.live()
    return run.report


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Keeps other rebuilds out: one could take a part for unfinished that this one makes live, or
    delete one that can't be opened for a moment.

    Raises:
        CatalogBusy: there is another rebuild.
    """
    busy = f"{folder} is being written to by another rebuild; wait until that has ended"
    return file_lock(folder / LOCK, CatalogBusy(busy))


def _begin(folder: Path, bundle: Bundle, spec: StoreSpec) -> Path:
    """The folder of the rebuild with this bundle: an interrupted one's, or a new one."""
    for place in pointer.unfinished(folder):
        try:
            if Bundle.open(place / "bundle").fingerprint == bundle.fingerprint:
                return place
        except BundleError:
            pass  # incomplete, or of another format version
        _drop(place, spec)
    place = folder / f"rebuilt-{pointer.part_number(pointer.live_folder(folder)) + 1}"
    temporary = folder / f".{place.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    bundle.copy_to(temporary / "bundle")
    spec.create(temporary, bundle.fingerprint, bundle.info.embedding_dim).close()
    publish_folder(temporary, place)
    return place


def abandon(catalog: Catalog) -> int:
    """Deletes interrupted rebuilds; returns their number."""
    folder, spec = folders.stored(catalog.folder)
    with _alone(folder):
        return _drop_unfinished(folder, spec)


def _drop_unfinished(folder: Path, spec: StoreSpec) -> int:
    places = pointer.unfinished(folder)
    for place in places:
        _drop(place, spec)
    return len(places)


def _drop(place: Path, spec: StoreSpec) -> None:
    """Deletes an interrupted rebuild.

    Raises:
        CatalogError: another process works on it.
    """
    try:
        store = spec.open(place)
    except CatalogError:
        shutil.rmtree(place, ignore_errors=True)
        return
    try:
        with store.writing():
            pass
    finally:
        store.close()
    folders.discard(place)
    shutil.rmtree(place, ignore_errors=True)


class _Rebuild:
    """One run of a rebuild."""

    def __init__(
        self,
        catalog: Catalog,
        staged: Store,
        place: Path,
        batch: int,
        threads: int | None,
        engine: str,
        advance: Advance,
    ) -> None:
        self.catalog, self.staged, self.place = catalog, staged, place
        self.batch, self.engine, self.advance = batch, engine, advance
        self.bundle = Bundle.open(place / "bundle")
        own = BundleEncoder(self.bundle, threads)
        self.encoder = EncodedAhead(own, self.bundle.info.vocabulary)
        self.report = RebuildReport(fingerprint=own.fingerprint)
        self.seen = 0  # the live store's revision up to which the new store has its rows
        self.lost: set[str] = set()
        self.publish: Callable[[Path], None] | None = None

    def run(self, drop_lost: bool) -> None:
        """Rounds until few changes are left, then the swap."""
        live = self.catalog.live()
        with counted_tags(self.encoder, self.report.unknown_tags):
            self._embed_all(live.store)
            changed = live.store.counts().images
            for _ in range(_ROUNDS):
                before, changed = changed, self._round(live.store)
                if changed <= _FEW or changed > before // 2:  # writers are as fast as this is
                    break
            self._check_lost(live.store, drop_lost)
            self.staged.save()  # the codes of a large store; few rows come after them
            while not self._finish(live.folder, drop_lost):
                time.sleep(REST)

    def _finish(self, folder: Path | None, drop_lost: bool) -> bool:
        """Holds the write lock for `SLICE`; swaps and returns True if that brought the new store to
        the live one's newest commit."""
        with self.catalog.writing(PATIENCE) as held:
            if held.folder != folder:
                raise CatalogError(
                    f"{self.catalog.folder} was rebuilt by another process meanwhile; "
                    "run the same command again if that was with another bundle"
                )
            self._round(held.store, time.monotonic() + SLICE)
            if self.seen != held.store.revision:
                return False
            self._check_lost(held.store, drop_lost)
            if self.staged.counts() != held.store.counts() or self.lost:
                self._remove_others(held.store)
            assert self.catalog.folder is not None
            if self.publish is not None:
                self.publish(self.place)
            pointer.make_live(self.catalog.folder, self.place)
            return True

    def _check_lost(self, live: Store, drop_lost: bool) -> None:
        """Tries the lost images again: a write that replaced one in the round deleted its copy.

        Raises:
            CatalogError: some are lost, and may not be dropped.
        """
        rows = live.get(self.lost)
        self.lost.clear()
        for some in batches(rows.values(), self.batch):
            self._update(some)
        # A copy is deleted after the commit that replaces it, so one that a row still names is
        # missing. Others are of rows that the next round reads.
        after = live.get(self.lost, vectors=False)
        self.lost = {i for i, row in after.items() if row.image_digest == rows[i].image_digest}
        self.report.lost = sorted(self.lost)
        if self.lost and not drop_lost:
            raise CatalogError(
                f"{len(self.lost)} pictures have no copy that can be opened (the first: "
                f"{self.report.lost[0]}), so the rebuilt catalogue would lack them; add them "
                "again, or pass --drop-lost. The catalogue is as it was; nothing embedded is lost"
            )

    def _embed_all(self, live: Store) -> None:
        """The first round, of all rows; an interrupted run's are compared only."""
        revision = live.revision
        total, done = live.counts().images, 0
        for some, encoded in self._ahead(live):
            for rows in batches(some, self.batch):
                changed = self._update(rows, encoded)
                self.report.there += len(rows) - changed
                done += len(rows)
                self.advance(min(done, total), total)
        self._remove_others(live)
        self.seen = revision

    def _ahead(self, live: Store) -> Iterator[tuple[list[Row], Mapping[str, Encoded]]]:
        """The rows, some at a time, with what the workers of a cluster have made of them."""
        if self.engine == HERE:
            yield from ((rows, {}) for rows in batches(live.rows(), self.batch))
            return
        setup = Setup(self.bundle.fingerprint, copies=False)
        with ray_run(self.engine, setup, self.bundle, self.place / SHARDS) as run:
            yield from copies_ahead(run, live.rows(), self._compared, self.catalog.image_path)

    def _round(self, live: Store, end: float = math.inf) -> int:
        """Brings the rows written since the last round to the new store; returns their number.

        After ``end`` it stops, with `seen` as it was: the next round skips what this one has done.
        """
        revision, changed = live.revision, 0
        if revision == self.seen:
            return 0
        for rows in batches(live.rows(self.seen), min(self.batch, _FEW)):
            wrote = self._update(rows)
            changed += wrote
            if wrote and time.monotonic() > end:
                return changed
        self.seen = revision
        return changed

    def _remove_others(self, live: Store) -> None:
        """Removes rows that the live store no longer has."""
        there = {key.image_id for key in live.row_keys()}
        extra = [key.image_id for key in self.staged.row_keys() if key.image_id not in there]
        for some in batches(extra, 500):
            self.staged.add([], some)

    def _update(self, rows: Sequence[Row], encoded: Mapping[str, Encoded] = _NOTHING) -> int:
        """Makes the rows of the new store equal to these; returns how many weren't.

        Args:
            rows: of the live store.
            encoded: image_id → what a worker has made of its copy.
        """
        embed, write, known = self._compared(rows)
        ready = [row for row in embed if row.image_id in encoded]
        others = [row for row in embed if row.image_id not in encoded]
        coded = embed_rows(self.encoder, ready, [encoded[row.image_id] for row in ready])
        made = [row for row in coded if row is not None]
        made += embed_copies(self.catalog.image_path, self.encoder, others)
        lost = {row.image_id for row in embed} - {row.image_id for row in made}
        self.lost |= lost
        self.report.embedded += len(made)
        removed = [image_id for image_id in lost if image_id in known]
        if made or write or removed:
            self.staged.add([*made, *write], removed)
        return len(embed) + len(write)

    def _compared(self, rows: Sequence[Row]) -> tuple[list[Row], list[Row], Mapping[str, Row]]:
        """Rows to be embedded, rows whose vector the new store has, and its own of all of them."""
        known = self.staged.get([row.image_id for row in rows])
        write: list[Row] = []
        embed: list[Row] = []
        for row in rows:
            old = known.get(row.image_id)
            if old is None or not self._same_vector(old, row):
                embed.append(row)
            elif not same_content(row, old):
                write.append(replace(row, embedding=old.embedding, norm=old.norm))
        return embed, write, known

    def _same_vector(self, old: Row, row: Row) -> bool:
        """Whether the new store's vector is that of the live row."""
        same_tags = not self.bundle.info.uses_tags or old.tags == row.tags
        return (old.source, old.image_digest) == (row.source, row.image_digest) and same_tags
