"""The one check of every text that comes from outside, before it is stored or compared.

SQLite's functions cut a text at NUL, so that ``ID\\0x`` would name the item ``ID``; half of a
surrogate pair isn't text in UTF-8, and neither a database nor an answer can hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from hemline.errors import UsageError

T = TypeVar("T")
_SHOWN = 60


def text_problem(value: Any) -> str:
    """What is wrong with a text, or with the first such text in a JSON value; empty if nothing is.

    Names in objects count, too.
    """
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if "\0" in one:
                return f"{_shown(one)} has a NUL character (U+0000)"
            if not one.isascii() and _has_surrogate(one):
                return f"{_shown(one)} has half of a surrogate pair (U+D800 to U+DFFF)"
        elif isinstance(one, Mapping):
            waiting += [*one.values(), *one]
        elif isinstance(one, list | tuple):
            waiting += reversed(one)
    return ""


def check_text(value: T, what: str) -> T:
    """``value``, a text or a JSON value; ``what`` names it in the error.

    Raises:
        UsageError: a text in it has a NUL or half of a surrogate pair.
    """
    problem = text_problem(value)
    if problem:
        raise UsageError(f"{what}: {problem}, which can't be stored; remove it")
    return value


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
