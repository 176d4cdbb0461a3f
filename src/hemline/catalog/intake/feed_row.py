"""A write in the words of a feed: one product, its fields under the names that a shop has."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hemline.catalog.intake.feed import Feed
from hemline.catalog.intake.feed_images import ImageFiles
from hemline.catalog.intake.feed_items import read_items
from hemline.catalog.intake.feed_map import FeedMapping, find_columns
from hemline.catalog.intake.feed_values import plain
from hemline.data.column_names import KNOWN, is_known, normalized, pieces
from hemline.errors import UsageError

_ADDRESS = re.compile(r"(https?:)?//", re.IGNORECASE)
_CLOSE = 0.8  # of names that are taken for a slip: `colums`, `deleted`


def read_row(row: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """A row under the names of a write: ``item_id``, ``category``, ``tags``, ``columns``, and
    ``pictures`` where it has some.

    Names are known as in a feed (`hemline.data.column_names`); the others are columns. ``columns``
    and further ``fields`` of the row stay as they are.

    Args:
        row: a JSON object; its images are texts in base64.
        fields: the write's own names, which count first.

    Raises:
        UsageError: no id is known, a name looks like a slip, the row is one variant of several, or
            its only images are addresses.
    """
    for name in row:
        _check_name(name, fields)
    own = {n: None if v == "" else v for n, v in row.items() if n not in _apart(fields)}
    if not any(normalized(name) in KNOWN["id"] for name in own):
        raise UsageError(
            f"the line has no item_id (known as one: {', '.join(KNOWN['id'])}); its names: "
            f"{', '.join(row)[:300]}"
        )
    mapping = FeedMapping.of({"id": "item_id"} if "item_id" in own else {})
    columns = find_columns(own, mapping, "the line", required=("id",))
    feed = Feed(Path("line"), {name: [value] for name, value in own.items()}, [1])
    found = read_items(feed, replace(columns, group="", images=()), ImageFiles(feed.path))
    if not found.items:
        raise UsageError(f"{columns.id} is empty; a line needs the product's id")
    ((item_id, update),) = found.items.items()
    group = own.get(columns.group)
    if group is not None and str(group).strip() != item_id:
        raise UsageError(
            f"{columns.group} says that this is a variant of {str(group)[:50]!r}, and a line is a "
            "whole product: send that as item_id with the variants' columns as lists, or let "
            "'catalog sync' or /v1/admin/manifest group the feed"
        )
    stored = dict(update.attributes.columns)
    kept = {name: column for column, name in columns.kept.items()}
    stored |= {name: plain(own[kept[name]]) for name in found.unread_prices}
    told: dict[str, Any] = {name: row[name] for name in _apart(fields) if name in row}
    images = _images(own, columns.images)
    return {
        **told,
        "item_id": item_id,
        "category": update.attributes.category,
        "tags": list(update.attributes.tags or ()),
        "columns": _merged(stored, row.get("columns")),
        **({} if images is None else {"pictures": images}),
    }


def _apart(fields: Collection[str]) -> list[str]:
    """The fields of a write that no feed has."""
    return [name for name in fields if not is_known(name)]


def _check_name(name: str, fields: Collection[str]) -> None:
    """
    Raises:
        UsageError: it is close to a field's name, and no name that is known.
    """
    if name in fields or is_known(normalized(name)):
        return
    close = get_close_matches(normalized(name), list(fields), n=1, cutoff=_CLOSE)
    if close:
        raise UsageError(
            f"unknown name {name[:50]!r}; did you mean {close[0]!r}? A column of this name goes "
            "into 'columns'"
        )


def _merged(stored: Mapping[str, Any], given: Any) -> Any:
    return {**stored, **given} if isinstance(given, Mapping) else stored if given is None else given


def _images(row: Mapping[str, Any], names: Collection[str]) -> list[str] | None:
    """The images of a row in base64; None where it has none.

    Raises:
        UsageError: there are addresses alone.
    """
    cells = {name: row[name] for name in names if row[name] is not None}
    texts = [
        (name, text)
        for name, cell in cells.items()
        for text in ([cell] if isinstance(cell, str) else pieces(cell))
    ]
    images = [text for _, text in texts if not _ADDRESS.match(text)]
    if texts and not images:
        raise UsageError(
            f"{texts[0][0]} is an address, and the service fetches none: send the image in base64, "
            "or leave the name out to keep the stored images"
        )
    return images if texts or any(name == "pictures" for name in cells) else None
