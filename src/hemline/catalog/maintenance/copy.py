"""Copies a catalogue into another one, of any kind of store, and verifies the copy.

Each row is compared with the copy's before it is written, so the same call resumes after a kill and
brings a copy up to date. At the end both sides are read whole: the numbers of rows and the
checksums of all rows with their vectors have to agree.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hemline.catalog import folders
from hemline.catalog.images import ImageStore
from hemline.catalog.intake import feed_map
from hemline.catalog.intake.embedding import batches
from hemline.catalog.store import Advance, Row, Store
from hemline.errors import CatalogError
from hemline.files import absolute, durable_path

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

BATCH = 1000  # rows in one durable commit
_MASK = (1 << 128) - 1


@dataclass(slots=True)
class CopyReport:
    """What `copy` did.

    Attributes:
        copied: number of rows written.
        there: number of rows that the copy had already.
        removed: number of rows that the copy had and the source doesn't.
        pictures: number of copies of images written.
        images: number of rows of both, as verified.
        checksum: of all rows with their vectors, equal for both.
    """

    copied: int = 0
    there: int = 0
    removed: int = 0
    pictures: int = 0
    images: int = 0
    checksum: str = ""


def copy(source: Catalog, target: Catalog, advance: Advance, batch: int = BATCH) -> CopyReport:
    """Makes ``target`` equal to ``source``.

    Args:
        source: is only read.
        target: made with the same bundle.
        advance: called with (rows compared, rows) after each commit; those are durable.
        batch: rows in one commit.

    Raises:
        CatalogError: the bundles differ, another process writes to the target, or the source was
            written to meanwhile; the same call goes on.
    """
    if source.folder and target.folder and absolute(source.folder) == absolute(target.folder):
        raise CatalogError(f"{source.folder} can't be copied into itself")
    live, report = source.live(), CopyReport()
    with target.writing() as held:
        made_by = live.store.fingerprint
        folders.check_fingerprint(held.store, made_by, f"the catalogue {source.folder}")
        total, done = live.store.counts().images, 0
        for rows in batches(live.store.rows(), batch):
            report.pictures += _copy_images(source.images, target.images, rows)
            changed = _changed(rows, held.store.get([row.image_id for row in rows]))
            if changed:
                held.store.add(changed)
            report.copied += len(changed)
            report.there += len(rows) - len(changed)
            done += len(rows)
            advance(min(done, total), total)
        report.removed = _remove_others(live.store, held.store)
        _copy_feed(source.folder, target.folder)
        held.store.save()
        report.images, report.checksum = _verified(live.store, held.store)
    return report


def _changed(rows: Sequence[Row], known: dict[str, Row]) -> list[Row]:
    """The rows that ``known`` lacks or has otherwise."""
    return [
        row
        for row in rows
        if row.image_id not in known or _digest(row) != _digest(known[row.image_id])
    ]


def _remove_others(source: Store, target: Store) -> int:
    there = {key.image_id for key in source.row_keys()}
    extra = [key.image_id for key in target.row_keys() if key.image_id not in there]
    for some in batches(extra, 500):
        target.add([], some)
    return len(extra)


def _copy_images(source: ImageStore | None, target: ImageStore | None, rows: Sequence[Row]) -> int:
    """Copies the pictures of rows that the target lacks, durably."""
    if source is None or target is None:
        return 0
    return target.adopt(source, {row.image_digest for row in rows if row.image_digest})


def _copy_feed(source: Path | None, target: Path | None) -> None:
    """Copies the mapping of the feed's columns, by which the next sync goes on."""
    if source and target and (source / feed_map.FILE).exists():
        with durable_path(target / feed_map.FILE) as temporary:
            shutil.copyfile(source / feed_map.FILE, temporary)


def _verified(source: Store, target: Store) -> tuple[int, str]:
    """The number of rows and the checksum of both.

    Raises:
        CatalogError: they differ.
    """
    before = source.revision
    mine, theirs = checksum(source), checksum(target)
    if mine == theirs:
        return mine
    if source.revision != before:
        raise CatalogError(
            "the catalogue was written to while it was copied; run the same command again"
        )
    raise CatalogError(
        f"the copy has {theirs[0]} rows with the checksum {theirs[1][:12]}, the catalogue "
        f"{mine[0]} with {mine[1][:12]}; check both with 'hemline catalog check', then run the "
        "same command again"
    )


def checksum(store: Store) -> tuple[int, str]:
    """The number of rows, and a checksum of them and their vectors that knows no order."""
    count, total = 0, 0
    for row in store.rows():
        count += 1
        total = (total + int.from_bytes(_digest(row), "little")) & _MASK
    return count, f"{total:032x}"


def _digest(row: Row) -> bytes:
    """The digest of a row and its vector, as stores keep them."""
    texts = json.dumps(
        [
            row.image_id, row.item_id, row.domain, row.category, list(row.tags),
            dict(sorted(row.columns.items())), row.source, row.image_digest,
        ]
    )  # fmt: skip
    digest = hashlib.blake2b(texts.encode(), digest_size=16)
    digest.update(np.asarray(row.embedding, np.float16).tobytes())
    digest.update(np.float32(row.norm).tobytes())
    return digest.digest()
