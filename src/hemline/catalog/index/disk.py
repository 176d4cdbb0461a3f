"""The saved index, with which a large store opens quickly; it can be derived at any time.

It is a folder ``index/REVISION`` whose ``index.json`` has the size and CRC-32 of every file, and a
checksum of its own; a folder that doesn't match them is ignored. So it is renamed into place
without being synced.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hemline.catalog.index.codes import Codes
from hemline.catalog.index.column import CodedColumn, NumberColumn
from hemline.catalog.index.columns import Columns
from hemline.catalog.index.growing import GrowingArray, Texts, room
from hemline.catalog.index.index import Index
from hemline.catalog.index.tags import Tags
from hemline.documents import CHECKSUM, checksum, read_document
from hemline.errors import DamageError
from hemline.files import open_regular

FOLDER = "index"
FORMAT = 2
_EXACT_LENGTH = 1  # an earlier format, whose arrays have no room to grow
_LIST = "index.json"
_BLOCK = 1 << 20  # elements written at a time


def folders(folder: Path) -> list[Path]:
    """The saved indexes, newest first."""
    found = [p for p in (folder / FOLDER).glob("[0-9]*") if p.is_dir()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def revision(folder: Path) -> int:
    """The revision of the newest saved index; 0 for none."""
    return next((int(path.name) for path in folders(folder) if path.name.isdigit()), 0)


def trained(folder: Path) -> int:
    """The number of vectors at the training of the newest saved codebook; 0 for none."""
    for saved in folders(folder):
        with contextlib.suppress(OSError, DamageError, ValueError, KeyError, TypeError):
            return int(read_document(saved / _LIST)["trained"])
    return 0


def drop(folder: Path) -> None:
    """Deletes all saved indexes."""
    for saved in folders(folder):
        _delete(saved)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _delete(saved: Path) -> None:
    """Renames before deleting, so that a kill leaves nothing that looks like damage."""
    renamed = saved.with_name(f".{saved.name}.gone")
    with contextlib.suppress(OSError):
        saved.rename(renamed)
        shutil.rmtree(renamed, ignore_errors=True)


def write(folder: Path, index: Index) -> None:
    """Saves an index that has codes and flushed columns, and deletes older ones.

    Raises:
        OSError: the disk is full.
    """
    assert index.codes is not None
    assert index.columns is not None
    target = folder / FOLDER / f"{index.revision:012d}"
    partial = folder / FOLDER / f".{target.name}.{os.getpid()}"
    for left in (folder / FOLDER).glob(".*"):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name in ("ids", "alive", "items"):
            _write_array(partial / f"{name}.npy", getattr(index, name).data)
        index.codes.write(partial)
        about = {
            "format": FORMAT,
            "dim": index.dim,
            "slots": len(index),
            **index.codes.metadata(),
            "columns": _write_columns(partial, index.columns),
        }
        about["files"] = {path.name: _size_and_crc(path) for path in sorted(partial.iterdir())}
        about[CHECKSUM] = checksum(about)
        (partial / _LIST).write_text(json.dumps(about, ensure_ascii=False), "utf-8")
        _delete(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in folders(folder):
        if old != target:
            _delete(old)


def read(folder: Path, index: Index) -> bool:
    """Fills an empty ``index`` from the newest intact one; False if there is none."""
    for saved in folders(folder):
        with contextlib.suppress(
            OSError, DamageError, ValueError, KeyError, TypeError, RuntimeError, pa.ArrowException
        ):
            about = read_document(saved / _LIST)
            if about["format"] not in (FORMAT, _EXACT_LENGTH) or about["dim"] != index.dim:
                continue
            if any(damaged_files(saved)):
                continue
            slots = about.get("slots")
            ids, alive, items = (
                _read_array(saved / f"{name}.npy", slots, mapped=False)
                for name in ("ids", "alive", "items")
            )
            codes = Codes.read(saved, about, index.settings)
            columns = _read_columns(saved, about["columns"], len(ids))
            index.ids, index.alive, index.items = ids, alive, items
            index.live = int(np.count_nonzero(alive.data))
            index.codes, index.coded = codes, len(ids)
            index.columns = columns
            index.revision = columns.revision = int(saved.name)
            return True
    return False


def damaged_files(saved: Path) -> Iterator[str]:
    """The files of a saved index that differ from what was written.

    Raises:
        OSError, DamageError, ValueError, KeyError, TypeError: ``index.json`` does.
    """
    about = read_document(saved / _LIST)
    for name, (size, total) in about["files"].items():
        path = saved / name
        if (
            not path.is_file()
            or path.stat().st_size != size
            or _size_and_crc(path) != [size, total]
        ):
            yield name


def _size_and_crc(path: Path) -> list[int]:
    total, size = 0, 0
    with open_regular(path) as file:
        while data := file.read(1 << 22):
            total, size = zlib.crc32(data, total), size + len(data)
    return [size, total]


def _write_array(path: Path, data: npt.NDArray[Any]) -> None:
    """Writes ``data`` (n,) as .npy, with zeros behind it for an index that grows."""
    about: Any = {"descr": data.dtype.str, "fortran_order": False, "shape": (room(len(data)),)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, about)
        for start in range(0, len(data), _BLOCK):
            file.write(np.ascontiguousarray(data[start : start + _BLOCK]).tobytes())
        file.write(bytes((room(len(data)) - len(data)) * data.dtype.itemsize))


def _read_array(path: Path, length: int | None, mapped: bool = True) -> GrowingArray:
    """The first ``length`` elements of a file, with the rest as room.

    Where it is ``mapped``, what is changed or added is memory of this process, page by page.
    """
    data: Any = np.load(path, mmap_mode="c" if mapped else None)
    if length is not None and length > len(data):
        raise ValueError("fewer elements than slots")
    return GrowingArray(data.view(np.ndarray), length)


def _write_columns(folder: Path, columns: Columns) -> dict[str, Any]:
    about: list[dict[str, Any]] = []
    for number, (name, column) in enumerate(sorted(columns.columns.items())):
        column.resize(columns.length)
        if isinstance(column, NumberColumn):
            _write_array(folder / f"column-{number}.npy", column.array.data)
            _write_array(folder / f"whole-{number}.npy", column.whole.data)
        else:
            _write_array(folder / f"column-{number}.npy", column.codes.data)
            _write_texts(folder / f"texts-{number}.arrow", column.texts)
        plain = isinstance(column, CodedColumn) and column.plain
        about.append({"name": name, "kind": column.kind, "plain": plain})
    for name in ("start", "count", "codes"):
        _write_array(folder / f"tags-{name}.npy", getattr(columns.tags, name).data)
    kept = {"tags": columns.tags.names, "tag_codes": len(columns.tags.codes)}
    return {"length": columns.length, "columns": about, **kept}


def _read_columns(folder: Path, about: dict[str, Any], slots: int) -> Columns:
    columns: dict[str, NumberColumn | CodedColumn] = {}
    codes = about.get("tag_codes")
    length = None if codes is None else about["length"]  # an earlier format has whole arrays
    for number, one in enumerate(about["columns"]):
        data = _read_array(folder / f"column-{number}.npy", length)
        if one["kind"] == NumberColumn.kind:
            whole = _read_array(folder / f"whole-{number}.npy", length)
            columns[one["name"]] = NumberColumn(data, whole)
        else:
            texts = _read_texts(folder / f"texts-{number}.arrow")
            columns[one["name"]] = CodedColumn(data, texts, one["plain"])
    if about["length"] > slots:
        raise ValueError("more rows in the columns than slots")
    start, count = (_read_array(folder / f"tags-{name}.npy", length) for name in ("start", "count"))
    tags = Tags(start, count, _read_array(folder / "tags-codes.npy", codes), list(about["tags"]))
    return Columns(columns, tags, about["length"])


def _write_texts(path: Path, texts: Texts) -> None:
    schema = pa.schema([("text", pa.large_string())])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for piece in texts.pieces:
            writer.write_batch(pa.record_batch([piece], schema=schema))


def _read_texts(path: Path) -> Texts:
    reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
    return Texts([reader.get_batch(n).column(0) for n in range(reader.num_record_batches)])
