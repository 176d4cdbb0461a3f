"""Parses JSON and TOML of outside origin within bounds; recipes do the same for YAML.

Python's parsers raise `RecursionError` for deep nesting, and a `ValueError` without a place for a
number of many digits; hexadecimal numbers of YAML and TOML pass, and fail when they are printed.
Here all of that is a `ValueError` that says what is wrong.
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

#: Lists and objects within each other.
MAX_DEPTH = 64
#: Bits of a whole number; one more and `float` can't hold it.
MAX_BITS = 1023


def parse_json(text: str | bytes, constant: Callable[[str], Any] | None = None) -> Any:
    """The value of a JSON text.

    Args:
        constant: gives the value of ``NaN``, ``Infinity``, ``-Infinity`` and of numbers that are
            infinite as floats (``1e999``); default: the floats.

    Raises:
        ValueError: no JSON, nested deeper than `MAX_DEPTH`, or a number that is too large.
    """

    def number(digits: str) -> Any:
        value = float(digits)
        return value if math.isfinite(value) or constant is None else constant(digits)

    with parser_errors():
        value = json.loads(text, parse_constant=constant, parse_float=number)
    check_value(value)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text.

    Raises:
        ValueError: no TOML, or as `parse_json`.
    """
    with parser_errors():
        value = tomllib.loads(text)
    check_value(value)
    return value


def check_value(value: Any, most: int = sys.maxsize) -> None:
    """
    Raises:
        ValueError: deeper than `MAX_DEPTH`, a whole number over `MAX_BITS`, or more than ``most``
            values.
    """
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        one = next(stack[-1], stack)
        if one is stack:  # the end
            stack.pop()
            continue
        most -= 1
        if most < 0:
            raise ValueError("it has too many values, or refers to itself")
        if isinstance(one, int):
            if one.bit_length() > MAX_BITS:
                raise ValueError(f"a number has more than {MAX_BITS} bits")
        elif isinstance(one, dict | list):
            if len(stack) > MAX_DEPTH:
                raise ValueError(f"it is nested too deeply, more than {MAX_DEPTH} levels")
            # YAML's keys may be numbers, too.
            stack.append(chain(one, one.values()) if isinstance(one, dict) else iter(one))


@contextmanager
def parser_errors() -> Iterator[None]:
    """Errors of a parser become a `ValueError` of one line."""
    try:
        yield
    except RecursionError:
        raise ValueError(f"it is nested too deeply, more than {MAX_DEPTH} levels") from None
    except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError):
        raise
    except (ValueError, OverflowError) as error:  # too many digits, the 32nd of a month …
        raise ValueError(str(error).partition("; use sys.")[0]) from None
