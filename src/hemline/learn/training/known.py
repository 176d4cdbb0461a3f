"""Which values of which tags a row is labelled for, where the data says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest

#: A column with the names of the tags of which every value is known of a row.
COLUMN = "known_types"


def known_tags(
    manifest: Manifest, vocabulary: Sequence[str], tags: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8] | None:
    """Whether each row is labelled for each tag; None without the column `COLUMN`.

    Every value of a name of the column is known, so one that isn't there is explicitly absent. Of
    other names only the values that are there are known. A row without a list is labelled for every
    value of the names it has a value of, as in a manifest without the column.

    Args:
        tags: (N, T) multi-hot.

    Returns:
        (N, T) of 0 and 1.
    """
    if COLUMN not in manifest.names:
        return None
    names = np.asarray([tag.partition("=")[0] for tag in vocabulary], np.str_)
    numbers = {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}
    known = tags.copy()
    for row, cell in enumerate(manifest.column(COLUMN)):
        listed = _names(cell)
        if listed is None:
            listed = [name for name, columns in numbers.items() if tags[row, columns].any()]
        for name in listed:
            if name in numbers:
                known[row, numbers[name]] = 1
    return known


def _names(cell: Any) -> list[str] | None:
    """A list, its JSON text as CSV has it, or None."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell) if cell else None
        except ValueError:
            return [cell]
    return cell if isinstance(cell, list) else None
