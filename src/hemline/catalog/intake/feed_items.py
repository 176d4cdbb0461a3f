"""From the rows of a feed to products: variants under one product, each picture with its columns.

A product is a group (``item_group_id``) or, without one, a row. Its pictures are those of all its
rows, each once. A picture carries what the rows that show it say: one value where they agree; where
they differ, the numbers as the smallest under the column's name and the largest as ``…_max``, all
else as a list (sizes: ``["S", "M"]``). A row without a picture counts for all pictures of its
product. ``variant_id`` holds the rows' own numbers where they aren't the product's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from hemline.catalog.intake.feed import BadRow, Feed
from hemline.catalog.intake.feed_images import ImageFile, ImageFiles
from hemline.catalog.intake.feed_map import Columns, simple
from hemline.catalog.intake.feed_values import is_price, parse_price, pieces, plain
from hemline.data.manifest.text import infer, split_tags

VARIANT = "variant_id"


class Said(NamedTuple):
    """What the feed says of a picture, or of a whole product; as `Row` has it."""

    category: str
    tags: tuple[str, ...]
    columns: dict[str, Any]


@dataclass(slots=True)
class Wanted:
    """A picture that the catalogue shall have.

    Attributes:
        image_id: unique in the feed.
        file: its file, or why there is none.
        said: what is stored with it.
    """

    image_id: str
    file: ImageFile
    said: Said

    @property
    def path(self) -> Path | None:
        return self.file.path


@dataclass(slots=True)
class Product:
    """What the catalogue shall have of one product.

    Attributes:
        item_id: its number.
        pictures: those that the feed names; maybe none.
        said: of all its rows together, for pictures that the catalogue has of it already.
    """

    item_id: str
    pictures: list[Wanted]
    said: Said


@dataclass(slots=True)
class Products:
    """A feed, understood.

    Attributes:
        products: by item_id, in the order of the feed.
        rows: how many there were, bad ones too.
        bad: rows that can't be used, and why.
        duplicates: numbers that came more than once; the last row counts.
        unread: column → how many of its prices are none.
        by_name: pictures that were found by the file name of their address.
    """

    products: dict[str, Product]
    rows: int
    bad: list[BadRow]
    duplicates: list[str] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    by_name: int = 0


class _Row:
    """One row of the feed: a variant."""

    __slots__ = ("id", "images", "index")

    def __init__(self, id: str, index: int, images: list[ImageFile]) -> None:
        self.id, self.index, self.images = id, index, images


def products(feed: Feed, columns: Columns, files: ImageFiles) -> Products:
    """Groups the rows of ``feed``."""
    values, unread = _values(feed, columns)
    found = Products({}, len(feed) + len(feed.bad), list(feed.bad), unread=unread)
    groups: dict[str, dict[str, _Row]] = {}
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
        groups.setdefault(item, {})[own] = _Row(own, i, _images(feed, columns, files, i))
    owners: dict[str, str | None] = {}
    for item, rows in groups.items():
        for name in {image.name for row in rows.values() for image in row.images}:
            owners[name] = None if name in owners else item
    for item, rows in groups.items():
        variants = list(rows.values())
        if not variants:
            continue
        pictures = list(_pictures(feed, columns, values, item, variants, owners))
        alone = len(pictures) == 1  # then all its rows show it, or show nothing
        said = pictures[0].said if alone else _said(feed, columns, values, item, variants)
        found.by_name += sum(picture.file.by_name for picture in pictures)
        found.products[item] = Product(item, pictures, said)
    return found


def _images(feed: Feed, columns: Columns, files: ImageFiles, row: int) -> list[ImageFile]:
    found: dict[str, ImageFile] = {}
    for name in columns.images:
        for image in files.of_cell(feed.columns[name][row]):
            found.setdefault(image.name, image)
    return list(found.values())


def _pictures(
    feed: Feed,
    columns: Columns,
    values: Mapping[str, Sequence[Any]],
    item: str,
    rows: list[_Row],
    owners: Mapping[str, str | None],
) -> Iterable[Wanted]:
    images: dict[str, ImageFile] = {}
    for row in rows:
        for image in row.images:
            images.setdefault(image.name, image)
    for name, image in images.items():
        shown = [r for r in rows if not r.images or any(i.name == name for i in r.images)]
        unique = name if owners[name] == item else f"{name}#{item}"
        yield Wanted(unique, image, _said(feed, columns, values, item, shown))


def _said(
    feed: Feed,
    columns: Columns,
    values: Mapping[str, Sequence[Any]],
    item: str,
    rows: Sequence[_Row],
) -> Said:
    """What some rows of one product say together."""
    places = [row.index for row in rows]
    merged: dict[str, Any] = {}
    for column, cells in values.items():
        merged |= _merged(column, [cells[place] for place in places])
    if any(row.id != item for row in rows):
        merged |= _merged(VARIANT, [row.id for row in rows])
    return Said(_category(feed, columns, places), _tags(feed, columns, places), merged)


def _merged(name: str, cells: Sequence[Any]) -> dict[str, Any]:
    """The cells of several rows as what a picture carries."""
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
    if len(flat) == 1:
        return {name: flat if any(isinstance(c, list) for c in cells) else flat[0]}
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in flat)
    if numbers and not any(isinstance(c, list) for c in cells):
        return {name: min(flat), f"{name}_max": max(flat)}
    return {name: flat}


def _text(value: Any) -> str:
    """A number or text as an id: ``17.0`` of a table of numbers is ``17``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _category(feed: Feed, columns: Columns, places: Sequence[int]) -> str:
    """The last level of ``Apparel > Women > Dresses``."""
    for name in columns.category:
        for place in places:
            text = _text(feed.columns[name][place])
            if text:
                return text.rsplit(">", 1)[-1].strip()
    return ""


def _tags(feed: Feed, columns: Columns, places: Sequence[int]) -> tuple[str, ...]:
    """``name=value`` of each tag column: as it stands, or with the column's name before it."""
    tags: dict[str, None] = {}
    for name in columns.tags:
        own = simple(name)
        for place in places:
            cell = feed.columns[name][place]
            if own == "tags" and isinstance(cell, str):
                tags |= dict.fromkeys(split_tags(cell))
                continue
            for piece in pieces(cell):
                bare = f"{'tag' if own == 'tags' else own}={piece}"
                tags[piece if "=" in piece else bare] = None
    return tuple(tags)


def _values(feed: Feed, columns: Columns) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """The stored columns by the names they are stored under; how many prices aren't any."""
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
    return {name: cells for name, cells in values.items() if any(c is not None for c in cells)}, (
        unread
    )


def _inferred(cells: Sequence[str | None]) -> list[Any]:
    """Text as whole numbers, numbers, true/false or text, whichever all cells fit."""
    column = infer(pa.array([cell or "" for cell in cells], pa.string()))
    return [plain(None if cell == "" else cell) for cell in column.to_pylist()]
