"""Stored texts that no catalogue of this version takes (`hemline.text`), as older ones did."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from hemline.catalog.store import Problem
from hemline.catalog.stores._database import FILE
from hemline.text import text_problem

_SHOWN = 20
_NOT_UTF8 = "isn't UTF-8"
_BLOCK = 4096
_NAMES = ("image_id", "item_id", "domain", "category", "source", "picture", "tags", "columns")
_ROWS = f"SELECT {', '.join(_NAMES)} FROM pictures LEFT JOIN items ON number = item ORDER BY id"


def unstorable(db: sqlite3.Connection) -> list[Problem]:
    """The first rows with such a text, and the number of all."""
    problems: list[str] = []
    db.text_factory = bytes  # a text that isn't UTF-8 couldn't be read otherwise
    try:
        cursor = db.execute(_ROWS)
        while found := cursor.fetchmany(_BLOCK):
            problems += [text for row in found if (text := _of_row(row))]
    finally:
        db.text_factory = str
    hidden = len(problems) - _SHOWN
    told = problems[:_SHOWN] + ([f"and {hidden} more such rows"] if hidden > 0 else [])
    return [Problem("database", FILE, text) for text in told]


def _of_row(row: Sequence[bytes | None]) -> str:
    """What is wrong with a row's first unstorable text; empty if nothing is."""
    for name, data in zip(_NAMES, row, strict=True):
        if not isinstance(data, bytes) or (
            data.isascii() and b"\0" not in data and b"\\u" not in data
        ):
            continue
        try:
            text = data.decode()
            problem = text_problem(text if name not in _NAMES[-2:] else json.loads(text))
        except UnicodeDecodeError:
            problem = f"{data[:60]!a} {_NOT_UTF8}"
        except (ValueError, RecursionError):
            continue  # no JSON: another check tells
        if problem:
            image = (row[0] or b"").decode("utf-8", "backslashreplace")
            return f"the image {image!a}: its {name} can't be looked up: {problem}"
    return ""
