"""The meaning of a feed's columns: known by their names, or mapped once and remembered.

The known names are those of `hemline.data.column_names`. A `FeedMapping` adds to them; it is kept
in the catalogue (``feed.json``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hemline.catalog.intake.update import check_columns
from hemline.data.column_names import KNOWN, known_columns, normalized
from hemline.data.manifest import SCHEMA
from hemline.errors import CatalogError, DataError, UsageError, nearest
from hemline.files import read_regular, write_durable
from hemline.parsing import parse_json

FILE = "feed.json"
#: Names of the catalogue's or a manifest's own columns; a feed's are stored as ``feed_…``.
RESERVED = frozenset({*SCHEMA, "score", "rank"})
_REQUIRED = ("id", "images")


@dataclass(frozen=True, slots=True)
class FeedMapping:
    """A user's mapping of a feed.

    Attributes:
        columns: field (``id group images category tags``) or a new name → columns of the feed.
        without: columns that aren't stored.
        images: folder of the images; empty: the feed's own.
        crop: see `IntakeOptions`; empty: the whole image.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    images: str = ""
    crop: str = ""

    @classmethod
    def of(cls, columns: Mapping[str, str | Sequence[str]]) -> FeedMapping:
        """From ``{"id": "SKU", "images": ["photo1", "photo2"], "without": [...]}``.

        Raises:
            UsageError: a value is neither a column nor a list of columns.
        """
        found = {str(name): _names(value) for name, value in columns.items()}
        return cls(found, found.pop("without", ()))

    def changed(self, other: FeedMapping) -> FeedMapping:
        """This mapping, overridden by what ``other`` sets."""
        return FeedMapping(
            {**self.columns, **other.columns},
            other.without or self.without,
            other.images or self.images,
            other.crop or self.crop,
        )


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one feed by their meaning.

    Attributes:
        id: the column of the row's own id.
        group: the column of the item that a variant belongs to, or empty.
        images, category, tags: their columns, in the order of preference.
        kept: column of the feed → the name under which its values are stored.
    """

    id: str
    group: str
    images: tuple[str, ...]
    category: tuple[str, ...]
    tags: tuple[str, ...]
    kept: Mapping[str, str]


def parse_pairs(pairs: Iterable[str]) -> FeedMapping:
    """Parses ``name=column`` or ``name=column,column``, and ``without=column,column``.

    Raises:
        UsageError: a text of another form.
    """
    columns: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not (name.strip() and equals and parts):
            raise UsageError(
                f"a column is mapped by name=column, such as id=SKU or images=photo1,photo2; "
                f"got {pair!r}"
            )
        columns[name.strip()] = parts
    return FeedMapping.of(columns)


def read_mapping(path: str | os.PathLike[str]) -> FeedMapping:
    """Reads a JSON file: ``{"id": "SKU", "images": ["photo1", "photo2"], "without": [...]}``.

    Raises:
        DataError: it can't be read, or is of another form.
    """
    try:
        raw = parse_json(read_regular(path).decode("utf-8-sig"))
        if not isinstance(raw, dict):
            raise ValueError("an object is needed")
        return FeedMapping.of(raw)
    except (OSError, ValueError, UsageError) as error:
        raise DataError(
            f"the mapping {path} can't be read ({error}); it is a JSON object of names and columns"
        ) from None


def _names(value: Any) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value
    if (
        not isinstance(parts, list | tuple)
        or not parts
        or not all(isinstance(p, str) for p in parts)
    ):
        raise UsageError(f"{value!r} is neither a column nor a list of columns")
    return tuple(parts)


def load(folder: Path | None) -> FeedMapping:
    """The mapping stored in a catalogue, or an empty one.

    Raises:
        CatalogError: it is damaged.
    """
    path = None if folder is None else folder / FILE
    if path is None or not path.exists():
        return FeedMapping()
    try:
        raw = parse_json(read_regular(path))
        columns = {name: _names(value) for name, value in raw["columns"].items()}
        return FeedMapping(
            columns, tuple(raw["without"]), str(raw["images"]), str(raw.get("crop", ""))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise CatalogError(
            f"{path}, how the feed's columns are mapped, is damaged ({error}); delete it and give "
            "the mapping again"
        ) from None


def save(folder: Path, mapping: FeedMapping) -> None:
    """Stores a mapping in the catalogue."""
    text = json.dumps(asdict(mapping), indent=2, ensure_ascii=False)
    write_durable(folder / FILE, text + "\n")


def find_columns(
    names: Iterable[str], mapping: FeedMapping, where: str, required: Sequence[str] = _REQUIRED
) -> Columns:
    """Finds the meaning of a feed's columns.

    Args:
        names: the feed's columns.
        mapping: overrides the known names.
        where: names the feed in errors.
        required: fields that have to be there.

    Raises:
        DataError: there is no column for ids or images, a mapped column isn't there, or there are
            too many.
    """
    own = {normalized(name): name for name in reversed(list(names))}
    mapped = {
        key: tuple(_find(part, own, where, key) for part in parts)
        for key, parts in mapping.columns.items()
    }
    without = {_find(part, own, where, "without") for part in mapping.without}
    found = known_columns(own, mapped)
    for key in required:
        if not found[key]:
            raise DataError(
                f"{where} has no column that is known as its {key}; say which: {key}=COLUMN "
                f"(its columns: {', '.join(own.values())})"
            )
    row_id, group = found["id"][0], found["group"][:1]
    used = {row_id, *group, *found["images"], *without}
    if "category" in mapped or normalized("".join(found["category"][:1])) in RESERVED:
        used |= set(found["category"][:1])
    if found["tags"] and normalized(found["tags"][0]) == "tags":
        used.add(found["tags"][0])
    kept = {column: normalized(name) for name, column in own.items() if column not in used}
    for key, columns in mapped.items():
        if key not in KNOWN:
            if len(columns) != 1:
                raise UsageError(f"{key} is one column of the feed, not {', '.join(columns)}")
            kept[columns[0]] = normalized(key)
    kept = {c: f"feed_{n}" if n in RESERVED else n for c, n in kept.items() if n}
    try:
        check_columns(set(kept.values()), where)
    except UsageError as error:
        raise DataError(f"{error}; leave some out by without=COLUMN,COLUMN") from None
    return Columns(row_id, "".join(group), found["images"], found["category"], found["tags"], kept)


def _find(name: str, own: Mapping[str, str], where: str, key: str) -> str:
    column = own.get(normalized(name))
    if column is None:
        raise DataError(
            f"{where} has no column {name!r}, which {key!r} is mapped to. "
            f"{nearest(name, own.values())}"
        )
    return column
