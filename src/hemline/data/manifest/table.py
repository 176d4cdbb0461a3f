"""The manifest: a table of images with one row for each garment on each image.

Parquet or CSV (comma, semicolon or tab; UTF-8 with or without a byte-order mark; any line ends).
``path``, ``item_id`` and ``domain`` are required, other columns have defaults (docs/data.md).
Further columns are kept: in Parquet with their type, in CSV as numbers, booleans or text, whichever
all cells of the column fit. Reading validates every row and reports all problems at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hemline.data.manifest.files import SUFFIXES, locate, read_table, write_table
from hemline.data.manifest.text import to_text
from hemline.data.manifest.validate import BOX, SCHEMA, TEXT, canonical, whole
from hemline.data.remote.addresses import is_address
from hemline.errors import DataError, UsageError, nearest
from hemline.files import absolute
from hemline.types import Box, Record

__all__ = ["SCHEMA", "Manifest"]


class Manifest:
    """A checked table of images and the folder that their relative paths start from.

    Attributes:
        table: a `pyarrow.Table` with the columns of `SCHEMA`, then all further ones.
        root: absolute.
    """

    def __init__(self, table: Any, root: Path) -> None:
        """From a table that is already validated; otherwise use `from_table` or `read`."""
        self.table = table
        self.root = root

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Manifest:
        """From a Parquet or CSV file, or a folder with ``manifest.parquet`` or ``manifest.csv``.

        Raises:
            DataError: it is missing, can't be read, or has invalid rows; one message lists all
                problems, with row numbers.
        """
        file = locate(Path(path))
        table, problems = read_table(file)
        return cls(canonical(table, str(path), problems), absolute(file).parent)

    @classmethod
    def from_table(cls, table: Any, root: str | os.PathLike[str], where: str = "table") -> Manifest:
        """From a `pyarrow.Table` with any of the manifest's columns; ``where`` names it in errors.

        Raises:
            DataError: as `read`.
        """
        return cls(canonical(table, where), absolute(root))

    @classmethod
    def from_records(cls, records: Iterable[Record], root: str | os.PathLike[str]) -> Manifest:
        """From records; an empty ``image_id`` becomes the path.

        Raises:
            DataError: as `read`.
        """
        columns: dict[str, list[Any]] = {name: [] for name in SCHEMA}
        extra: dict[str, list[Any]] = {}
        for count, record in enumerate(records):
            for name in TEXT:
                columns[name].append(getattr(record, name))
            columns["tags"].append(list(record.tags))
            for k, name in enumerate(BOX):
                columns[name].append(None if record.box is None else float(record.box[k]))
            marks = record.landmarks
            columns["landmarks"].append(None if marks is None else np.ravel(marks).tolist())
            for name, value in record.extra.items():
                extra.setdefault(name, [None] * count).append(value)
            for values in extra.values():
                if len(values) <= count:
                    values.append(None)
        arrays = {name: pa.array(values, SCHEMA[name]) for name, values in columns.items()}
        for name, values in extra.items():
            if name in SCHEMA:
                raise DataError(f"{name!r} is a column of the manifest and can't be a further one")
            try:
                arrays[name] = pa.array(values)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                arrays[name] = pa.array([None if v is None else str(v) for v in values])
        return cls.from_table(pa.table(arrays), root, "records")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Record:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return _record(self.table.slice(index % len(self), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Record]:
        for batch in self.table.to_batches(max_chunksize=4096):
            yield from map(_record, batch.to_pylist())

    def __repr__(self) -> str:
        return f"Manifest({len(self)} rows, root={str(self.root)!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        return tuple(self.table.column_names)

    def column(self, name: str) -> Any:
        """One column (N,): numbers as a NumPy array (NaN for null), text as a NumPy array of str,
        lists as a list of lists.

        Raises:
            UsageError: there is no such column.
        """
        if name not in self.table.column_names:
            raise UsageError(f"the manifest has no column {name!r}. {nearest(name, self.names)}")
        column = self.table[name]
        if pa.types.is_nested(column.type):
            return column.to_pylist()
        return column.to_numpy()

    def boxes(self) -> npt.NDArray[np.float64]:
        """(N, 4) x1, y1, x2, y2 in pixels; NaN where a row has no box."""
        return np.stack([self.column(name) for name in BOX], axis=1)

    def select(self, rows: Any) -> Manifest:
        """The rows of a mask (N,) of bool, or of indices (M,) in their order."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise UsageError(f"a mask of shape {rows.shape} for {len(self)} rows")
            rows = np.flatnonzero(rows)
        table = self.table.take(pa.array(rows.astype(np.int64)))
        return Manifest(table, self.root)

    def with_column(self, name: str, values: Any) -> Manifest:
        """A manifest with the column ``name`` (N,) set or added; validated again.

        Raises:
            DataError: as `read`.
        """
        array = pa.array(values, SCHEMA.get(name)) if not isinstance(values, pa.Array) else values
        if name in self.table.column_names:
            at = self.table.column_names.index(name)
            table = self.table.set_column(at, name, array)
        else:
            table = self.table.append_column(name, array)
        return Manifest.from_table(table, self.root)

    def file(self, index: int) -> Path:
        """The image's absolute path; it need not exist."""
        return self.root / str(self.table["path"][index])

    def files(self) -> list[Path]:
        """All images' absolute paths, in row order."""
        return [self.root / path for path in self.table["path"].to_pylist()]

    def tag_vocabulary(self) -> tuple[str, ...]:
        """All tags that occur, sorted."""
        return tuple(sorted(pc.unique(pc.list_flatten(self.table["tags"])).to_pylist()))

    def fingerprint(self) -> str:
        """SHA-256 of all columns but ``path``, in row order.

        The same for CSV and Parquet, and wherever the images lie; the images aren't read.
        """
        digest = hashlib.sha256(b"hemline manifest 1")
        extra = sorted(name for name in self.names if name not in SCHEMA)
        for name in [*SCHEMA, *extra]:
            if name == "path":
                continue
            column = self.table[name]
            digest.update(name.encode() + b"\0")
            if pa.types.is_list(column.type) and name in SCHEMA:
                lengths = pc.fill_null(pc.list_value_length(column), -1)
                digest.update(lengths.to_numpy().astype("<i4").tobytes())
                column = pc.list_flatten(column)
            for chunk in to_text_chunks(column):
                lengths = pc.binary_length(chunk)
                digest.update(lengths.to_numpy(zero_copy_only=False).astype("<i4").tobytes())
                digest.update("".join(chunk.to_pylist()).encode())
        return digest.hexdigest()

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes Parquet or CSV, by the suffix, durably and atomically.

        Paths are written relative to the file's folder if the images lie below it, else absolute.
        CSV leaves out optional columns that are empty throughout.

        Raises:
            UsageError: the suffix is neither.
            OSError: it can't be written.
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix not in SUFFIXES:
            raise UsageError(f"a manifest is .parquet or .csv, not {target.name!r}")
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = absolute(target).parent
        table = self.table
        if folder != self.root:
            paths = _rebase(table["path"].to_pylist(), self.root, folder)
            at = table.column_names.index("path")
            table = table.set_column(at, "path", pa.array(paths, pa.string()))
        write_table(table, folder / target.name)
        return folder / target.name


def to_text_chunks(column: Any) -> Iterator[Any]:
    """A column's text (`to_text`) in arrays of 65,536 cells, however it is chunked."""
    for start in range(0, len(column), 65536):
        piece = column.slice(start, 65536)
        yield to_text(whole(piece))


def _record(row: Mapping[str, Any]) -> Record:
    marks = row["landmarks"]
    return Record(
        **{name: row[name] for name in TEXT},
        box=None if row["x1"] is None else Box(*(row[name] for name in BOX)),
        tags=tuple(row["tags"]),
        landmarks=None if marks is None else np.array(marks, np.float32).reshape(8, 3),
        extra={name: value for name, value in row.items() if name not in SCHEMA},
    )


def _rebase(paths: Sequence[str], root: Path, folder: Path) -> list[str]:
    """Paths relative to ``root`` → relative to ``folder`` if they lie below it, else absolute.

    Addresses stay.
    """
    prefix = os.path.join(str(folder), "")
    moved = []
    for path in paths:
        if is_address(path):
            moved.append(path)
            continue
        full = os.path.normpath(os.path.join(str(root), path))
        moved.append(full[len(prefix) :].replace(os.sep, "/") if full.startswith(prefix) else full)
    return moved
