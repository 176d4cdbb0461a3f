"""The tree of a condition: what each kind of node says of a value, and of a row.

An unknown value (null, or one of another kind) makes a test unknown, as in SQL, and a condition
joins true, false and unknown by Kleene's logic. A list (the sizes of a product) meets a test if one
of its parts does; an empty one is unknown. This is the plain meaning; the catalogue works the
same tree out column by column, and is tested against it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Truth = bool | None
Scalar = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Compare:
    """A column against a constant; ``symbol`` is one of = <> < <= > >=."""

    column: str
    constant: Scalar
    symbol: str

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            join = all_of if self.symbol == "<>" else any_of  # "<>" is "not ="
            return join(self.test(part) for part in value) if value else None
        return _compare(value, self.constant, self.symbol)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A column equal to one of some constants."""

    column: str
    constants: tuple[Scalar, ...]

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            return any_of(self.test(part) for part in value) if value else None
        return any_of(_compare(value, constant, "=") for constant in self.constants)


@dataclass(frozen=True, slots=True)
class Like:
    """A column like a text with % and _, capitals or not."""

    column: str
    pattern: str

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            return any_of(self.test(part) for part in value) if value else None
        return None if value is None else like(self.pattern).fullmatch(str(value)) is not None


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column without a value."""

    column: str

    def test(self, value: Any) -> Truth:
        return value is None


@dataclass(frozen=True, slots=True)
class IsTrue:
    """A column of true and false, by itself."""

    column: str

    def test(self, value: Any) -> Truth:
        return value if isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class HasTag:
    """A tag that is ``wanted`` as a whole (``pattern=floral``), or whose value is (``floral``)."""

    wanted: str
    column: str = "tags"

    def test_tag(self, tag: str) -> bool:
        return tag == self.wanted or tag.partition("=")[2] == self.wanted

    def test(self, value: Any) -> Truth:
        return any(self.test_tag(tag) for tag in value or ())


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Leaf = Compare | OneOf | Like | IsNull | IsTrue | HasTag
Node = Leaf | Not | And | Or


def truth(node: Node, row: Mapping[str, Any]) -> Truth:
    """What a condition says of a row: column → value, ``tags`` a sequence."""
    if isinstance(node, Not):
        inner = truth(node.inner, row)
        return None if inner is None else not inner
    if isinstance(node, And):
        return all_of(truth(part, row) for part in node.parts)
    if isinstance(node, Or):
        return any_of(truth(part, row) for part in node.parts)
    return node.test(row.get(node.column))


def all_of(values: Iterable[Truth]) -> Truth:
    """False if one is, else unknown if one is."""
    result: Truth = True
    for value in values:
        if value is False:
            return False
        if value is None:
            result = None
    return result


def any_of(values: Iterable[Truth]) -> Truth:
    """True if one is, else unknown if one is."""
    result: Truth = False
    for value in values:
        if value is True:
            return True
        if value is None:
            result = None
    return result


def as_number(value: Any) -> float | None:
    """A value as a number to compare with, also where it is a text or true or false."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _compare(value: Any, constant: Scalar, symbol: str) -> Truth:
    """A column's value against a constant; values of another kind are unknown."""
    if value is None or constant is None:
        return None
    if isinstance(constant, str):
        value = str(value)
    else:
        value, constant = as_number(value), float(constant)
        if value is None:
            return None
    if symbol == "=":
        return bool(value == constant)
    if symbol == "<>":
        return bool(value != constant)
    if symbol == "<":
        return bool(value < constant)
    if symbol == "<=":
        return bool(value <= constant)
    return bool(value > constant) if symbol == ">" else bool(value >= constant)


@functools.lru_cache(256)
def like(pattern: str) -> re.Pattern[str]:
    """A pattern with % and _ as an expression that has to match the whole text."""
    parts = {"%": ".*", "_": "."}
    joined = re.sub(r"(\.\*)+", ".*", "".join(parts.get(c) or re.escape(c) for c in pattern))
    return re.compile(joined, re.IGNORECASE | re.DOTALL)
