"""Texts of a table that can't be stored: bytes that aren't UTF-8, and NUL (`hemline.text`)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

from hemline.text import text_problem

#: Its published types lag behind what the functions take.
pc: Any = pyarrow.compute


def unstorable(column: Any, nul: bool = True) -> dict[int, str]:
    """Row → what is wrong with its cell, of an Arrow array of any type; NUL only with ``nul``."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            valid = column.cast(pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid:
            return _by_row(column.cast(pa.large_binary()))
        if not nul or not pc.any(pc.match_substring(valid, "\0")).as_py():
            return {}
        return _by_row(valid)
    return _by_row(column) if pa.types.is_nested(kind) else {}


def _by_row(column: Any) -> dict[int, str]:
    found = {}
    for row in range(len(column)):
        try:
            cell = column[row].as_py()
            cell = cell.decode() if isinstance(cell, bytes) else cell
            problem = text_problem(cell)
        except UnicodeDecodeError:
            problem = "a text in it isn't UTF-8"
        if problem:
            found[row] = problem
    return found
