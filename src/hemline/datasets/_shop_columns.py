"""A shop's own table under the manifest's names: ids, images and categories as feeds have them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from hemline.data.amounts import is_price, parse_price
from hemline.data.column_names import known_columns, normalized, pieces
from hemline.data.manifest.text import infer, to_text
from hemline.data.manifest.validate import whole
from hemline.datasets._arrow import pa

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


class Known(NamedTuple):
    """What the columns of a table are, by their names.

    Attributes:
        columns: the manifest's name → cells, one for each image.
        rows: (images,) the table's row of each; None: a row has one image.
        used: columns of the table that are told by others.
        notes: what was taken for what.
    """

    columns: dict[str, Any]
    rows: Any
    used: frozenset[str]
    notes: list[str]


def known(
    columns: Mapping[str, Any],
    given: Mapping[str, Any],
    used: set[str],
    root: Path,
    addresses: bool = False,
) -> Known:
    """Finds the manifest's columns that a table has under other names.

    Args:
        columns: of the table.
        given: the manifest's columns that are told already.
        used: columns of the table that they are made of.
        root: the folder of the images.
        addresses: stay, and stand for no file.
    """
    free = {n: c for n, c in columns.items() if n not in used}
    own = {normalized(name): name for name in reversed(list(free))}
    found = known_columns(own, {})
    there = {*columns, *given}
    made: dict[str, Any] = {}
    told: list[str] = []
    taken: set[str] = set()
    rows: Any = None
    if "item_id" not in there and found["id"]:
        ids, groups = found["id"][0], found["group"][:1]
        made["item_id"] = _text(free[ids])
        taken.add(ids)
        told.append(f"item_id={ids}")
        if groups:
            pairs = zip(_text(free[groups[0]]), made["item_id"], strict=True)
            made |= {"variant_id": made["item_id"]}
            made["item_id"] = [group or own for group, own in pairs]
            taken.add(groups[0])
            told[-1] = f"item_id={groups[0]}, else {ids}"
    if "category" not in there and found["category"]:
        levels = _text(free[found["category"][0]])
        made["category"] = [text.rsplit(">", 1)[-1].strip() for text in levels]
        told.append(f"category={found['category'][0]}")
    if "path" not in there and found["images"]:
        cells = [free[name].to_pylist() for name in found["images"]]
        paths = _Paths(root, addresses)
        each = [
            [path for cell in row for path in paths.of(cell)] for row in zip(*cells, strict=True)
        ]
        rows = np.repeat(np.arange(len(each)), [max(1, len(one)) for one in each])
        made = {name: [values[row] for row in rows] for name, values in made.items()}
        made["path"] = [path for one in each for path in (one or [""])]
        taken |= set(found["images"])
        told.append(f"path={','.join(found['images'])}")
    notes = [f"taken by their names: {'; '.join(told)}"] if told else []
    if "domain" not in there:
        made["domain"] = ["shop"] * (
            len(next(iter(columns.values()))) if rows is None else len(rows)
        )
        notes.append("no column says the domain: all are shop images (domain=@street for photos)")
    return Known(
        {n: pa.array(v, pa.string()) for n, v in made.items()}, rows, frozenset(taken), notes
    )


def typed(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Text columns as numbers or booleans where all their cells fit, and prices as numbers.

    A price's currency goes to the column ``currency``, unless there is one.
    """
    found: dict[str, Any] = {}
    currencies: Any = None
    for name, column in columns.items():
        made = infer(whole(column)) if pa.types.is_string(column.type) else column
        if is_price(normalized(name)) and pa.types.is_string(made.type):
            cells = made.to_pylist()
            prices = [parse_price(cell) if cell else None for cell in cells]
            if all(price or not cell for price, cell in zip(prices, cells, strict=True)):
                made = pa.array([price and price.amount for price in prices], pa.float64())
                if currencies is None:
                    currencies = pa.array([price.currency if price else "" for price in prices])
        found[name] = made
    if currencies is not None and any(currencies.to_pylist()):
        found.setdefault("currency", currencies)
    return found


def _text(column: Any) -> list[str]:
    return [text.strip() for text in to_text(column).to_pylist()]


class _Paths:
    """The files of cells below a folder."""

    def __init__(self, root: Path, addresses: bool) -> None:
        self._root, self._addresses = root, addresses
        self._names: dict[str, str] | None = None

    def of(self, cell: Any) -> list[str]:
        if isinstance(cell, str) and cell.strip() and (self._root / cell.strip()).is_file():
            return [cell.strip()]
        return [self._file(piece) for piece in pieces(cell)]

    def _file(self, text: str) -> str:
        """An address stands for the file of its name, where there is one."""
        if not _ADDRESS.match(text) or self._addresses:
            return text
        if self._names is None:
            self._names = {}
            for folder, _, files in os.walk(self._root):
                for name in files:
                    path = os.path.relpath(os.path.join(folder, name), self._root)
                    self._names[name] = "" if name in self._names else path
        name = unquote(urlsplit(text).path).rpartition("/")[2]
        return self._names.get(name) or name
