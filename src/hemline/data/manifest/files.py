"""Reads and writes manifest files: CSV or Parquet, tables of any columns."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from hemline.data.manifest.problems import Problems
from hemline.data.manifest.text import format_landmarks, format_tags, infer, to_text
from hemline.data.manifest.validate import SCHEMA, whole
from hemline.errors import DataError
from hemline.files import durable_file

#: Untyped: its published types lag behind its functions.
pc: Any = pyarrow.compute

#: Names of the manifest in a folder.
FILES = ("manifest.parquet", "manifest.csv")
_PARQUET = (".parquet", ".pq")
#: Most rows of a manifest; a damaged file may state more than fit into memory.
_MOST_ROWS = 100_000_000
SUFFIXES = (*_PARQUET, ".csv", ".tsv", ".txt")


def locate(path: Path) -> Path:
    """The manifest's file: ``path``, or the one in the folder ``path``.

    Raises:
        DataError: there is none, it is empty, or neither Parquet nor CSV.
    """
    if path.is_dir():
        for name in FILES:
            if (path / name).is_file():
                return path / name
        raise DataError(
            f"{path} is a folder without {' or '.join(FILES)}; name the manifest's file"
        )
    if not path.is_file():
        raise DataError(
            f"there is no manifest {path}; `hemline data read` or `data make` makes one"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} is neither .parquet nor .csv; a manifest is one of the two")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; a manifest has a header and a row for each picture")
    return path


def read_table(file: Path, typed: bool = True) -> tuple[Any, Problems]:
    """The table in ``file``, and the rows that have a wrong number of cells.

    Cells of CSV are text; with ``typed`` further columns become numbers or booleans if all their
    cells fit.

    Raises:
        DataError: the file can't be read.
    """
    if file.suffix.lower() in _PARQUET:
        table = _read_parquet(file)
        return table, Problems(str(file), len(table))
    return _read_csv(file, typed)


def write_table(table: Any, target: Path) -> None:
    """Writes ``target`` durably and atomically, as Parquet or CSV by its suffix.

    Raises:
        OSError: it can't be written.
    """
    suffix = target.suffix.lower()
    with durable_file(target) as stream:
        if suffix in _PARQUET:
            pq.write_table(table, stream, compression="zstd")
        else:
            delimiter = "\t" if suffix == ".tsv" else ","
            options = pacsv.WriteOptions(quoting_style="needed", delimiter=delimiter)
            pacsv.write_csv(_csv_table(table), stream, options)


def _read_parquet(file: Path) -> Any:
    try:
        whole_file = pq.ParquetFile(file)
        rows = whole_file.metadata.num_rows
        if rows > _MOST_ROWS:
            raise DataError(f"{file} states {rows:,} rows; a manifest has at most {_MOST_ROWS:,}")
        return whole_file.read()
    except (pa.ArrowException, MemoryError, OSError, ValueError) as error:
        first = (str(error) or "it does not fit into memory").splitlines()[0]
        raise DataError(f"{file} can't be read as Parquet: {first}") from None


def _header(file: Path) -> tuple[list[str], str]:
    """The column names in the file, and the delimiter."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            line = next((text for text in stream if text.strip()), "")
    except UnicodeDecodeError:
        raise DataError(f"{file} is not UTF-8 text; save it as CSV in UTF-8") from None
    delimiter = max(",;\t", key=line.count)
    try:
        return next(csv.reader([line], delimiter=delimiter), []), delimiter
    except csv.Error as error:
        raise DataError(f"{file}: its first line is no header of CSV: {error}") from None


def _read_csv(file: Path, typed: bool) -> tuple[Any, Problems]:
    names, delimiter = _header(file)
    problems = Problems(str(file), 0)
    if not names:
        raise DataError(f"{file} is empty; a manifest has a header and a row for each picture")
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise DataError(f"{file}: the column {doubled[0]!r} is in the header twice")

    ragged: list[tuple[int, str]] = []

    def skip(row: Any) -> Any:
        ragged.append(
            # Arrow counts the header as line 1, we count the first row as 0.
            (
                (row.number or 2) - 2,
                f"{row.actual_columns} cells, where the header has {len(names)}",
            )
        )
        return "skip"

    try:
        table = pacsv.read_csv(
            file,
            pacsv.ReadOptions(use_threads=False, block_size=16 << 20),
            pacsv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        first = str(error).splitlines()[0]
        if "UTF8" in first:
            raise DataError(f"{file} is not UTF-8 text; save it as CSV in UTF-8") from None
        raise DataError(f"{file} can't be read as CSV: {first}") from None
    if ragged:
        told = dict(ragged)
        problems.number(len(table), np.array(sorted(told), np.int64))
        problems.add("rows with a wrong number of cells", sorted(told), told.__getitem__, True)
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        own, text = name.strip(), whole(column)
        if own in SCHEMA:
            text = pc.utf8_trim_whitespace(text)
        elif typed:
            text = infer(text)
        columns[own] = text
    return pa.table(columns), problems


def _csv_table(table: Any) -> Any:
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if name == "tags":
            column = format_tags(column)
        elif name == "landmarks":
            column = format_landmarks(column)
        elif pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            column = to_text(column)
        elif pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        optional = name in SCHEMA and name not in ("image_id", "path", "item_id", "domain")
        if optional and _is_blank(column):
            continue
        columns[name] = column
    return pa.table(columns)


def _is_blank(column: Any) -> bool:
    if column.null_count == len(column):
        return True
    if not pa.types.is_string(column.type):
        return False
    longest = pc.max(pc.binary_length(column)).as_py()
    return not longest
