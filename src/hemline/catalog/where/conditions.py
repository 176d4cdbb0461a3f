"""The expression tree of a condition, and its meaning for a value and a row.

An unknown value (null, or one of another type) makes a test unknown, as in SQL, and conditions
combine true, false and unknown by Kleene's logic. A list (the sizes of an item) meets a test if one
of its elements does; for an empty list it is unknown. The index evaluates the same tree column by
column and is tested against this definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hemline.catalog.where.pattern import compiled

#: The columns of every catalogue.
FIXED_COLUMNS: tuple[str, ...] = ("category", "image_id", "item_id", "tags")

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
    """A column equal to one of several constants."""

    column: str
    constants: tuple[Scalar, ...]

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            return any_of(self.test(part) for part in value) if value else None
        return any_of(_compare(value, constant, "=") for constant in self.constants)


@dataclass(frozen=True, slots=True)
class Like:
    """A column that matches a pattern with % and _, ignoring case."""

    column: str
    pattern: str

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            return any_of(self.test(part) for part in value) if value else None
        return None if value is None else compiled(self.pattern).matches(str(value))


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column without a value."""

    column: str

    def test(self, value: Any) -> Truth:
        return value is None


@dataclass(frozen=True, slots=True)
class IsTrue:
    """A boolean column by itself."""

    column: str

    def test(self, value: Any) -> Truth:
        return value if isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class HasTag:
    """A tag that equals ``name`` (``pattern=floral``), or whose value does (``floral``)."""

    name: str
    column: str = "tags"

    def test_tag(self, tag: str) -> bool:
        return tag == self.name or tag.partition("=")[2] == self.name

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
    """The truth value of a condition for a row: column → value, ``tags`` a sequence."""
    if isinstance(node, Not):
        inner = truth(node.inner, row)
        return None if inner is None else not inner
    if isinstance(node, And):
        return all_of(truth(part, row) for part in node.parts)
    if isinstance(node, Or):
        return any_of(truth(part, row) for part in node.parts)
    return node.test(row.get(node.column))


def operators(node: Node) -> int:
    """The operations for each row: one for each constant, for a pattern its length and 8 more."""
    if isinstance(node, Not):
        return 1 + operators(node.inner)
    if isinstance(node, And | Or):
        return len(node.parts) + sum(operators(part) for part in node.parts)
    if isinstance(node, Like):
        return 8 + len(node.pattern)
    return len(node.constants) if isinstance(node, OneOf) else 1


def all_of(values: Iterable[Truth]) -> Truth:
    """False if one is false, otherwise unknown if one is unknown."""
    result: Truth = True
    for value in values:
        if value is False:
            return False
        if value is None:
            result = None
    return result


def any_of(values: Iterable[Truth]) -> Truth:
    """True if one is true, otherwise unknown if one is unknown."""
    result: Truth = False
    for value in values:
        if value is True:
            return True
        if value is None:
            result = None
    return result


def as_number(value: Any) -> float | None:
    """A value, text or boolean as a number to compare; None for any other."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _compare(value: Any, constant: Scalar, symbol: str) -> Truth:
    """Compares a column's value with a constant; for values of another type it is unknown."""
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
