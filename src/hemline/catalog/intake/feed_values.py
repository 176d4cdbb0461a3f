"""Parses the cells of a feed: lists of images and tags, plain values."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

_JOINED = re.compile(r"[,;|\n]")


def pieces(value: Any) -> list[str]:
    """Splits a cell that may hold several texts: a list, or text joined by ``, ; |``."""
    if value is None:
        return []
    if isinstance(value, list | tuple | np.ndarray):
        return [piece for part in value for piece in _text_of(part)]
    return [piece.strip() for piece in _JOINED.split(str(value)) if piece.strip()]


def _text_of(value: Any) -> list[str]:
    """The text of a list's element, or the address in an object."""
    if isinstance(value, Mapping):
        value = next((value[k] for k in ("path", "src", "url", "link") if value.get(k)), None)
    text = "" if value is None else str(value).strip()
    return [text] if text else []


def plain(value: Any) -> Any:
    """A cell as a JSON value; None for NaN and infinities."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return str(value)
