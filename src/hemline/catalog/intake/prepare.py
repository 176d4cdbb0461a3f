"""Compares one image with what is stored, and decodes it only if it has to be embedded."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hemline.bundle import BundleInfo
from hemline.catalog.cluster.shards import Encoded
from hemline.catalog.images import MAX_SIDE, QUALITY, ImageStore
from hemline.catalog.intake.crops import Crop
from hemline.catalog.intake.embedding import same_content
from hemline.catalog.intake.stamps import Stamp, current
from hemline.catalog.intake.update import Attributes, Change, ImageUpdate, ItemUpdate, Skipped
from hemline.catalog.store import Row
from hemline.data.bounded import opened
from hemline.data.images import encode_jpeg, read_bytes
from hemline.data.preprocess import PreparedImage, Preprocessing
from hemline.data.remote.fetcher import RemoteImage
from hemline.errors import DamageError, HemlineError, ImageError, UsageError
from hemline.limits import MAX_COLUMNS, MAX_PIXELS
from hemline.types import Box


class ToEmbed(NamedTuple):
    """A row without its vector, and the image for the shop tower.

    Attributes:
        copy: JPEG to be stored; None keeps the row's copy.
        known: an image of this id is stored already.
    """

    row: Row
    image: PreparedImage
    copy: bytes | None
    known: bool


class Complete(NamedTuple):
    """A row with its vector, and what changes by storing it."""

    row: Row
    change: Change


Prepared = ToEmbed | Complete | Skipped


@dataclass(slots=True)
class Batch:
    """Updates that are stored in one commit.

    Attributes:
        updates: in their order.
        by_image: image_id → stored row.
        by_item: item_id → its stored rows.
        damaged: item_id → why what is stored of it can't be read.
        stamps: of image files that were read before.
        read: stamps of files that are read now.
        prepared: the images of each update.
        rows, removed: what is written: rows, and image_ids of rows that leave.
        replaced_copies: digests of copies that may have become unused.
    """

    updates: Sequence[ItemUpdate]
    by_image: dict[str, Row]
    by_item: dict[str, list[Row]] = field(default_factory=dict)
    damaged: dict[str, DamageError] = field(default_factory=dict)
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)
    read: dict[Path, Stamp] = field(default_factory=dict)
    prepared: list[list[Future[Prepared]]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    replaced_copies: set[str] = field(default_factory=set)

    def replaces(self, updates: Iterable[ItemUpdate]) -> bool:
        """Whether it replaces items that these updates are about, too."""
        items = {update.item_id for update in self.updates if not update.keep_others}
        return bool(items) and any(update.item_id in items for update in updates)

    def write(self, row: Row) -> None:
        self.rows.append(row)
        old = self.by_image.get(row.image_id)
        if old is not None and old.image_digest != row.image_digest:
            self.replaced_copies.add(old.image_digest)


@dataclass(slots=True)
class Preparer:
    """Prepares images; used by many threads.

    Attributes:
        info: of the bundle that embeds them.
        copies: the stored copies, or None in memory.
        crop: which part of an image is embedded.
        duplicate: gives a row whose image has this source digest, or None.
        max_pixels: an image may have.
        track_files: whether files are known by size and modification time.
    """

    info: BundleInfo
    copies: ImageStore | None
    crop: Crop
    duplicate: Callable[[str], Row | None] = lambda source: None
    max_pixels: int = MAX_PIXELS
    track_files: bool = False

    def image(self, update: ItemUpdate, image: ImageUpdate, batch: Batch) -> Prepared:
        """An image of an update."""
        try:
            if image.source is None:
                return Skipped(image.image_id, image.name, image.problem)
            if image.encoded is not None:
                ready = self._encoded(update, image, image.encoded, batch)
                if ready is not None:
                    return ready
            if isinstance(image.source, RemoteImage):
                return self._fetched(update, image, image.source, batch)
            return self._image(update, image, image.source, batch)
        except HemlineError as error:
            return Skipped(image.image_id, image.name, _reason(error))

    def stored(self, update: ItemUpdate, row: Row) -> Prepared:
        """A stored image of an update that has no images of its own."""
        new = with_attributes(row, update.item_id, update.attributes.over(row))
        if len(new.row.columns) > max(MAX_COLUMNS, len(row.columns)):
            reason = f"it would have more than {MAX_COLUMNS} columns"
            return Skipped(row.image_id, row.image_id, reason)
        if not self.info.uses_tags or new.row.tags == row.tags:
            return new
        try:
            if self.copies is None or not row.image_digest:
                raise UsageError("the catalogue keeps no pictures; send them along")
            data = read_bytes(self.copies.path(row.image_digest))
            with opened(data, name="its stored copy") as image:
                prepared = PreparedImage.of(image, self.info.preprocessing)
            return ToEmbed(new.row, prepared, None, True)
        except HemlineError as error:
            return Skipped(row.image_id, row.image_id, _reason(error))

    def _fetched(
        self, update: ItemUpdate, image: ImageUpdate, source: RemoteImage, batch: Batch
    ) -> Prepared:
        """
        Raises:
            ImageError: it can't be fetched or opened; with row and address.
        """
        file = source.fetch()
        try:
            return self._image(update, image, file, batch)
        except ImageError as error:
            raise source.unusable(_reason(error)) from None

    def _image(
        self, update: ItemUpdate, image: ImageUpdate, file: bytes | Path, batch: Batch
    ) -> Prepared:
        digest, data = self._digest(file, batch)
        category = _attributes(update, image).category
        found = self._compared(update, image, digest + self.crop.mark(image.box, category), batch)
        if isinstance(found, Complete):
            return found
        # Prepared here, so that small images wait for their batch and not whole photos.
        prepared, copy = embeddable(
            data or _read(file),
            self.crop,
            image.box,
            category,
            self.info.preprocessing,
            self.max_pixels,
        )
        return ToEmbed(found[0], prepared, copy, found[1])

    def _encoded(
        self, update: ItemUpdate, image: ImageUpdate, encoded: Encoded, batch: Batch
    ) -> Prepared | None:
        """An image that a worker of a cluster has read; None where it has to be read here."""
        if not encoded.source:
            return None
        found = self._compared(update, image, encoded.source, batch)
        if isinstance(found, Complete):
            return found
        return ToEmbed(found[0], encoded, encoded.copy, found[1]) if encoded.embedded else None

    def _compared(
        self, update: ItemUpdate, image: ImageUpdate, source: str, batch: Batch
    ) -> Complete | tuple[Row, bool]:
        """The row of an image with this source, complete with a stored vector; or one without,
        and whether the image is stored already."""
        attributes = _attributes(update, image)
        if image.image_id:
            image_id, old = image.image_id, batch.by_image.get(image.image_id)
        else:
            rows = batch.by_item.get(update.item_id, ())
            old = next((row for row in rows if row.source == source), None)
            image_id = old.image_id if old else f"{update.item_id}/{source[:16]}"
        row = Row(
            image_id=image_id,
            item_id=update.item_id,
            embedding=np.zeros(0, np.float32),
            norm=0.0,
            domain=image.domain or (old.domain if old else "shop"),
            category=attributes.category,
            tags=attributes.tags,
            columns=attributes.columns,
            source=source,
        )
        match = old
        if old is None or old.source != source:
            match = self.duplicate(source)
        if match is None or not self._same_vector(match, row):
            return row, old is not None
        row = replace(
            row, embedding=match.embedding, norm=match.norm, image_digest=match.image_digest
        )
        if old is not None and same_content(row, old):
            return Complete(row, "unchanged")
        return Complete(row, "columns" if match is old else "duplicates")

    def _same_vector(self, match: Row, row: Row) -> bool:
        return match.source == row.source and not (self.info.uses_tags and match.tags != row.tags)

    def _digest(self, file: bytes | Path, batch: Batch) -> tuple[str, bytes | None]:
        """The digest of an image's bytes; and the bytes, where they had to be read."""
        before = None
        if self.track_files and isinstance(file, Path):
            with contextlib.suppress(OSError):  # reading the file gives the reason
                before = current(file)
            stamp = batch.stamps.get(file)
            if stamp is not None and before == (stamp.size, stamp.changed):
                return stamp.digest, None
        data = _read(file)
        digest = content_digest(data)
        if before is not None and before[0] == len(data):
            assert isinstance(file, Path)
            batch.read[file] = Stamp(*before, digest)
        return digest, data


def with_attributes(row: Row, item_id: str, new: Attributes) -> Complete:
    """A stored row with other attributes, maybe of another item."""
    changed = replace(
        row, item_id=item_id, category=new.category, tags=new.tags, columns=new.columns
    )
    return Complete(changed, "unchanged" if same_content(changed, row) else "columns")


def content_digest(data: bytes) -> str:
    """The first part of `Row.source`: of the bytes of an image's file."""
    return hashlib.sha256(data).hexdigest()[:40]


def embeddable(
    data: bytes,
    crop: Crop,
    box: Box | None,
    category: str,
    spec: Preprocessing,
    max_pixels: int = MAX_PIXELS,
    copied: bool = True,
) -> tuple[PreparedImage, bytes]:
    """The part of an image that is embedded, prepared for the tower; and, if it is to be
    ``copied``, its copy as JPEG.

    Raises:
        ImageError: it can't be opened.
    """
    with opened(data, max_pixels) as decoded:
        part = crop.part(decoded, box, category)
        copy = encode_jpeg(part, QUALITY, MAX_SIDE) if copied else b""
        return PreparedImage.of(part, spec), copy


def _attributes(update: ItemUpdate, image: ImageUpdate) -> Attributes:
    attributes = image.attributes or update.attributes
    assert isinstance(attributes, Attributes), "changes are for stored images alone"
    return attributes


def _read(file: bytes | Path) -> bytes:
    return file if isinstance(file, bytes) else read_bytes(file)


def _reason(error: HemlineError) -> str:
    text = str(error)
    return text.removeprefix("the picture ") if isinstance(error, ImageError) else text
