"""DeepFashion's attribute files as tags of items; *unknown* is distinguished from *no*.

- ``list_attr_cloth.txt``: Chinese name, English name (with blanks in it), number of its type; the
  columns are separated by two blanks or more.
- ``list_attr_type.txt``: Chinese name, English name of each type, numbered from 1.
- ``list_attr_items.txt``: an item, then 1 yes, -1 no, 0 unknown for each attribute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hemline.datasets._arrow import Ints, Mask, pa, word_lists
from hemline.datasets._deepfashion import find_list, needed_list
from hemline.datasets._lists import Lines, blocks, read_text
from hemline.errors import DataError

_LINES = 4096


@dataclass(frozen=True, slots=True)
class Attributes:
    """Tags ``type=value`` of each item, and its types all of whose values are known.

    Attributes:
        items: (I,) text.
        tags: (I,) lists; attributes with the value 1.
        known: (I,) lists of types.
        count: number of attributes.
        notes: further remarks.
    """

    items: Any
    tags: Any
    known: Any
    count: int
    notes: tuple[str, ...]


def read_attributes(root: Path) -> Attributes | None:
    """The attributes; None if the data set has no attribute files.

    Raises:
        DataError: they are damaged, or some of them are missing.
    """
    values = find_list(root, "list_attr_items.txt")
    if values is None:
        return None
    types = _types(needed_list(root, "list_attr_type.txt"))
    file = needed_list(root, "list_attr_cloth.txt")
    names, kinds = _names(file, len(types))
    vocabulary, tag_of = np.unique(
        [f"{types[kind]}={name}" for name, kind in zip(names, kinds, strict=True)],
        return_inverse=True,
    )
    used = [int(kind) for kind in np.unique(kinds)]
    items, yes, known, partly = [], [], [], 0
    text = read_text(values)
    for piece, before in blocks(text, _LINES):
        lines = Lines.of(piece, str(values), before)
        if before == 0:
            lines = lines.take(slice(2, None))
        if not len(lines):
            continue
        lines.expect(1 + len(names), f"an item and {len(names)} attributes")
        state, good = lines.integers(1, len(names))
        wrong = np.argwhere(~good | (np.abs(state) > 1))
        if len(wrong):
            at = int(wrong[0][0])
            lines.fail(at, f"has a value other than 1, 0, -1 in word {wrong[0][1] + 2}")
        items.append(lines.column(0))
        tagged = np.zeros((len(lines), len(vocabulary)), bool)
        rows, columns = np.nonzero(state == 1)
        tagged[rows, tag_of[columns]] = True
        yes.append(_lists(tagged, vocabulary.tolist()))
        told = np.stack([(state[:, kinds == k] != 0).mean(axis=1) for k in used], axis=1)
        partly += int(((told > 0) & (told < 1)).sum())
        known.append(_lists(told == 1, [types[k] for k in used]))
    if not items:
        raise DataError(f"{values} lists no items")
    notes = []
    if len(vocabulary) < len(names):
        notes.append(
            f"{len(names)} attributes are {len(vocabulary)} tags; "
            "those of the same name and type are one"
        )
    if partly:
        notes.append(f"{partly:,} times a type of attributes is known only in part of an item")
    return Attributes(
        pa.concat_arrays(items),
        pa.concat_arrays(yes),
        pa.concat_arrays(known),
        len(names),
        tuple(notes),
    )


def _lists(mask: Mask, words: list[str]) -> Any:
    """(N, W) → (N,) lists of the words whose mask is true."""
    rows, columns = np.nonzero(mask)
    return word_lists(rows, columns, words, len(mask))


def _rows(file: Path) -> list[str]:
    text = read_text(file, "replace").decode("utf-8", "replace")
    rows = [line.strip() for line in text.split("\n") if line.strip()]
    if len(rows) < 3:
        raise DataError(f"{file} lists nothing; expected a count, a header and rows")
    return rows[2:]


def _types(file: Path) -> dict[int, str]:
    """Number → English name."""
    return {number: " ".join(row.split()[1:]) for number, row in enumerate(_rows(file), 1)}


def _names(file: Path, types: int) -> tuple[list[str], Ints]:
    """The attributes' English names and the numbers of their types."""
    names, kinds = [], []
    for number, row in enumerate(_rows(file), 3):
        parts = re.split(r"\s{2,}", row)
        if len(parts) != 3:
            words = row.split()
            parts = [words[0], " ".join(words[1:-1]), words[-1]]
        if not (parts[2].isdecimal() and 1 <= int(parts[2][:9]) <= types and parts[1]):
            raise DataError(
                f"{file}, row {number}: {row[:80]!r}; expected a Chinese name, an English name and "
                f"the number of a type, 1 to {types}"
            )
        names.append(parts[1])
        kinds.append(int(parts[2]))
    return names, np.array(kinds, np.int64)
