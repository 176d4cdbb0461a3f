"""Exports a catalogue as a manifest in Parquet: rows, typed columns, and paths of images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hemline.catalog.intake.embedding import batches
from hemline.catalog.store import Advance, Row
from hemline.errors import UsageError
from hemline.files import absolute, durable_file

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog

_ROWS = 4096
_OWN = {
    name: pa.string()
    for name in ("image_id", "path", "item_id", "domain", "role", "split", "category")
} | {"tags": pa.list_(pa.string())}


def export(catalog: Catalog, path: Path, vectors: bool, advance: Advance) -> dict[str, int]:
    """See `Catalog.export`."""
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise UsageError(f"an export is a .parquet file, not {path.name!r}")
    store = catalog.live().store
    kinds: dict[str, set[str]] = {}
    for row in store.rows():
        for name, value in row.columns.items():
            kinds.setdefault(name, set()).add(_kind(value))
    columns = {name: _type(kinds[name]) for name in sorted(kinds) if name not in _OWN}
    fields = {**_OWN, **columns}
    if vectors:
        fields |= {"embedding": pa.list_(pa.float32(), store.dim), "norm": pa.float32()}
    schema = pa.schema(list(fields.items()))
    total, written = store.counts().images, 0
    items: set[str] = set()
    with (
        durable_file(path) as stream,
        pq.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        for rows in batches(store.rows(), _ROWS):
            places = [_place(catalog, row, path) for row in rows]
            writer.write_table(_table(rows, places, columns, vectors, schema))
            written += len(rows)
            items.update(row.item_id for row in rows)
            advance(min(written, total), total)
    return {"pictures": written, "items": len(items), "bytes": path.stat().st_size}


def _table(
    rows: Sequence[Row],
    places: Iterable[str],
    columns: Mapping[str, Any],
    vectors: bool,
    schema: Any,
) -> Any:
    cells: dict[str, list[Any]] = {
        "image_id": [row.image_id for row in rows],
        "path": list(places),
        "item_id": [row.item_id for row in rows],
        "domain": [row.domain for row in rows],
        "role": ["" if row.domain == "shop" else "gallery" for row in rows],
        "split": [""] * len(rows),
        "category": [row.category for row in rows],
        "tags": [list(row.tags) for row in rows],
    }
    for name, kind in columns.items():
        cells[name] = [_as(row.columns.get(name), kind) for row in rows]
    if vectors:
        cells["embedding"] = [row.embedding for row in rows]
        cells["norm"] = [row.norm for row in rows]
    return pa.table(cells, schema=schema)


def _place(catalog: Catalog, row: Row, target: Path) -> str:
    """The path of the copy, relative to the export's folder where it is below that."""
    copy = catalog.image_path(row)
    if copy is None:
        return row.image_id
    whole, folder = absolute(copy), absolute(target).parent
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        inner = {_kind(part) for part in value if part is not None} or {"text"}
        return "list:" + _common(inner)
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) < 2**63 else "text"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "json"


def _common(kinds: set[str]) -> str:
    """The narrowest kind that holds them all."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds == {"int", "float"}:
        return "float"
    if any(kind.startswith("list:") for kind in kinds):
        inner = {kind.removeprefix("list:") for kind in kinds}
        return "json" if "json" in inner else "list:" + _common(inner)
    return "json" if "json" in kinds else "text"


_TYPES = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "json": pa.string(),
}


def _type(kinds: set[str]) -> Any:
    kind = _common(kinds)
    if kind.startswith("list:"):
        return pa.list_(_TYPES.get(kind.removeprefix("list:"), pa.string()))
    return _TYPES[kind]


def _as(value: Any, kind: Any) -> Any:
    """A value for a column's type: numbers as they are, the rest as text or JSON."""
    if value is None:
        return None
    if pa.types.is_list(kind):
        parts = value if isinstance(value, list) else [value]
        return [_as(part, kind.value_type) for part in parts]
    if not pa.types.is_string(kind) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
