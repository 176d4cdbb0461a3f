r"""The text form of tags, landmarks and unknown columns, as CSV has them.

Tags: ``name=value`` joined by ``;``; a backslash escapes ``;``, ``=`` and itself; a
bare word is ``tag=word``. In memory and in Parquet a tag is plain ``name=value`` without escapes,
split at its first ``=``; so a value may contain ``=``, a name may not.

Landmarks: 24 numbers (x, y, visibility, eight times) joined by ``;`` or blanks.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

#: Untyped: its published types lag behind its functions.
pc: Any = pyarrow.compute

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^(0|-?[1-9]\d{0,17})$"
_REAL = r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|-?inf)$"
_FLAG = r"^([tT]rue|[fF]alse)$"
#: A number that would not survive a round trip: a leading zero or plus belongs to a code.
_CODE = r"^([+]|-?0\d)"
_PIECES = re.compile(r"(?:\\.|[^;\\]|\\$)+", re.DOTALL)
_ESCAPE = re.compile(r"\\([;=\\])")
_EQUALS = re.compile(r"(?<!\\)(?:\\\\)*=")


def split_tags(text: str) -> list[str]:
    """The plain ``name=value`` tags of a CSV cell; a bare word becomes ``tag=word``."""
    tags = []
    for piece in _PIECES.findall(text):
        piece = piece.strip()
        if not piece:
            continue
        at = _EQUALS.search(piece)
        name, value = ("tag", piece) if at is None else (piece[: at.end() - 1], piece[at.end() :])
        tags.append(f"{_plain(name)}={_plain(value)}")
    return tags


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text).strip()


def join_tags(tags: list[str] | tuple[str, ...]) -> str:
    """The CSV cell of plain tags: the inverse of `split_tags`."""
    cells = []
    for tag in tags:
        name, _, value = tag.partition("=")
        cells.append(f"{_escape(name)}={_escape(value)}")
    return ";".join(cells)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace("=", "\\=")


def parse_tags(column: Any) -> Any:
    """Strings (N,) as in CSV → list<string> (N,), plain tags; nothing is checked."""
    column = pc.fill_null(column, "")
    unique = pc.unique(column)
    lists = pa.array([split_tags(text) for text in unique.to_pylist()], pa.list_(pa.string()))
    return lists.take(pc.index_in(column, unique))


def format_tags(column: Any) -> Any:
    """list<string> (N,) → strings (N,) as in CSV."""
    return pa.array([join_tags(tags or ()) for tags in column.to_pylist()], pa.string())


def parse_landmarks(column: Any) -> tuple[Any, np.ndarray[Any, np.dtype[np.int64]]]:
    """Strings (N,) → (list<float> (N,), rows whose text holds something that is no number)."""
    trimmed = pc.utf8_trim_whitespace(pc.fill_null(column, ""))
    given = pc.not_equal(trimmed, "")
    parts = pc.split_pattern_regex(trimmed, r"[;\s]+")
    numbers = pc.match_substring_regex(pc.list_flatten(parts), NUMBER)
    parents = pc.list_parent_indices(parts).to_numpy(zero_copy_only=False)
    wrong = ~numbers.to_numpy(zero_copy_only=False) & given.to_numpy(zero_copy_only=False)[parents]
    values = pc.if_else(numbers, pc.list_flatten(parts), None).cast(pa.float32())
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(parts).to_numpy())])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=pc.invert(given))
    return lists, np.unique(parents[wrong]).astype(np.int64)


def format_landmarks(column: Any) -> Any:
    """list<float> (N,) → strings (N,): 24 numbers joined by ``;``, empty where there are none."""
    texts = ["" if row is None else ";".join(f"{v:.9g}" for v in row) for row in column.to_pylist()]
    return pa.array(texts, pa.string())


def infer(column: Any) -> Any:
    """An unknown column of text → whole numbers, numbers, true/false or text, whichever all fit.

    An empty cell fits all and becomes null where the column isn't text. ``007`` stays text.
    """
    filled = column.filter(pc.not_equal(column, ""))
    if len(filled) == 0:
        return column

    def all_match(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(filled, pattern)).as_py())

    empty = pc.if_else(pc.equal(column, ""), None, column)
    if all_match(_WHOLE):
        return empty.cast(pa.int64())
    if all_match(_REAL) and not pc.any(pc.match_substring_regex(filled, _CODE)).as_py():
        return empty.cast(pa.float64())
    if all_match(_FLAG):
        return empty.cast(pa.bool_())
    return column


def to_text(column: Any) -> Any:
    """A column of any type → strings (N,) for CSV and for the fingerprint; null becomes empty."""
    kind = column.type
    if pa.types.is_string(kind):
        return pc.fill_null(column, "")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        texts = [
            "" if v is None else json.dumps(v, ensure_ascii=False, default=str)
            for v in column.to_pylist()
        ]
        return pa.array(texts, pa.string())
    if pa.types.is_null(kind):
        return pa.array([""] * len(column), pa.string())
    return pc.fill_null(column.cast(pa.string()), "")
