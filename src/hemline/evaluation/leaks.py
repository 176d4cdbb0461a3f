"""Whether a model was trained on what a protocol measures it with.

A model's record (`hemline.data.seen`) is compared with the queries and the gallery of a protocol.
A query counts as trained on if training saw its image, or an item that the protocol keeps out of
training. Ids of items alone prove nothing, as two data sets may number their items alike: they
count where the images of such items confirm that the data is the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.protocol import Protocol
from hemline.data.seen import UNREAD, Hashes, Seen, image_hashes, item_hashes
from hemline.encoding import Encoder
from hemline.errors import UsageError

Mask = npt.NDArray[np.bool_]

#: Rows of items with known ids whose images are compared, and the share that confirms the data.
_SAMPLE, _CONFIRMS = 2_000, 0.1


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of a protocol a model's training saw.

    Attributes:
        record: ``complete``; ``incomplete`` where a start's own training isn't recorded; ``none``.
        unrecorded: those starts.
        queries: queries that were trained on, by either of the two below.
        query_images: queries whose image was trained on.
        query_items: queries with an item that the protocol keeps out and training saw.
        query_ids: queries with such an item's id, where no image confirms that it is the item.
        seen_items: queries of items that were trained on, where the protocol allows it.
        validation: queries whose image chose the epoch that was kept.
        gallery: images of the gallery that were trained on.
        distractors: those of them that are no query's item.
        total_queries, total_gallery: of the protocol.
        allowed: whether the measurement goes on in spite of ``queries``.
    """

    record: str = "none"
    unrecorded: tuple[str, ...] = ()
    queries: int = 0
    query_images: int = 0
    query_items: int = 0
    query_ids: int = 0
    seen_items: int = 0
    validation: int = 0
    gallery: int = 0
    distractors: int = 0
    total_queries: int = 0
    total_gallery: int = 0
    allowed: bool = False

    @property
    def leaks(self) -> bool:
        """Whether a query was trained on."""
        return self.queries > 0

    def as_json(self) -> dict[str, Any]:
        """The counts, and ``says``: one sentence."""
        return {**asdict(self), "unrecorded": list(self.unrecorded), "says": sentence(self)}


def sentence(overlap: Overlap) -> str:
    """What the comparison found, in words."""
    if overlap.record == "none":
        return "not checked: the model has no record of what it was trained on"
    if overlap.leaks:
        return (
            f"LEAK: {overlap.queries:,} of {overlap.total_queries:,} queries were trained on "
            f"({overlap.query_images:,} photos, {overlap.query_items:,} of products that are kept "
            "out); these figures don't tell how it finds new products"
        )
    parts = ["no query was trained on"]
    if overlap.seen_items:
        parts.append(f"{overlap.seen_items:,} queries show products that were, as is allowed")
    if overlap.query_ids:
        parts.append(
            f"{overlap.query_ids:,} queries' products have ids that were trained on, but no image "
            "confirms that they are the same products"
        )
    if overlap.validation:
        parts.append(f"{overlap.validation:,} queries chose the epoch, so figures are optimistic")
    if overlap.gallery:
        parts.append(
            f"{overlap.gallery:,} of {overlap.total_gallery:,} gallery images were trained on, "
            f"{overlap.distractors:,} of them distractors"
        )
    if overlap.unrecorded:
        parts.append(f"what {', '.join(overlap.unrecorded)} was trained on isn't recorded")
    return "; ".join(parts)


def seen_by(encoder: Encoder) -> Seen | None:
    """The record of an encoder that has one.

    Raises:
        DataError: it is damaged.
    """
    found: Seen | None = getattr(encoder, "seen", None)
    return found


def compare(seen: Seen | None, protocol: Protocol) -> tuple[Overlap, Mask]:
    """The overlap, and the (G,) mask of distractors in the gallery that were trained on."""
    if seen is None:
        return Overlap(), np.zeros(len(protocol.gallery), bool)
    items = np.asarray(protocol.manifest.column("item_id"), np.str_)
    asked = image_hashes(protocol.manifest, protocol.queries)
    searched = _in(image_hashes(protocol.manifest, protocol.gallery), seen.images)
    by_image = _in(asked, seen.images)
    asks = zip(protocol.relevant, items[protocol.queries].tolist(), strict=True)
    right = [answers | {own} for answers, own in asks]
    names = sorted(set().union(*right))
    known = dict(zip(names, np.isin(item_hashes(names), seen.items).tolist(), strict=True))
    held = np.array([any(known[i] and i in protocol.held_out for i in own) for own in right], bool)
    free = np.array([any(known[i] for i in own) for own in right], bool)
    same = bool(free.any()) and _same_data(seen, protocol, items)
    by_item = held & same
    distractors = searched & ~np.isin(items[protocol.gallery], names)
    return Overlap(
        record="incomplete" if seen.unrecorded else "complete",
        unrecorded=seen.unrecorded,
        queries=int((by_image | by_item).sum()),
        query_images=int(by_image.sum()),
        query_items=int(by_item.sum()),
        query_ids=0 if same else int(held.sum()),
        seen_items=int((free & ~by_image & ~by_item).sum()) if same else 0,
        validation=int(_in(asked, seen.validation).sum()),
        gallery=int(searched.sum()),
        distractors=int(distractors.sum()),
        total_queries=len(asked),
        total_gallery=len(searched),
    ), distractors


def check(encoder: Encoder, protocol: Protocol, allow: bool) -> tuple[Overlap, Mask]:
    """As `compare`; refuses a model that was trained on queries, unless ``allow``.

    Raises:
        UsageError: it was.
        DataError: its record is damaged.
    """
    found, distractors = compare(seen_by(encoder), protocol)
    if found.leaks and not allow:
        name = protocol.name if protocol.group is None else protocol.group.name
        raise UsageError(
            f"{encoder.name} was trained on {found.queries:,} of the {found.total_queries:,} "
            f"queries of protocol {protocol.name} ({found.query_images:,} photos, "
            f"{found.query_items:,} of products that are kept out), so its figures wouldn't tell "
            f"how it finds new products. Train with data.keep_out.protocol={name}, or measure with "
            "--allow-leak, and the result says so"
        )
    return Overlap(**{**asdict(found), "allowed": allow and found.leaks}), distractors


def _same_data(seen: Seen, protocol: Protocol, items: npt.NDArray[np.str_]) -> bool:
    """Whether images of items with known ids were trained on, too."""
    names, codes = np.unique(items, return_inverse=True)
    rows = np.flatnonzero(np.isin(item_hashes(names.tolist()), seen.items)[codes])
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)]
    hashes = image_hashes(protocol.manifest, some)
    read = hashes != UNREAD
    return bool(read.any()) and float(_in(hashes, seen.images)[read].mean()) >= _CONFIRMS


def _in(hashes: Hashes, known: Hashes) -> Mask:
    found: Mask = np.isin(hashes, known) & (hashes != UNREAD)
    return found
