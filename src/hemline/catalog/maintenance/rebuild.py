"""Embeds a whole catalogue anew by another bundle, beside the live one, and swaps them in one step.

The new store is brought to the live one's rows in passes, without stopping anybody: searches and
writers go on with the old one. When a pass has found the live store unchanged under the right to
write, that right is held while the pointer is replaced (`hemline.catalog.pointer`). A killed
rebuild is gone on with by the same command; one of another bundle is begun anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog import pointer
from hemline.catalog.intake.embedding import batches, counted_tags, embed_copies, same_content
from hemline.catalog.store import Row, Store, StoreSpec
from hemline.errors import BundleError, CatalogError
from hemline.files import publish_folder

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.runtime.bundle import Bundle
    from hemline.runtime.encoder import BundleEncoder

#: How long the swap waits for a writer, in seconds.
PATIENCE = 3600.0
_PASSES = 3  # without the right to write, before the last one that has it


@dataclass(slots=True)
class RebuildReport:
    """What `Catalog.rebuild` did, in pictures.

    Attributes:
        embedded: those that went through the new bundle.
        there: those that an earlier, interrupted run had embedded.
        lost: image_ids without a copy that can be opened.
        unknown_tags: tag → how often it came, of tags that the new bundle doesn't know.
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
    spec: StoreSpec,
    *,
    batch: int,
    threads: int | None,
    drop_lost: bool,
    advance: Callable[[int, int], None],
) -> RebuildReport:
    """See `Catalog.rebuild`."""
    folder, live = catalog.folder, catalog.live()
    if folder is None:
        raise CatalogError("a catalogue in memory can't be rebuilt; create a new one")
    if live.store.fingerprint == bundle.fingerprint:
        abandon(catalog, spec)  # what an interrupted rebuild by another bundle has left
        return RebuildReport(fingerprint=bundle.fingerprint, swapped=False)
    place = _begin(folder, bundle, spec)
    staged = spec.open(place)
    try:
        with staged.writing():
            run = _Rebuild(catalog, staged, place, batch, threads, advance)
            run.all(drop_lost)
    finally:
        staged.close()
    catalog.live()
    return run.report


def _begin(folder: Path, bundle: Bundle, spec: StoreSpec) -> Path:
    """The part of the catalogue that is being rebuilt with this bundle: found, or new."""
    from hemline.runtime.bundle import Bundle

    for place in pointer.later(folder):
        try:
            if Bundle.open(place / "bundle").fingerprint == bundle.fingerprint:
                return place
        except BundleError:
            pass  # not whole, or of another hemline
        _drop(place, spec)
    place = folder / f"rebuilt-{pointer.number(pointer.home(folder)) + 1}"
    rough = folder / f".{place.name}"
    shutil.rmtree(rough, ignore_errors=True)
    rough.mkdir()
    bundle.copy_to(rough / "bundle")
    spec.create(rough, bundle.fingerprint, bundle.info.embedding_dim).close()
    publish_folder(rough, place)
    return place


def abandon(catalog: Catalog, spec: StoreSpec) -> int:
    """Deletes what an interrupted rebuild left; how many parts."""
    places = pointer.later(catalog.folder) if catalog.folder else []
    for place in places:
        _drop(place, spec)
    return len(places)


def _drop(place: Path, spec: StoreSpec) -> None:
    """
    Raises:
        CatalogError: another process is at it.
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
    shutil.rmtree(place, ignore_errors=True)


class _Rebuild:
    """One run."""

    def __init__(
        self,
        catalog: Catalog,
        staged: Store,
        place: Path,
        batch: int,
        threads: int | None,
        advance: Callable[[int, int], None],
    ) -> None:
        from hemline.runtime.bundle import Bundle
        from hemline.runtime.encoder import BundleEncoder

        self.catalog, self.staged, self.place = catalog, staged, place
        self.batch, self.advance = batch, advance
        self.encoder: BundleEncoder = BundleEncoder(Bundle.open(place / "bundle"), threads)
        self.report = RebuildReport(fingerprint=self.encoder.fingerprint)
        self.lost: set[str] = set()

    def all(self, drop_lost: bool) -> None:
        """Passes until nothing is left, then the swap."""
        live = self.catalog.live()
        with counted_tags(self.encoder, self.report.unknown_tags):
            seen = -1
            for _ in range(_PASSES):
                if seen == live.store.revision:
                    break
                seen = self._pass(live.store)
            self._check_lost(drop_lost)
            with self.catalog.writing(PATIENCE) as held:
                if held.home != live.home:
                    raise CatalogError(
                        f"{self.catalog.folder} was rebuilt by another process meanwhile; look "
                        "at it, then run the same command again if need be"
                    )
                if seen != held.store.revision:
                    self._pass(held.store)
                    self._check_lost(drop_lost)
                self.staged.save()
                folder = self.catalog.folder
                assert folder is not None
                pointer.point(folder, self.place)

    def _check_lost(self, drop_lost: bool) -> None:
        self.report.lost = sorted(self.lost)
        if self.lost and not drop_lost:
            raise CatalogError(
                f"{len(self.lost)} pictures have no copy that can be opened (the first: "
                f"{self.report.lost[0]}), so the rebuilt catalogue would lack them; add them "
                "again, or pass --drop-lost. The catalogue is as it was; nothing embedded is lost"
            )

    def _pass(self, live: Store) -> int:
        """Brings the new store to the live one's rows; gives the revision that it began with."""
        revision = live.revision
        first = not self.report.embedded and not self.report.there
        total, done = live.counts().images, 0
        self.lost.clear()
        there: set[str] = set()
        for rows in batches(live.rows(), self.batch):
            there.update(row.image_id for row in rows)
            self._bring(rows, first)
            done += len(rows)
            self.advance(min(done, total), total)
        extra = [key.image_id for key in self.staged.row_keys() if key.image_id not in there]
        for some in batches(extra, 500):
            self.staged.add([], some)
        return revision

    def _bring(self, rows: Sequence[Row], first: bool) -> None:
        known = self.staged.get([row.image_id for row in rows])
        write: list[Row] = []
        embed: list[Row] = []
        for row in rows:
            old = known.get(row.image_id)
            if old is None or not self._serves(old, row):
                embed.append(row)
            elif not same_content(row, old):
                write.append(replace(row, embedding=old.embedding, norm=old.norm))
            else:
                self.report.there += first
        made = embed_copies(self.catalog.image_path, self.encoder, embed)
        lost = {row.image_id for row in embed} - {row.image_id for row in made}
        self.lost |= lost
        self.report.embedded += len(made)
        gone = [image_id for image_id in lost if image_id in known]
        if made or write or gone:
            self.staged.add([*made, *write], gone)

    def _serves(self, old: Row, row: Row) -> bool:
        """Whether the staged vector is still that of the live row."""
        same_tags = not self.encoder.bundle.info.uses_tags or old.tags == row.tags
        return (old.source, old.image_digest) == (row.source, row.image_digest) and same_tags
