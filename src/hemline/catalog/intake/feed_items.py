"""From the rows of a feed to updates of items: variants under one item, each image its columns.

An item is a group (``item_group_id``) or, without one, a row. Its images are those of all its rows,
each once. An image has the columns of the rows that show it: one value where they agree; where
they differ, numbers as the smallest under the column's name and the largest as ``…_max``, all else
as a list (sizes: ``["S", "M"]``). A row without an image counts for all images of its item.
``variant_id`` holds the rows' own ids where they aren't the item's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hemline.catalog.intake.feed import BadRow, Feed
from hemline.catalog.intake.feed_images import ImageFile, ImageFiles
from hemline.catalog.intake.feed_map import Columns
from hemline.catalog.intake.feed_values import plain
from hemline.catalog.intake.update import Attributes, ImageUpdate, ItemUpdate
from hemline.data.amounts import is_price, parse_price
from hemline.data.column_names import normalized, pieces
from hemline.data.manifest.text import infer, split_tags

VARIANT = "variant_id"


@dataclass(slots=True)
class FeedItems:
    """The items of a feed.

    Attributes:
        items: item_id → update, in the order of the feed.
        rows: number of rows, bad ones too.
        bad: rows that can't be used, and why.
        duplicates: ids that came more than once; the last row counts.
        unread_prices: column → number of cells that are no price.
        by_name: images that were found by the file name of their address.
    """

    items: dict[str, ItemUpdate]
    rows: int
    bad: list[BadRow]
    duplicates: list[str] = field(default_factory=list)
    unread_prices: dict[str, int] = field(default_factory=dict)
    by_name: int = 0

    def image_ids(self) -> set[str]:
        return {image.image_id for item in self.items.values() for image in item.images or ()}


@dataclass(slots=True)
class _Variant:
    """One row of the feed."""

    id: str
    index: int
    images: dict[str, ImageFile]


def read_items(feed: Feed, columns: Columns, files: ImageFiles) -> FeedItems:
    """Groups the rows of ``feed``."""
    table = _Table(feed, columns)
    found = FeedItems({}, len(feed) + len(feed.bad), list(feed.bad), unread_prices=table.unread)
    groups: dict[str, dict[str, _Variant]] = {}
    ids = feed.columns[columns.id]
    parents = feed.columns[columns.group] if columns.group else [None] * len(feed)
    place: dict[str, str] = {}
    for i, line in enumerate(feed.lines):
        own = _text(ids[i])
        if not own:
            found.bad.append(BadRow(line, f"no {columns.id}"))
            continue
        if own in place:
            found.duplicates.append(own)
            groups[place[own]].pop(own, None)
        item = place[own] = _text(parents[i]) or own
        groups.setdefault(item, {})[own] = _Variant(own, i, table.images(files, i))
    owners: dict[str, str | None] = {}  # name of an image → its item, None where several have it
    for item, rows in groups.items():
        for name in {name for row in rows.values() for name in row.images}:
            owners[name] = None if name in owners else item
    for item, rows in groups.items():
        variants = list(rows.values())
        if variants:
            images: dict[str, ImageFile] = {}
            for row in variants:
                images |= {n: file for n, file in row.images.items() if n not in images}
            found.by_name += sum(file.by_name for file in images.values())
            found.items[item] = _item(table, item, variants, images, owners)
    return found


def _item(
    table: _Table,
    item: str,
    variants: Sequence[_Variant],
    images: Mapping[str, ImageFile],
    owners: Mapping[str, str | None],
) -> ItemUpdate:
    updates = []
    for name, file in images.items():
        shown = [row for row in variants if not row.images or name in row.images]
        image_id = name if owners[name] == item else f"{name}#{item}"
        attributes = table.attributes(item, shown)
        updates.append(
            ImageUpdate(file.path, image_id, name, file.problem, attributes, domain="shop")
        )
    # All rows show an only image, or show nothing.
    whole = updates[0].attributes if len(updates) == 1 else table.attributes(item, variants)
    assert whole is not None
    return ItemUpdate(item, whole, updates)


class _Table:
    """The cells of a feed, by what they mean.

    Attributes:
        unread: column → number of cells that are no price.
    """

    def __init__(self, feed: Feed, columns: Columns) -> None:
        self._cells, self._columns, self._lines = feed.columns, columns, feed.lines
        self._values, self.unread = _values(feed, columns)

    def images(self, files: ImageFiles, row: int) -> dict[str, ImageFile]:
        """name → file of the images of a row."""
        found: dict[str, ImageFile] = {}
        for name in self._columns.images:
            for image in files.of_cell(self._cells[name][row], self._lines[row]):
                found.setdefault(image.name, image)
        return found

    def attributes(self, item: str, rows: Sequence[_Variant]) -> Attributes:
        """What some rows of one item have together."""
        places = [row.index for row in rows]
        merged: dict[str, Any] = {}
        for column, cells in self._values.items():
            merged |= _merged(column, [cells[place] for place in places])
        if any(row.id != item for row in rows):
            merged |= _merged(VARIANT, [row.id for row in rows])
        return Attributes(self._category(places), self._tags(places), merged)

    def _category(self, places: Sequence[int]) -> str:
        """The last level of ``Apparel > Women > Dresses``."""
        for name in self._columns.category:
            for place in places:
                cell = self._cells[name][place]
                text = _text(cell[0] if isinstance(cell, list) and cell else cell)
                if text:
                    return text.rsplit(">", 1)[-1].strip()
        return ""

    def _tags(self, places: Sequence[int]) -> tuple[str, ...]:
        """``name=value`` of each tag column: as it stands, or with the column's name before it."""
        tags: dict[str, None] = {}
        for name in self._columns.tags:
            own = normalized(name)
            for place in places:
                cell = self._cells[name][place]
                if own == "tags" and isinstance(cell, str):
                    tags |= dict.fromkeys(split_tags(cell))
                    continue
                for piece in pieces(cell):
                    bare = f"{'tag' if own == 'tags' else own}={piece}"
                    tags[piece if "=" in piece else bare] = None
        return tuple(tags)


def _merged(name: str, cells: Sequence[Any]) -> dict[str, Any]:
    """The cells of several rows as the columns of an image."""
    first = cells[0]
    if not isinstance(first, list) and all(cell == first for cell in cells):
        return {} if first is None else {name: first}
    flat: list[Any] = []
    for cell in cells:
        for value in cell if isinstance(cell, list) else [cell]:
            if value is not None and value not in flat:
                flat.append(value)
    if not flat:
        return {}
    lists = any(isinstance(cell, list) for cell in cells)
    if len(flat) == 1:
        return {name: flat if lists else flat[0]}
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in flat)
    if numbers and not lists:
        return {name: min(flat), f"{name}_max": max(flat)}
    return {name: flat}


def _text(value: Any) -> str:
    """A number or text as an id: ``17.0`` of a table of numbers is ``17``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _values(feed: Feed, columns: Columns) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """The stored columns by their names; column → number of cells that are no price."""
    values: dict[str, list[Any]] = {}
    unread: dict[str, int] = {}
    currencies: list[str] = [""] * len(feed)
    for column, name in columns.kept.items():
        cells = feed.columns[column]
        if not is_price(name):
            values[name] = _inferred(cells) if feed.text else [plain(cell) for cell in cells]
            continue
        prices = [parse_price(cell) for cell in cells]
        bad = sum(p is None and c is not None for p, c in zip(prices, cells, strict=True))
        if bad:
            unread[name] = bad
        values[name] = [None if price is None else price.amount for price in prices]
        for i, price in enumerate(prices):
            if price is not None and not currencies[i]:
                currencies[i] = price.currency
    if "currency" not in values and any(currencies):
        values["currency"] = [currency or None for currency in currencies]
    filled = {name: cells for name, cells in values.items() if any(c is not None for c in cells)}
    return filled, unread


def _inferred(cells: Sequence[str | list[str] | None]) -> list[Any]:
    """Text as whole numbers, numbers, true/false or text, whichever all cells fit."""
    if any(isinstance(cell, list) for cell in cells):
        return list(cells)
    column = infer(pa.array([cell or "" for cell in cells], pa.string()))
    return [plain(None if cell == "" else cell) for cell in column.to_pylist()]
