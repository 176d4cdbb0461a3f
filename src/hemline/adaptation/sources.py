"""Where the images come from: a manifest, the feedback that a service exported, a catalogue."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError, nearest
from hemline.parsing import parse_json
from hemline.types import Box

#: How images are cropped, named as in `hemline evaluate`.
CROPS = ("none", "query", "box")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image to encode.

    Attributes:
        source: its file or its bytes.
        item: its item_id.
        image: what it is called; the same image on both sides has the same name.
        box: the part that counts, or None.
        tags: for the shop tower.
    """

    source: Path | bytes
    item: str
    image: str
    box: Box | None = None
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Sources:
    """The images of both domains, and what was counted on the way.

    Attributes:
        street: photos; where there is none, shop images of items that have several.
        shop: shop images, the gallery.
        negatives: items that were wrong or passed over in feedback; their shop images are never
            left out, so that methods are chosen and measured against them.
        alone: whether there were no street photos, so that shop images stand in for them.
        counts: what was used and left out.
    """

    street: list[Sample] = field(default_factory=list)
    shop: list[Sample] = field(default_factory=list)
    negatives: set[str] = field(default_factory=set)
    alone: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def limited(self, photos: int, gallery: int, seed: int) -> None:
        """Leaves out photos, and shop images without photos, beyond these numbers; a seeded choice,
        in the order of the sources."""
        items = {sample.item for sample in self.shop}
        unmatched = [sample for sample in self.street if sample.item not in items]
        self.counts["photos_without_shop_image"] = len(unmatched)
        self.street = _some([s for s in self.street if s.item in items], photos, seed)
        self.alone = not self.street
        if self.alone:
            several = _several(self.shop)
            self.street = _some([s for s in self.shop if s.item in several], photos, seed)
            if not several:
                self.street = _some(self.shop, photos, seed)
        asked = {sample.item for sample in self.street} | self.negatives
        mine = [sample for sample in self.shop if sample.item in asked]
        others = [sample for sample in self.shop if sample.item not in asked]
        kept = mine + _some(others, max(0, gallery - len(mine)), seed)
        self.counts["shop_images_left_out"] = len(self.shop) - len(kept)
        self.shop = kept


def collect(
    images: str | os.PathLike[str] | Manifest | Catalog,
    feedback: str | os.PathLike[str] | Iterable[Mapping[str, Any]] | None,
    crop: str,
    split: str,
) -> Sources:
    """The images of a manifest or a catalogue, and the photos of feedback.

    Raises:
        UsageError, DataError: as the functions below.
    """
    if isinstance(images, Catalog):
        sources = from_catalog(images)
    else:
        manifest = images if isinstance(images, Manifest) else Manifest.read(images)
        sources = from_manifest(manifest, crop, split)
    if feedback is not None:
        given = isinstance(feedback, str | os.PathLike)
        add_feedback(sources, read_feedback(Path(feedback)) if given else feedback)  # type: ignore[arg-type]
    return sources


def from_manifest(manifest: Manifest, crop: str = "none", split: str = "") -> Sources:
    """The street and shop rows of a manifest.

    Args:
        crop: ``none``, ``query`` (photos are cropped to their box) or ``box`` (both sides).
        split: the rows that count besides those without a split; empty: all but ``test``, which is
            for measuring at the end; ``all``.

    Raises:
        UsageError: no such crop.
        DataError: no shop rows.
    """
    if crop not in CROPS:
        raise UsageError(f"no crop {crop!r}. {nearest(crop, CROPS)}")
    found = Sources()
    for row, record in enumerate(manifest):
        if not _counts(record.split, split):
            continue
        street = record.domain == "street"
        boxed = crop == "box" or (crop == "query" and street)
        sample = Sample(
            manifest.file(row), record.item_id, f"{record.path}#{row}",
            record.box if boxed else None, record.tags,
        )  # fmt: skip
        (found.street if street else found.shop).append(sample)
    if not found.shop:
        raise DataError(
            f"the manifest has no shop rows{f' of the split {split!r}' if split else ''}; "
            "its shop images are what is searched"
        )
    found.counts = {"photos": len(found.street), "shop_images": len(found.shop)}
    return found


def _counts(split: str, wanted: str) -> bool:
    if wanted == "all":
        return True
    return split != "test" if not wanted else split in (wanted, "")


def from_catalog(catalog: Catalog) -> Sources:
    """The stored copies of a catalogue's shop images.

    Raises:
        DataError: it has no such copies.
    """
    found, without = Sources(), 0
    for row in catalog.store.rows():
        if row.domain != "shop":
            continue
        path = catalog.image_path(row)
        if path is None:
            without += 1
        else:
            found.shop.append(Sample(path, row.item_id, row.image_id, tags=row.tags))
    if not found.shop:
        raise DataError("the catalogue has no stored copies of shop images to fit on")
    found.counts = {"shop_images": len(found.shop), "shop_images_without_copy": without}
    return found


def add_feedback(sources: Sources, triplets: Iterable[Mapping[str, Any]]) -> None:
    """Adds each search's kept photo as a photo of the item that was right, and the items that were
    wrong or passed over as `Sources.negatives`.

    A search that was exported as several triplets counts once. Those without a kept photo, and
    those of an item that has no shop image here, are counted and left out.
    """
    items = {sample.item for sample in sources.shop}
    pairs: dict[tuple[str, str], str | None] = {}
    for triplet in triplets:
        anchor, positive, negative = triplet["anchor"], triplet["positive"], triplet.get("negative")
        if positive is not None:
            pairs[str(triplet["search_id"]), str(positive["item_id"])] = anchor.get("photo")
        if negative is not None and str(negative["item_id"]) in items:
            sources.negatives.add(str(negative["item_id"]))
    without = unknown = 0
    for (search, item), photo in pairs.items():
        if photo is None:
            without += 1
        elif item not in items:
            unknown += 1
        else:
            data = base64.b64decode(photo, validate=True)
            sources.street.append(Sample(data, item, f"feedback {search}"))
    sources.counts |= {
        "feedback": len(pairs),
        "feedback_without_photo": without,
        "feedback_of_unknown_items": unknown,
        "feedback_negatives": len(sources.negatives),
    }


def read_feedback(path: Path) -> list[dict[str, Any]]:
    """The triplets of ``GET /v1/feedback/export``, JSON lines.

    Raises:
        DataError: a line is no such triplet.
    """
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            triplet = parse_json(line)
            photo = triplet["anchor"].get("photo")
            if photo is not None:
                base64.b64decode(photo, validate=True)
            sides = [triplet["positive"], triplet.get("negative")]
            _ = triplet["search_id"], [side["item_id"] for side in sides if side is not None]
        except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
            raise DataError(
                f"{path}, line {number}: no triplet of feedback/export (search_id, anchor with its "
                "photo as base64, positive with its item_id)"
            ) from None
        found.append(triplet)
    return found


def _several(samples: Sequence[Sample]) -> set[str]:
    """Items with more than one image."""
    seen: dict[str, int] = {}
    for sample in samples:
        seen[sample.item] = seen.get(sample.item, 0) + 1
    return {item for item, count in seen.items() if count > 1}


def _some(samples: list[Sample], most: int, seed: int) -> list[Sample]:
    """At most so many, first those whose item has the fewest taken already."""
    if len(samples) <= most:
        return samples
    order = np.random.default_rng([seed, 0x50E]).permutation(len(samples)).tolist()
    turn: dict[str, int] = {}
    keys = []
    for place in order:
        item = samples[place].item
        turn[item] = turn.get(item, 0) + 1
        keys.append((turn[item], place))
    best = sorted(range(len(order)), key=lambda k: keys[k][0])[:most]
    return [samples[place] for place in sorted(keys[k][1] for k in best)]
