"""The manifest's table on disk: rows to Parquet and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hemline.data.garments import COLUMN
from hemline.files import durable_file
from hemline.synthetic.drawing import DISTURBANCES

_TEXT = ("path", "image_id", "item_id", "domain", "split", "category")


def _schema(photos: bool) -> pa.Schema:
    columns: list[tuple[str, Any]] = [(name, pa.string()) for name in _TEXT]
    columns.append(("tags", pa.list_(pa.string())))
    columns += [(name, pa.float32()) for name in ("x1", "y1", "x2", "y2")]
    columns.append(("landmarks", pa.list_(pa.float32())))
    columns += [("title", pa.string()), ("price", pa.float64()), ("group", pa.string())]
    if photos:
        columns.append(("source", pa.string()))
    columns += [(name, pa.float32()) for name in DISTURBANCES]
    columns.append((COLUMN, pa.string()))
    return pa.schema([pa.field(name, kind) for name, kind in columns])


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows as zstd Parquet, durably.

    Rows of photos have a `source`, the photo's path in its folder.
    """
    schema = _schema(photos=any("source" in row for row in rows))
    table = pa.table(
        {name: [row.get(name) for row in rows] for name in schema.names}, schema=schema
    )
    with durable_file(path) as stream:
        pq.write_table(table, stream, compression="zstd")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a manifest that `write_rows` wrote."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
