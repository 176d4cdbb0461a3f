"""`Catalog.add`: the rows of a manifest as updates of items."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from hemline.catalog.cluster.ahead import EncodedAhead, updates_ahead
from hemline.catalog.cluster.engine import HERE, SHARDS
from hemline.catalog.cluster.ray_workers import ray_run
from hemline.catalog.cluster.worker import Setup
from hemline.catalog.folders import check_fingerprint
from hemline.catalog.images import ImageStore
from hemline.catalog.intake import damaged
from hemline.catalog.intake.crops import find_crop
from hemline.catalog.intake.feed_values import plain
from hemline.catalog.intake.options import IntakeOptions
from hemline.catalog.intake.prepare import Preparer
from hemline.catalog.intake.update import (
    Attributes,
    ImageReport,
    ImageUpdate,
    ItemUpdate,
    check_columns,
)
from hemline.catalog.intake.upsert import Upsert
from hemline.catalog.pointer import Live
from hemline.catalog.store import Advance
from hemline.data.garments import COLUMN
from hemline.data.manifest import SCHEMA, Manifest
from hemline.data.remote.addresses import is_address, without_secrets
from hemline.data.remote.fetcher import Fetcher, RemoteImage, found_remote
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.types import Record

#: Columns of an export that aren't columns of an item.
_VECTORS = ("embedding", "norm")


def add(
    live: Live,
    copies: ImageStore | None,
    manifest: Manifest,
    options: IntakeOptions,
    advance: Advance,
) -> ImageReport:
    """See `Catalog.add`; the caller holds `Catalog.writing`."""
    rows, numbers = _gallery(manifest)
    check_columns([name for name in rows.names if name not in SCHEMA], "the manifest")
    crop = find_crop(options.crop or "none", live.bundle)
    upsert = Upsert(
        live,
        copies,
        Preparer(live.bundle.info, copies, crop),
        checked_encoder(live, options.encoder),
        options.batch,
        options.threads,
    )
    updates = (_update(*one, rows, options.remote) for one in zip(rows, numbers, strict=True))
    if options.engine == HERE:
        for _ in upsert.run(updates, len(rows), advance):
            pass
    else:
        _run_on_cluster(upsert, updates, options, len(rows), advance)
    upsert.report.whole += crop.whole
    return upsert.report


def _run_on_cluster(
    upsert: Upsert,
    updates: Iterable[ItemUpdate],
    options: IntakeOptions,
    total: int,
    advance: Advance,
) -> None:
    """`Upsert.run` on what the workers of ``options.engine`` embed; see `Catalog.add`.

    Raises:
        UsageError: Ray isn't installed, or the catalogue is in memory.
    """
    if upsert.copies is None:
        raise UsageError("a cluster embeds for a catalogue in a folder, not for one in memory")
    live = upsert.live
    remote = options.remote.settings if options.remote else None
    setup = Setup(live.bundle.fingerprint, options.crop or "none", remote=remote)
    folder = upsert.copies.folder.parent / SHARDS
    encoder = EncodedAhead(upsert.encoder or live.encoder(), live.bundle.info.vocabulary)
    upsert.encoder = encoder
    with ray_run(options.engine, setup, live.bundle, folder) as run:

        def told(done: int, of: int) -> None:
            run.committed(done)
            advance(done, of)

        stored = partial(damaged.images, live.store)
        given = updates_ahead(run, updates, stored, live.bundle.info)
        for _ in upsert.run(given, total, told):
            pass
    upsert.report.whole += encoder.whole


def gallery(manifest: Manifest) -> Manifest:
    """The rows of a manifest that a catalogue takes: role ``gallery``, or shop rows without role.

    Raises:
        UsageError: there is none.
    """
    return _gallery(manifest)[0]


def _gallery(manifest: Manifest) -> tuple[Manifest, list[int]]:
    """The rows of `gallery`, and their numbers in the manifest, from 1."""
    roles, domains = manifest.column("role"), manifest.column("domain")
    mask = (roles == "gallery") | ((roles == "") & (domains == "shop"))
    if not mask.any():
        raise UsageError(
            f"none of the {len(manifest)} rows is for a catalogue: those of domain 'shop' or of "
            "role 'gallery' are"
        )
    kept = manifest.select(mask)
    vectors = [name for name in _VECTORS if name in kept.names]
    numbers = (np.flatnonzero(mask) + 1).tolist()
    return Manifest(kept.table.drop_columns(vectors), kept.root), numbers


def checked_encoder(live: Live, encoder: Encoder | None) -> Encoder:
    """The given encoder, or the bundle's own.

    Raises:
        CatalogError: the encoder is of another bundle.
    """
    encoder = encoder or live.encoder()
    check_fingerprint(live.store, encoder.fingerprint, f"the encoder {encoder.name}")
    return encoder


def _update(record: Record, number: int, manifest: Manifest, remote: Fetcher | None) -> ItemUpdate:
    """One row; annotations of its image (box, landmarks, garments) are no columns of an item."""
    source: Path | RemoteImage | None = manifest.root / record.path
    name, image_id, problem = record.path, record.image_id, ""
    if is_address(name):
        source, problem = found_remote(name, f"row {number}", remote)
        name = without_secrets(name)
        image_id = image_id.replace(record.path, name, 1)
    cells = {name: plain(value) for name, value in record.extra.items() if name != COLUMN}
    image = ImageUpdate(
        source,
        image_id,
        name,
        problem,
        domain=record.domain,
        box=record.box,
    )
    columns = {name: value for name, value in cells.items() if value is not None}
    attributes = Attributes(record.category, record.tags, columns)
    return ItemUpdate(record.item_id, attributes, (image,), keep_others=True)
