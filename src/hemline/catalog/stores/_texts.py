"""Stored texts that no catalogue of this version takes (`hemline.text`), as older ones did.

A row whose image_id or item_id is such a text can't be named, by an update or a removal. So a
repair removes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

import numpy as np

from hemline.catalog.store import Problem
from hemline.catalog.stores import _writes
from hemline.catalog.stores._database import FILE
from hemline.text import text_problem

_SHOWN = 20
_NOT_UTF8 = "isn't UTF-8"
_BLOCK = 4096
_NAMES = ("image_id", "item_id", "domain", "category", "source", "picture", "tags", "columns")
_IDS = ("image_id", "item_id")
_ROWS = f"SELECT id, {', '.join(_NAMES)} FROM pictures LEFT JOIN items ON number = item ORDER BY id"


def unstorable(db: sqlite3.Connection) -> list[Problem]:
    """The first rows with such a text, and the number of all; first those that can't be named."""
    unnamed, others = _rows(db)
    return _told(unnamed.values(), "rows") + _told(others.values(), "texts")


def remove_unnamed(db: sqlite3.Connection, revision: int) -> list[Problem]:
    """Removes the rows that can't be named, in the transaction of commit ``revision``."""
    unnamed, _ = _rows(db)
    _writes.delete(db, np.array(list(unnamed), np.int64), revision)
    return _told(unnamed.values(), "rows", True)


def _rows(db: sqlite3.Connection) -> tuple[dict[int, str], dict[int, str]]:
    """id → what is wrong, of the rows that can't be named and of others."""
    unnamed: dict[int, str] = {}
    others: dict[int, str] = {}
    db.text_factory = bytes  # a text that isn't UTF-8 couldn't be read otherwise
    try:
        cursor = db.execute(_ROWS)
        while found := cursor.fetchmany(_BLOCK):
            for id_, *row in found:
                name, text = _of_row(row)
                if name:
                    (unnamed if name in _IDS else others)[id_] = text
    finally:
        db.text_factory = str
    return unnamed, others


def _told(problems: Collection[str], what: str, repaired: bool = False) -> list[Problem]:
    hidden = len(problems) - _SHOWN
    told = [*problems][:_SHOWN] + ([f"and {hidden} more such {what}"] if hidden > 0 else [])
    return [Problem("database", FILE, text, repaired) for text in told]


def _of_row(row: Sequence[bytes | None]) -> tuple[str, str]:
    """The name of a row's first unstorable text, and what is wrong with it; empty if nothing is."""
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
            return name, f"the image {image!a}: its {name} can't be looked up: {problem}"
    return "", ""
