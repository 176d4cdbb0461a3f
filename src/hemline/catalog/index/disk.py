"""The index on the disk, so that a large store reopens in a moment. All of it can be derived.

``index/REVISION`` is a folder that appears whole. ``index.json`` in it has the size and CRC-32 of
every file; a folder that doesn't agree with it is as good as none.
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
import pyarrow as pa

from hemline.catalog.index.codes import Codes
from hemline.catalog.index.column import Coded, Grown, Numbers
from hemline.catalog.index.columns import Columns
from hemline.catalog.index.index import Index
from hemline.catalog.index.tags import Tags

FOLDER = "index"
FORMAT = 1
_LIST = "index.json"


def folders(folder: Path) -> list[Path]:
    """What was saved, newest first."""
    found = [p for p in (folder / FOLDER).glob("[0-9]*") if p.is_dir()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def revision(folder: Path) -> int:
    """Of the newest that was saved; 0 for none."""
    return next((int(path.name) for path in folders(folder) if path.name.isdigit()), 0)


def trained(folder: Path) -> int:
    """How many vectors the codebook of the newest was learnt from; 0 for none."""
    for saved in folders(folder):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads((saved / _LIST).read_text("utf-8"))["trained"])
    return 0


def drop(folder: Path) -> None:
    for saved in folders(folder):
        _delete(saved)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _delete(saved: Path) -> None:
    """Under another name first, so that a kill leaves no half of it that looks like damage."""
    going = saved.with_name(f".{saved.name}.gone")
    with contextlib.suppress(OSError):
        saved.rename(going)
        shutil.rmtree(going, ignore_errors=True)


def write(folder: Path, index: Index) -> None:
    """Saves an index that has codes and settled columns; older ones go.

    Raises:
        OSError: no room.
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
            np.save(partial / f"{name}.npy", getattr(index, name).data)
        index.codes.write(partial)
        about = {
            "format": FORMAT,
            "dim": index.dim,
            **index.codes.about(),
            "columns": _write_columns(partial, index.columns),
        }
        about["files"] = {path.name: _sum(path) for path in sorted(partial.iterdir())}
        (partial / _LIST).write_text(json.dumps(about, ensure_ascii=False), "utf-8")
        _delete(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in folders(folder):
        if old != target:
            _delete(old)


def read(folder: Path, index: Index) -> bool:
    """Fills an empty ``index`` from the newest that is whole; False if there is none."""
    for saved in folders(folder):
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError, RuntimeError, pa.ArrowException
        ):
            about = json.loads((saved / _LIST).read_text("utf-8"))
            if about["format"] != FORMAT or about["dim"] != index.dim or any(wrong(saved)):
                continue
            ids, alive, items = (np.load(saved / f"{n}.npy") for n in ("ids", "alive", "items"))
            codes = Codes.read(saved, about, index.settings)
            columns = _read_columns(saved, about["columns"], len(ids))
            index.ids, index.alive, index.items = Grown(ids), Grown(alive), Grown(items)
            index.live = int(np.count_nonzero(alive))
            index.codes, index.coded = codes, len(ids)
            index.columns = columns
            index.revision = columns.revision = int(saved.name)
            return True
    return False


def wrong(saved: Path) -> Iterator[str]:
    """The files of a saved index that aren't as they were written."""
    about = json.loads((saved / _LIST).read_text("utf-8"))
    for name, (size, total) in about["files"].items():
        path = saved / name
        if not path.is_file() or path.stat().st_size != size or _sum(path) != [size, total]:
            yield name


def _sum(path: Path) -> list[int]:
    total, size = 0, 0
    with path.open("rb") as file:
        while data := file.read(1 << 22):
            total, size = zlib.crc32(data, total), size + len(data)
    return [size, total]


def _write_columns(folder: Path, columns: Columns) -> dict[str, Any]:
    about: list[dict[str, Any]] = []
    for number, (name, column) in enumerate(sorted(columns.columns.items())):
        column.resize(columns.length)
        if isinstance(column, Numbers):
            np.save(folder / f"column-{number}.npy", column.array.data)
            np.save(folder / f"whole-{number}.npy", column.whole.data)
        else:
            np.save(folder / f"column-{number}.npy", column.codes.data)
            _write_texts(folder / f"texts-{number}.arrow", column.texts)
        plain = isinstance(column, Coded) and column.plain
        about.append({"name": name, "kind": column.kind, "plain": plain})
    for name in ("start", "count", "codes"):
        np.save(folder / f"tags-{name}.npy", getattr(columns.tags, name).data)
    return {"length": columns.length, "columns": about, "tags": columns.tags.names}


def _read_columns(folder: Path, about: dict[str, Any], slots: int) -> Columns:
    columns: dict[str, Numbers | Coded] = {}
    for number, one in enumerate(about["columns"]):
        data = np.load(folder / f"column-{number}.npy", mmap_mode="r").view(np.ndarray)
        if one["kind"] == Numbers.kind:
            whole = np.load(folder / f"whole-{number}.npy", mmap_mode="r").view(np.ndarray)
            columns[one["name"]] = Numbers(data, whole)
        else:
            texts = _read_texts(folder / f"texts-{number}.arrow")
            columns[one["name"]] = Coded(data, texts, one["plain"])
    start, count, codes = (
        np.load(folder / f"tags-{name}.npy", mmap_mode="r").view(np.ndarray)
        for name in ("start", "count", "codes")
    )
    if about["length"] > slots:
        raise ValueError("more columns' rows than slots")
    return Columns(columns, Tags(start, count, codes, list(about["tags"])), about["length"])


def _write_texts(path: Path, texts: Any) -> None:
    batch = pa.record_batch([texts], names=["text"])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def _read_texts(path: Path) -> Any:
    reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
    return reader.get_batch(0).column(0)
