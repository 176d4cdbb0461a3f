"""The data frame of open-metric-learning, read and written.

Source: https://open-metric-learning.readthedocs.io, "Dataset format" (docs/source/oml/data.rst).

Columns: ``label`` (whole number), ``path``, ``split`` (``train`` or ``validation``), ``is_query``
and ``is_gallery`` (empty in training, else booleans), optional ``category``, ``sequence``,
``x_1, x_2, y_1, y_2`` (left, right, top, bottom). There are no domains: rows are shop images unless
``query_domain=street`` is given or the table has a column ``domain``; the role tells queries from
gallery. If a row is both ("one against the rest"), the role is empty. ``sequence`` and the two
flags are kept as further columns.

What the frame has no column for is written to additional columns, and read back:
``item_id`` (labels are numbers), ``domain``, ``image_id``, ``role``, ``manifest_split`` (the frame
knows train and validation), ``tags``, ``landmarks``, ``x1, y1, x2, y2`` (boxes that aren't whole
pixels) and all further columns; so a manifest survives the round trip.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.data.manifest.files import locate, read_table, write_table
from hemline.data.manifest.problems import Problems
from hemline.data.manifest.validate import BOX, SCHEMA, canonical
from hemline.datasets._base import Options, ReaderSpec, ReadReport, choice, keep_present
from hemline.errors import DataError, UsageError
from hemline.files import absolute

_NEEDED = ("label", "path", "split", "is_query", "is_gallery")
_BOX = {"x_1": "x1", "y_1": "y1", "x_2": "x2", "y_2": "y2"}
#: The manifest's split; the frame's own has two values only.
_SPLIT = "manifest_split"
_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")

Mask = npt.NDArray[np.bool_]


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    validation = choice(options, "validation", ("val", "test"))
    query_domain = choice(options, "query_domain", ("shop", "street"))
    file = locate(root)
    table, problems = read_table(file)
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        raise DataError(
            f"{file} lacks {', '.join(missing)}; open-metric-learning needs {', '.join(_NEEDED)} "
            f"(found: {', '.join(table.column_names)})"
        )
    query, gallery = _flags(table, "is_query", problems), _flags(table, "is_gallery", problems)
    split = np.array([str(s or "") for s in table["split"].to_pylist()], object)
    wrong = np.flatnonzero(~np.isin(split, ["train", "validation"]))
    problems.add("wrong split", wrong, lambda r: f"split is {split[r]!r}, not train or validation")
    neither = np.flatnonzero((split == "validation") & ~query & ~gallery)
    problems.add("no role", neither, lambda r: "a validation row is neither query nor gallery")
    renames = {"label": "item_id", **_BOX}
    dropped = ("split", "Unnamed: 0", _SPLIT)
    columns: dict[str, Any] = {}
    for name in table.column_names:
        own = renames.get(name, name)
        if name not in dropped and (own == name or own not in table.column_names):
            columns[own] = table[name]
    both = query & gallery
    role = np.select([both, query, gallery], ["", "query", "gallery"], "")
    columns.setdefault("role", pa.array(role.tolist(), pa.string()))
    columns["split"] = pa.array(np.where(split == "train", "train", validation).tolist())
    if _SPLIT in table.column_names:
        columns["split"] = table[_SPLIT]
    if "domain" not in columns:
        columns["domain"] = pa.array(np.where(query & ~gallery, query_domain, "shop").tolist())
    manifest = Manifest(
        canonical(pa.table(columns), str(file), problems),
        absolute(absolute(file).parent / options.get("images", "")),
    )
    notes = []
    if both.any():
        notes.append(f"{int(both.sum()):,} rows are query and gallery both; their role is empty")
    return keep_present(manifest, tuple(notes))


def _flags(table: Any, name: str, problems: Problems) -> Mask:
    """(N,) true where the flag is set; an empty one isn't."""
    texts = np.array(
        ["" if v is None else str(v).strip().lower() for v in table[name].to_pylist()], object
    )
    empty = np.isin(texts, ["", "none", "nan"])
    true = np.isin(texts, _TRUE)
    wrong = np.flatnonzero(~true & ~empty & ~np.isin(texts, _FALSE))
    problems.add(f"wrong {name}", wrong, lambda r: f"{name} is {texts[r]!r}, not true or false")
    return np.asarray(true, bool)


def write_oml(manifest: Manifest, path: Path) -> None:
    """Writes the data frame as CSV or Parquet; paths as in the manifest, from its folder.

    ``train`` stays, every other row is ``validation``: its query and gallery follow from the
    role, else from the domain (street is searched with, shop is searched in), except where
    the flags of a data frame that was read are still there. Labels number the sorted items.

    Raises:
        UsageError: the suffix is neither .csv nor .parquet.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"a data frame is .csv or .parquet, not {path.name!r}")
    _, labels = np.unique(manifest.column("item_id").astype(str), return_inverse=True)
    train = manifest.column("split") == "train"
    role, domain = manifest.column("role"), manifest.column("domain")
    query = np.where(role == "", domain == "street", role == "query")
    gallery = np.where(role == "", domain == "shop", role == "gallery")
    if {"is_query", "is_gallery"} <= set(manifest.names):
        blank = Problems("", len(manifest))
        query = np.where(train, query, _flags(manifest.table, "is_query", blank))
        gallery = np.where(train, gallery, _flags(manifest.table, "is_gallery", blank))
    columns: dict[str, Any] = {
        "label": pa.array(labels.astype(np.int64)),
        "path": pa.array([str(file) for file in manifest.files()]),
        "split": pa.array(np.where(train, "train", "validation").tolist()),
        "is_query": _words(query, train),
        "is_gallery": _words(gallery, train),
        "category": manifest.table["category"],
        "item_id": manifest.table["item_id"],
        "domain": manifest.table["domain"],
    }
    columns |= _beside(manifest)
    boxes = manifest.boxes()
    none = np.isnan(boxes[:, 0])
    if not none.all():
        whole = np.where(
            none[:, None], 0, np.hstack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])])
        )
        for theirs, ours in _BOX.items():
            column = whole[:, BOX.index(ours)].astype(np.int64)
            columns[theirs] = pa.array(column, mask=none)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.table(columns), path)


def _beside(manifest: Manifest) -> dict[str, Any]:
    """What the frame has no column for, where there is any of it."""
    table = manifest.table
    columns: dict[str, Any] = {}
    if set(manifest.column("split")) - {"train", "val"}:
        columns[_SPLIT] = table["split"]
    if (manifest.column("image_id") != manifest.column("path")).any():
        columns["image_id"] = table["image_id"]
    if (manifest.column("role") != "").any():
        columns["role"] = table["role"]
    if manifest.tag_vocabulary():
        columns["tags"] = table["tags"]
    if table["landmarks"].null_count < len(table):
        columns["landmarks"] = table["landmarks"]
    boxes = manifest.boxes()
    if (np.nan_to_num(boxes) % 1).any():
        columns |= {name: table[name] for name in BOX}
    further = [name for name in manifest.names if name not in (*SCHEMA, *_NEEDED)]
    return columns | {name: table[name] for name in further}


def _words(flags: Any, train: Any) -> Any:
    """``True`` and ``False`` as pandas reads them; empty in training."""
    words = np.where(np.asarray(flags, bool), "True", "False").astype(object)
    words[np.asarray(train, bool)] = None
    return pa.array(words.tolist(), pa.string())


READERS: Mapping[str, ReaderSpec] = {
    "oml": ReaderSpec(
        name="oml",
        summary="The data frame of open-metric-learning: label, path, split, is_query, is_gallery.",
        get="make one as open-metric-learning's documentation has it",
        licence="that of your pictures",
        reader=_read,
        options={
            "images": "folder that relative paths start from; default the table's own",
            "validation": "val or test: the split that its validation rows become; default val",
            "query_domain": "shop or street: the domain of rows that are only queries; "
            "default shop",
        },
        writer=write_oml,
    )
}
