"""Any CSV or Parquet table of images, with its columns mapped to the manifest's.

Each option names a column of the manifest: ``item_id=sku`` takes it from the table's ``sku``,
``domain=@shop`` sets it to ``shop`` in all rows. ``tags=colour,collar`` makes a tag of each cell
of these columns (``colour=red``), ``images=FOLDER`` is the folder that relative paths start from
(default: the table's). Other columns keep their name; prices become numbers.

Columns that no option names are known by the names of `hemline.data.column_names`, as in
`hemline catalog sync`: so Google's feed needs no option. A row has a row of the manifest for each
of its images; an address stands for the file of its name in the folder of images. Without a column
for the domain all rows are shop images. ``addresses=keep`` leaves addresses as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.data.manifest.files import locate, read_table
from hemline.data.manifest.text import to_text
from hemline.data.manifest.validate import SCHEMA, canonical, whole
from hemline.datasets._base import Options, ReaderSpec, ReadReport, choice, keep_present
from hemline.datasets._shop_columns import known, typed
from hemline.errors import UsageError, nearest
from hemline.files import absolute

#: Options that name no column.
_NO_COLUMNS = ("images", "addresses")


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    file = locate(root)
    table, problems = read_table(file, typed=False)
    columns = {name: table[name] for name in table.column_names}
    folder = absolute(file).parent / options.get("images", "")
    taken: dict[str, Any] = {}
    for name, source in options.items():
        if name in _NO_COLUMNS:
            continue
        if source.startswith("@"):
            taken[name] = pa.array([source[1:]] * len(table), pa.string())
        elif name == "tags":
            parts = [part.strip() for part in source.split(",")]
            taken[name] = _tags({part: _column(columns, part, file) for part in parts})
        else:
            taken[name] = _column(columns, source, file)
    used = {column for n, o in options.items() if n not in _NO_COLUMNS for column in _named(n, o)}
    own = known(columns, taken, used, folder, options.get("addresses") == "keep")
    left = {n: c for n, c in columns.items() if n not in used and n not in {*taken, *own.used}}
    if own.rows is not None:
        taken, left = (
            {n: whole(c).take(own.rows) for n, c in some.items()} for some in (taken, left)
        )
    kept = typed({n: c for n, c in left.items() if n not in SCHEMA})
    plain = {n: c for n, c in left.items() if n in SCHEMA}
    keeps = choice(options, "addresses", ("name", "keep")) == "keep"
    checked = canonical(pa.table({**kept, **plain, **taken, **own.columns}), str(file), problems)
    return keep_present(Manifest(checked, absolute(folder)), tuple(own.notes), addresses=keeps)


def _named(name: str, source: str) -> list[str]:
    """The columns that an option takes out of the table."""
    return [] if name == "tags" or source.startswith("@") else [source]


def _column(columns: Mapping[str, Any], name: str, file: Path) -> Any:
    if name not in columns:
        raise UsageError(f"{file} has no column {name!r}. {nearest(name, columns)}")
    return columns[name]


def _tags(columns: Mapping[str, Any]) -> Any:
    """The cells of each column as ``column=cell``; an empty cell gives no tag."""
    texts = {name: to_text(column).to_pylist() for name, column in columns.items()}
    rows = zip(*texts.values(), strict=True)
    lists = [
        [f"{name}={cell.strip()}" for name, cell in zip(texts, row, strict=True) if cell.strip()]
        for row in rows
    ]
    return pa.array(lists, SCHEMA["tags"])


READERS: Mapping[str, ReaderSpec] = {
    "csv": ReaderSpec(
        name="csv",
        summary="Any CSV or Parquet table; options map its columns: item_id=sku domain=@shop.",
        get="export a table with a row for each picture",
        licence="that of your pictures",
        reader=_read,
        options={
            "images": "folder that relative paths start from; default the table's own",
            "addresses": "name (default): an address stands for the file of its name; keep: it "
            "stays, to be fetched by `catalog add` or `data fetch` where its host is allowed",
            "tags": "columns, joined by commas, whose cells become tags column=cell",
            **{
                name: f"the table's column to take {name} from, or @value for all rows"
                for name in SCHEMA
                if name != "tags"
            },
        },
    )
}
