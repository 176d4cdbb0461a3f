"""JSON files of data sets, read whole; every problem is a `DataError`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hemline.errors import DataError
from hemline.parsing import parse_json

#: Most bytes of a file; the largest published one has about 20 million.
MAX_BYTES = 256 << 20


def read_json(file: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it can't be read, is too large, or isn't JSON.
    """
    if not file.is_file():  # a pipe would never end
        raise DataError(f"there is no file {file}")
    try:
        with file.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}") from None
    if len(data) > max_bytes:
        raise DataError(f"{file} has more than {max_bytes:,} bytes")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return parse_json(data.decode("utf-8"), lambda word: None)
    except UnicodeDecodeError:
        raise DataError(f"{file} is no UTF-8 text") from None
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}") from None


def whole(value: Any, low: int = 0, high: int = 2**53) -> int | None:
    """A whole number in ``low`` … ``high``, written ``7``, ``7.0`` or ``"7"``; else None."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 17:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if low <= value <= high else None


def number(value: Any, far: float = 1e6) -> float:
    """A number of at most ``far`` either way, else NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        result = float(value)
    except OverflowError:
        return math.nan
    return result if abs(result) < far else math.nan
