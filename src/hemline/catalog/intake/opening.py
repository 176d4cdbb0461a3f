"""One picture on its way in: read it if what the catalogue has of it isn't the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hemline.bundle import BundleInfo
from hemline.catalog.images import MAX_SIDE, QUALITY, Pictures
from hemline.catalog.intake.crops import Crop
from hemline.catalog.intake.feed_values import plain
from hemline.catalog.intake.stamps import Stamp, current
from hemline.catalog.store import Row, Store
from hemline.data.garments import COLUMN
from hemline.data.images import encode_jpeg, open_image, read_bytes
from hemline.data.preprocess import PreparedImage
from hemline.encoding import Encoder
from hemline.errors import HemlineError, ImageError
from hemline.types import Record


class Skipped(NamedTuple):
    """A picture that couldn't be added, and why."""

    image_id: str
    path: str
    reason: str


class New(NamedTuple):
    """A picture to embed: its row without a vector, its square for the tower and its copy."""

    row: Row
    image: PreparedImage
    copy: bytes
    known: bool


class Same(NamedTuple):
    """A row that needs no embedding; ``row`` is None where nothing changed at all.

    ``twin`` says that its vector is that of another picture with the same content.
    """

    row: Row | None
    twin: bool = False


Opened = New | Same | Skipped


@dataclass(slots=True)
class Opener:
    """Opens pictures; used by many threads.

    Attributes:
        info: of the bundle that embeds them.
        crop: which part of them.
        twin: source → a row whose picture has it, or None.
    """

    info: BundleInfo
    crop: Crop
    twin: Callable[[str], Row | None] = lambda source: None

    def open(
        self,
        record: Record,
        path: Path,
        old: Row | None,
        stamp: Stamp | None = None,
        noted: dict[Path, Stamp] | None = None,
    ) -> Opened:
        """
        Args:
            record: what is to be stored of it.
            path: its file.
            old: the row of its image_id, if the catalogue has one.
            stamp: of the file, if one is known.
            noted: takes the file's stamp if it was read.
        """
        try:
            digest, data = _digest(path, stamp, noted)
            source = digest + self.crop.mark(record)
            row = _bare(record, source)
            for known in (old, self.twin(source) if old is None or old.source != source else None):
                if known is not None and self._serves(known, row):
                    row = replace(
                        row, embedding=known.embedding, norm=known.norm, picture=known.picture
                    )
                    twin = known is not old
                    return Same(None if old is not None and alike(row, old) else row, twin)
            image = self.crop.part(open_image(data or read_bytes(path)), record)
            copy = encode_jpeg(image, QUALITY, MAX_SIDE)
            # Prepared ahead, so that only the small image waits for its turn.
            prepared = PreparedImage.of(image, self.info.preprocessing)
            return New(row, prepared, copy, old is not None)
        except ImageError as error:
            reason = str(error).removeprefix("the picture ")
        except HemlineError as error:
            reason = str(error)
        return Skipped(record.image_id, record.path, reason)

    def _serves(self, known: Row, row: Row) -> bool:
        """Whether the vector of ``known`` is also that of ``row``."""
        return known.source == row.source and not (self.info.uses_tags and known.tags != row.tags)


def _digest(
    path: Path, stamp: Stamp | None, noted: dict[Path, Stamp] | None
) -> tuple[str, bytes | None]:
    """Of the file's content; and the content, where it had to be read."""
    before = None
    if stamp is not None or noted is not None:
        try:
            before = current(path)
        except OSError:
            before = None  # reading it says why
    if stamp is not None and before == (stamp.size, stamp.changed):
        return stamp.digest, None
    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()[:40]
    if noted is not None and before is not None and before[0] == len(data):
        noted[path] = Stamp(*before, digest)
    return digest, data


def _bare(record: Record, source: str) -> Row:
    """A record as a row that lacks its vector; what is empty is left out of its columns.

    What is marked on its picture is no column of a product, neither box and landmarks nor the
    garments beside it.
    """
    cells = {name: plain(value) for name, value in record.extra.items() if name != COLUMN}
    return Row(
        image_id=record.image_id,
        item_id=record.item_id,
        embedding=np.zeros(0, np.float32),
        norm=0.0,
        domain=record.domain,
        category=record.category,
        tags=record.tags,
        columns={name: value for name, value in cells.items() if value is not None},
        source=source,
    )


def alike(row: Row, old: Row) -> bool:
    """Whether two rows of one picture say the same; vectors aside."""
    return (row.image_id, row.item_id, row.domain, row.category, row.tags, row.source) == (
        old.image_id,
        old.item_id,
        old.domain,
        old.category,
        old.tags,
        old.source,
    ) and dict(row.columns) == dict(old.columns)


@dataclass(slots=True)
class Stored:
    """What one commit stored.

    Attributes:
        new: image_ids that were embedded and not there before.
        again: image_ids that were embedded and there before.
        columns: image_ids of which only columns were written.
        twins: image_ids that took the vector of another picture.
        same: how many were there already.
        skipped: those without a vector.
        dropped: digests of the picture copies whose rows were replaced or removed.
    """

    new: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    same: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)


def embed_and_store(
    store: Store,
    pictures: Pictures | None,
    encoder: Encoder,
    opened: Sequence[Opened],
    known: Mapping[str, Row],
    gone: Callable[[Stored], Mapping[str, str]] = lambda stored: {},
) -> Stored:
    """Embeds what is new and stores all of it in one durable commit.

    Args:
        known: the rows that were there, by image_id.
        gone: told what is about to be stored, gives the image_ids that are removed in the same
            commit, each with the digest of its copy.
    """
    done = Stored(skipped=[one for one in opened if isinstance(one, Skipped)])
    rows: list[Row] = []
    for one in opened:
        if isinstance(one, Same):
            if one.row is None:
                done.same += 1
                continue
            rows.append(one.row)
            (done.twins if one.twin else done.columns).append(one.row.image_id)
    new = [one for one in opened if isinstance(one, New)]
    if new:
        coded = encoder.encode_shop([n.image for n in new], [n.row.tags for n in new])
        copies = pictures.put([n.copy for n in new]) if pictures else [""] * len(new)
        for n, embedding, norm, copy in zip(new, coded.embedding, coded.norm, copies, strict=True):
            if not (np.isfinite(embedding).all() and np.isfinite(norm)):
                reason = "the bundle's shop tower gives no finite vector for it"
                done.skipped.append(Skipped(n.row.image_id, "", reason))
                continue
            rows.append(replace(n.row, embedding=embedding, norm=float(norm), picture=copy))
            (done.again if n.known else done.new).append(n.row.image_id)
    leaving = gone(done)
    if rows or leaving:
        store.add(rows, leaving)
    before = {row.image_id: known[row.image_id].picture for row in rows if row.image_id in known}
    done.dropped = {digest for digest in (*before.values(), *leaving.values()) if digest}
    done.dropped -= {row.picture for row in rows}
    return done
