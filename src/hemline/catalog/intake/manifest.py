"""`Catalog.add`: the rows of a manifest as updates of items."""

from __future__ import annotations

from dataclasses import dataclass, field

from hemline.catalog.folders import check_fingerprint
from hemline.catalog.images import ImageStore
from hemline.catalog.intake.crops import find_crop
from hemline.catalog.intake.feed_values import plain
from hemline.catalog.intake.options import IntakeOptions
from hemline.catalog.intake.prepare import Preparer
from hemline.catalog.intake.update import Attributes, ImageUpdate, ItemUpdate, Skipped
from hemline.catalog.intake.upsert import Upsert
from hemline.catalog.pointer import Live
from hemline.catalog.store import Advance
from hemline.data.garments import COLUMN
from hemline.data.manifest import Manifest
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.types import Record

#: Columns of an export that aren't columns of an item.
VECTORS = ("embedding", "norm")


@dataclass(slots=True)
class AddReport:
    """What `Catalog.add` did, in images.

    Attributes:
        added: new ones.
        embedded_again: known ones whose content or tags changed.
        updated: known ones of which only columns changed.
        unchanged: stored already.
        skipped: those that can't be opened.
        unknown_tags: tag → number of occurrences, of tags that the bundle doesn't know.
        whole: embedded whole, as no garment of their category was found to crop.
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
        """Number of rows written."""
        return self.added + self.embedded_again + self.updated


def add(
    live: Live,
    copies: ImageStore | None,
    manifest: Manifest,
    options: IntakeOptions,
    advance: Advance,
) -> AddReport:
    """See `Catalog.add`; the caller holds `Catalog.writing`."""
    rows = gallery(manifest)
    crop = find_crop(options.crop or "none", live.bundle)
    upsert = Upsert(
        live,
        copies,
        Preparer(live.bundle.info, copies, crop),
        checked_encoder(live, options.encoder),
        options.batch,
        options.threads,
    )
    for _ in upsert.run((_update(record, rows) for record in rows), len(rows), advance):
        pass
    done = upsert.counts
    return AddReport(
        done.added,
        done.embedded_again,
        done.columns,
        done.unchanged,
        done.skipped,
        done.unknown_tags,
        crop.whole,
    )


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


def checked_encoder(live: Live, encoder: Encoder | None) -> Encoder:
    """The given encoder, or the bundle's own.

    Raises:
        CatalogError: the encoder is of another bundle.
    """
    encoder = encoder or live.encoder()
    check_fingerprint(live.store, encoder.fingerprint, f"the encoder {encoder.name}")
    return encoder


def _update(record: Record, manifest: Manifest) -> ItemUpdate:
    """One row; annotations of its image (box, landmarks, garments) are no columns of an item."""
    cells = {name: plain(value) for name, value in record.extra.items() if name != COLUMN}
    image = ImageUpdate(
        manifest.root / record.path,
        record.image_id,
        record.path,
        domain=record.domain,
        box=record.box,
    )
    columns = {name: value for name, value in cells.items() if value is not None}
    attributes = Attributes(record.category, record.tags, columns)
    return ItemUpdate(record.item_id, attributes, (image,), keep_others=True)
