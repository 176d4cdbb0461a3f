"""Several manifests as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from hemline.data.manifest.table import Manifest
from hemline.data.manifest.validate import SCHEMA
from hemline.errors import UsageError

SOURCE, KINDS = "source", "kind_of_source"


def join(parts: Sequence[tuple[str, Manifest]]) -> Manifest:
    """The rows of all parts, in order.

    ``item_id`` and ``image_id`` get the part's number in front (``1/ID``). The column ``source``
    keeps a part's own values, and is the part's name where it has none. A further column is kept if
    its type is the same in all parts that have it; rows of other parts have null there.

    Args:
        parts: (name, manifest).

    Raises:
        UsageError: no part.
    """
    if not parts:
        raise UsageError("there is nothing to join; name one manifest or more")
    tables = []
    for number, (name, manifest) in enumerate(parts, 1):
        table = manifest.table
        for column in ("item_id", "image_id"):
            values = [f"{number}/{value}" for value in table[column].to_pylist()]
            table = _set(table, column, values)
        table = _set(table, "path", [str(path) for path in manifest.files()])
        own = table[SOURCE].to_pylist() if SOURCE in table.column_names else [""] * len(manifest)
        tables.append(_set(table, SOURCE, [str(value or name) for value in own]))
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    clash = [name for name, types in kinds.items() if len(types) > 1 and name not in SCHEMA]
    kept = [table.drop_columns([c for c in clash if c in table.column_names]) for table in tables]
    whole = pa.concat_tables(kept, promote_options="default").combine_chunks()
    return Manifest.from_table(whole, Path(parts[0][1].root))


def with_kinds(manifest: Manifest, least: int) -> Manifest:
    """The manifest with the column ``kind_of_source``, to draw batches of garments that are alike.

    Its values are ``SOURCE/CATEGORY`` where the source has at least ``least`` street photos of the
    category in the split ``train``, and ``SOURCE/other`` for the others of it.

    Args:
        manifest: with the columns ``source`` and ``category``.
        least: photos of a category.
    """
    source = manifest.column(SOURCE).astype(str).tolist()
    category = manifest.column("category").astype(str).tolist()
    trained = (manifest.column("domain") == "street") & (manifest.column("split") == "train")
    pairs = list(zip(source, category, strict=True))
    photos = Counter(pair for pair, counts in zip(pairs, trained.tolist(), strict=True) if counts)
    values = [f"{pair[0]}/{pair[1] if photos[pair] >= least else 'other'}" for pair in pairs]
    return manifest.with_column(KINDS, values)


def _set(table: pa.Table, name: str, values: Sequence[str]) -> pa.Table:
    array = pa.array(np.asarray(values, dtype=object), pa.string())
    if name not in table.column_names:
        return table.append_column(name, array)
    return table.set_column(table.column_names.index(name), name, array)
