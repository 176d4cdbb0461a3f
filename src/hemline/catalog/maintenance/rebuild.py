"""Embeds a whole catalogue with another bundle, beside the live store, and swaps it in.

Passes bring the new store to the rows of the live one, while searches and writers go on with that.
The last pass holds the write lock until the pointer is replaced (`hemline.catalog.pointer`). The
same command continues an interrupted rebuild; one with another bundle starts again.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hemline.catalog import folders, pointer
from hemline.catalog.intake.embedding import batches, counted_tags, embed_copies, same_content
from hemline.catalog.store import Advance, Row, Store, StoreSpec
from hemline.errors import BundleError, CatalogError
from hemline.files import publish_folder
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

#: Seconds that the swap waits for a writer.
PATIENCE = 3600.0
_PASSES = 3  # without the write lock, before the last one with it


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
    *,
    batch: int,
    threads: int | None,
    drop_lost: bool,
    advance: Advance,
) -> RebuildReport:
    """See `Catalog.rebuild`."""
    folder, spec = folders.stored(catalog.folder)
    if catalog.live().store.fingerprint == bundle.fingerprint:
        abandon(catalog)  # an interrupted rebuild with another bundle
        return RebuildReport(fingerprint=bundle.fingerprint, swapped=False)
    place = _begin(folder, bundle, spec)
    staged = spec.open(place)
    try:
        with staged.writing():
            run = _Rebuild(catalog, staged, place, batch, threads, advance)
            run.run(drop_lost)
    finally:
        staged.close()
    catalog.live()
    return run.report


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
        advance: Advance,
    ) -> None:
        self.catalog, self.staged, self.place = catalog, staged, place
        self.batch, self.advance = batch, advance
        self.encoder: BundleEncoder = BundleEncoder(Bundle.open(place / "bundle"), threads)
        self.report = RebuildReport(fingerprint=self.encoder.fingerprint)
        self.lost: set[str] = set()

    def run(self, drop_lost: bool) -> None:
        """Passes until the stores agree, then the swap."""
        live = self.catalog.live()
        with counted_tags(self.encoder, self.report.unknown_tags):
            seen = -1
            for _ in range(_PASSES):
                if seen == live.store.revision:
                    break
                seen = self._pass(live.store)
            self._check_lost(drop_lost)
            with self.catalog.writing(PATIENCE) as held:
                if held.folder != live.folder:
                    raise CatalogError(
                        f"{self.catalog.folder} was rebuilt by another process meanwhile; "
                        "run the same command again if that was with another bundle"
                    )
                if seen != held.store.revision:
                    self._pass(held.store)
                    self._check_lost(drop_lost)
                self.staged.save()
                folder = self.catalog.folder
                assert folder is not None
                pointer.make_live(folder, self.place)

    def _check_lost(self, drop_lost: bool) -> None:
        self.report.lost = sorted(self.lost)
        if self.lost and not drop_lost:
            raise CatalogError(
                f"{len(self.lost)} pictures have no copy that can be opened (the first: "
                f"{self.report.lost[0]}), so the rebuilt catalogue would lack them; add them "
                "again, or pass --drop-lost. The catalogue is as it was; nothing embedded is lost"
            )

    def _pass(self, live: Store) -> int:
        """Brings the new store to the live one's rows of the returned revision."""
        revision = live.revision
        first = not self.report.embedded and not self.report.there
        total, done = live.counts().images, 0
        self.lost.clear()
        live_ids: set[str] = set()
        for rows in batches(live.rows(), self.batch):
            live_ids.update(row.image_id for row in rows)
            self._update(rows, first)
            done += len(rows)
            self.advance(min(done, total), total)
        extra = [key.image_id for key in self.staged.row_keys() if key.image_id not in live_ids]
        for some in batches(extra, 500):
            self.staged.add([], some)
        return revision

    def _update(self, rows: Sequence[Row], first: bool) -> None:
        known = self.staged.get([row.image_id for row in rows])
        write: list[Row] = []
        embed: list[Row] = []
        for row in rows:
            old = known.get(row.image_id)
            if old is None or not self._same_vector(old, row):
                embed.append(row)
            elif not same_content(row, old):
                write.append(replace(row, embedding=old.embedding, norm=old.norm))
            else:
                self.report.there += first
        made = embed_copies(self.catalog.image_path, self.encoder, embed)
        lost = {row.image_id for row in embed} - {row.image_id for row in made}
        self.lost |= lost
        self.report.embedded += len(made)
        removed = [image_id for image_id in lost if image_id in known]
        if made or write or removed:
            self.staged.add([*made, *write], removed)

    def _same_vector(self, old: Row, row: Row) -> bool:
        """Whether the new store's vector is that of the live row."""
        same_tags = not self.encoder.bundle.info.uses_tags or old.tags == row.tags
        return (old.source, old.image_digest) == (row.source, row.image_digest) and same_tags
