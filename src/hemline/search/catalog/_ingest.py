"""From a manifest to rows: what is there already is skipped, what changed is done again."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from hemline.bundle import BundleInfo
from hemline.data.images import crop, encode_jpeg, open_image, read_bytes
from hemline.data.manifest import Manifest
from hemline.data.preprocess import resize_square
from hemline.encoding import Encoder
from hemline.errors import HemlineError, ImageError, UsageError
from hemline.search.catalog._pictures import MAX_SIDE, QUALITY, Pictures
from hemline.search.catalog._protocol import Row, Store
from hemline.types import Image, Record

Crop = Literal["none", "box"]
CROPS: tuple[Crop, ...] = ("none", "box")


class Skipped(NamedTuple):
    """A picture that couldn't be added, and why."""

    image_id: str
    path: str
    reason: str


@dataclass(slots=True)
class AddReport:
    """What `Catalog.add` did, in pictures.

    Attributes:
        added: new ones.
        embedded_again: known ones whose picture or tags changed.
        updated: known ones of which only columns changed.
        unchanged: there already.
        skipped: those that can't be opened.
        unknown_tags: tag → how often it came, of tags that the bundle doesn't know.
    """

    added: int = 0
    embedded_again: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    unknown_tags: dict[str, int] = field(default_factory=dict)

    @property
    def stored(self) -> int:
        """Rows that were written."""
        return self.added + self.embedded_again + self.updated


class _New(NamedTuple):
    """A picture to embed: its row without a vector, its square for the tower and its copy."""

    row: Row
    image: Image
    copy: bytes
    known: bool


class _Same(NamedTuple):
    """A row that needs no embedding; ``row`` is None where nothing changed at all."""

    row: Row | None


_Loaded = _New | _Same | Skipped


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
    return manifest.select(mask)


def ingest(
    store: Store,
    pictures: Pictures | None,
    manifest: Manifest,
    encoder: Encoder,
    *,
    info: BundleInfo,
    how: Crop,
    batch: int,
    workers: int,
    advance: Callable[[int, int], None],
) -> AddReport:
    """Adds every row of ``manifest``; each batch is one commit, and then it is told to ``advance``.

    The caller holds ``store.writing()``.
    """
    report = AddReport()
    # Only the encoder of a bundle counts the tags it doesn't know.
    unknown = getattr(encoder, "unknown_tags", None)
    before = dict(unknown or {})
    done = 0
    for loaded in _load_all(store, manifest, info, how, batch, workers):
        _commit(store, pictures, encoder, loaded, report)
        done += len(loaded)
        advance(done, len(manifest))
    if unknown:
        counts = {tag: unknown[tag] - before.get(tag, 0) for tag in unknown}
        report.unknown_tags = {tag: count for tag, count in counts.items() if count}
    return report


def _load_all(
    store: Store, manifest: Manifest, info: BundleInfo, how: Crop, batch: int, workers: int
) -> Iterator[list[_Loaded]]:
    """Batches of opened pictures; the next batch is opened while one is embedded."""

    def start(records: Sequence[Record]) -> list[Future[_Loaded]]:
        known = store.get([record.image_id for record in records])
        return [
            pool.submit(_load, record, manifest.root, known.get(record.image_id), info, how)
            for record in records
        ]

    with ThreadPoolExecutor(workers, thread_name_prefix="catalog-add") as pool:
        waiting: list[Future[_Loaded]] = []
        try:
            for records in _batches(manifest, batch):
                ahead = start(records)
                if waiting:
                    yield [future.result() for future in waiting]
                waiting = ahead
            if waiting:
                yield [future.result() for future in waiting]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _batches(manifest: Manifest, size: int) -> Iterator[list[Record]]:
    records: list[Record] = []
    for record in manifest:
        records.append(record)
        if len(records) == size:
            yield records
            records = []
    if records:
        yield records


def _load(record: Record, root: Path, old: Row | None, info: BundleInfo, how: Crop) -> _Loaded:
    """Opens one picture, if what the catalogue has of it isn't the same."""
    box = record.box if how == "box" else None
    try:
        data = read_bytes(root / record.path)
        source = hashlib.sha256(data).hexdigest()[:40] + (f"@{box.text()}" if box else "")
        row = Row(
            image_id=record.image_id,
            item_id=record.item_id,
            embedding=np.zeros(0, np.float32),
            norm=0.0,
            domain=record.domain,
            category=record.category,
            tags=record.tags,
            columns=_columns(record.extra),
            source=source,
        )
        if (
            old is not None
            and old.source == source
            and not (info.uses_tags and old.tags != row.tags)
        ):
            row = replace(row, embedding=old.embedding, norm=old.norm, picture=old.picture)
            return _Same(None if _alike(row, old) else row)
        image = crop(open_image(data), box)
        copy = encode_jpeg(image, QUALITY, MAX_SIDE)
        # Only the small square waits for its turn; `prepare` leaves it as it is.
        spec = info.preprocessing
        return _New(row, resize_square(image, spec.size, spec.resize), copy, old is not None)
    except ImageError as error:
        reason = str(error).removeprefix("the picture ")
    except HemlineError as error:
        reason = str(error)
    return Skipped(record.image_id, record.path, reason)


def _alike(row: Row, old: Row) -> bool:
    return (row.item_id, row.domain, row.category, row.tags, dict(row.columns)) == (
        old.item_id,
        old.domain,
        old.category,
        old.tags,
        dict(old.columns),
    )


def _commit(
    store: Store,
    pictures: Pictures | None,
    encoder: Encoder,
    loaded: Sequence[_Loaded],
    report: AddReport,
) -> None:
    new = [one for one in loaded if isinstance(one, _New)]
    same = [one for one in loaded if isinstance(one, _Same)]
    rows = [one.row for one in same if one.row is not None]
    updated = len(rows)
    skipped = [one for one in loaded if isinstance(one, Skipped)]
    again = added = 0
    if new:
        coded = encoder.encode_shop([n.image for n in new], [n.row.tags for n in new])
        copies = pictures.put([n.copy for n in new]) if pictures else [""] * len(new)
        for n, embedding, norm, copy in zip(new, coded.embedding, coded.norm, copies, strict=True):
            if not (np.isfinite(embedding).all() and np.isfinite(norm)):
                reason = "the bundle's shop tower gives no finite vector for it"
                skipped.append(Skipped(n.row.image_id, "", reason))
                continue
            rows.append(replace(n.row, embedding=embedding, norm=float(norm), picture=copy))
            again += n.known
            added += not n.known
    if rows:
        store.add(rows)
    report.added += added
    report.embedded_again += again
    report.updated += updated
    report.unchanged += len(same) - updated
    report.skipped += skipped


def _columns(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Further columns as plain JSON values; what is empty is left out."""
    plain = {name: _plain(value) for name, value in extra.items()}
    return {name: value for name, value in plain.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    return str(value)


def check_crop(how: str) -> Crop:
    """``none`` or ``box``.

    Raises:
        UsageError: another word.
    """
    for known in CROPS:
        if how == known:
            return known
    raise UsageError(f"crop is {' or '.join(CROPS)}, not {how!r}")
