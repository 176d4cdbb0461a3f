"""The kinds of garments, and the manifest's optional column of all garments of an image.

A row of a manifest is one garment with its box. The column ``garments`` lists all garments on the
row's image, including that one, as JSON text:

    [{"category": "shirt", "role": "product", "box": [12.5, 30, 140, 200.25],
      "visible": 0.93, "inside": 1}]

``box`` is xyxy in pixels of the upright image, including hidden parts, clipped to the frame;
``visible`` the share of the garment's pixels within the frame that is not hidden; ``inside`` the
share of its own box within the frame; ``role`` its role in the image (``product``, ``worn`` with
it, ``beside`` it, a ``bystander``'s). Role and shares are optional.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hemline.data.manifest import Manifest
from hemline.errors import DataError
from hemline.parsing import parse_json
from hemline.types import Box, Record

#: The column's name.
COLUMN = "garments"
_TABLE: Mapping[str, Mapping[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("garments.toml").read_text("utf-8")
)
#: Part of the body; the last two are no clothes, but must not be taken for some.
GROUPS = ("upper", "lower", "full", "footwear", "bag")
#: Kind of garment → its group.
KINDS: Mapping[str, str] = MappingProxyType(
    {kind: group for group in GROUPS for kind in _TABLE[group]}
)
_WORDS = {word: kind for g in GROUPS for kind, words in _TABLE[g].items() for word in words}


class Garment(NamedTuple):
    """A garment of an image; the shares are 0-1 (see the module)."""

    category: str
    box: Box
    visible: float = 1.0
    inside: float = 1.0
    role: str = ""


def kind_of(category: str) -> str:
    """The kind in `KINDS` that a shop's category means; empty if none.

    Case and plural are ignored, and the last of several words counts: ``Men's Denim Jackets`` is a
    jacket.
    """
    plain = " ".join(category.lower().replace("_", " ").replace("/", " ").split())
    parts = plain.replace("-", " ").split()
    tries = [plain, plain.replace(" ", "-"), " ".join(parts), *(parts[-1:])]
    for word in tries:
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in KINDS:
                return form
            if form in _WORDS:
                return _WORDS[form]
    return ""


def group_of(category: str) -> str:
    """The group in `GROUPS` of a shop's word for a category, or of a group's own name; or empty."""
    return category if category in GROUPS else KINDS.get(kind_of(category), "")


def to_text(garments: Iterable[Garment]) -> str:
    """The column's cell."""
    rows = [
        {
            "category": garment.category,
            "role": garment.role,
            "box": [round(float(v), 2) for v in garment.box],
            "visible": round(garment.visible, 4),
            "inside": round(garment.inside, 4),
        }
        for garment in garments
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def from_text(text: str, where: str = "garments") -> tuple[Garment, ...]:
    """The garments of a cell.

    Raises:
        DataError: it has another form; ``where`` names the row in the message.
    """
    try:
        rows: list[dict[str, Any]] = parse_json(text)
        return tuple(_garment(row) for row in rows)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{where}: the column {COLUMN!r} holds {text[:60]!r}, not a JSON list of garments, "
            f"each with category and box ({error})"
        ) from None


def _garment(row: Mapping[str, Any]) -> Garment:
    x1, y1, x2, y2 = (float(v) for v in row["box"])
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"the box {row['box']} has no area")
    shares = float(row.get("visible", 1.0)), float(row.get("inside", 1.0))
    if not all(0.0 <= share <= 1.0 for share in shares):
        raise ValueError("a share is from 0 to 1")
    return Garment(str(row["category"]), Box(x1, y1, x2, y2), *shares, str(row.get("role", "")))


def garments_of(record: Record) -> tuple[Garment, ...] | None:
    """All garments of a record's image, or None if the manifest doesn't list them.

    Raises:
        DataError: the column can't be read.
    """
    text = record.extra.get(COLUMN)
    return None if text is None or text == "" else from_text(str(text), record.image_id)


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file and its garments."""

    path: Path
    garments: tuple[Garment, ...]


def annotated_images(manifest: Manifest, rows: Sequence[int]) -> list[AnnotatedImage]:
    """The images of some rows, each once, with their garments: of the column, or, where a manifest
    doesn't have it, of the boxes and categories of all rows of the image, which then count as all.

    Raises:
        DataError: a row has neither a box nor the column ``garments``.
    """
    found: dict[str, list[Garment]] = {}
    whole: dict[str, tuple[Garment, ...]] = {}
    for row in rows:
        record = manifest[int(row)]
        given = garments_of(record)
        if given is not None:
            whole[record.path] = given
        elif record.box is None:
            raise DataError(
                f"row {row} ({record.path}) has neither a box nor the column 'garments': a "
                "detector needs to know where garments are"
            )
        else:
            found.setdefault(record.path, []).append(
                Garment(record.category, record.box, role="product")
            )
    named = {**{path: tuple(own) for path, own in found.items()}, **whole}
    return [AnnotatedImage(manifest.root / path, own) for path, own in named.items()]
