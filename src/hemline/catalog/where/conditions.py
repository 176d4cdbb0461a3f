"""The expression tree of a condition, and its meaning for a value and a row.

Texts are compared without their case (`pattern.fold`), except where a test is ``exact``: ids are
always compared so. Against a number, a text counts as the number or amount that it is.

An unknown value (null, or one of another type) makes a test unknown, as in SQL, and conditions
combine true, false and unknown by Kleene's logic. A list (the sizes of an item) meets a test if one
of its elements does; for an empty list it is unknown. The index evaluates the same tree column by
column and is tested against this definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hemline.budget import polled
from hemline.catalog.where.pattern import compiled, fold
from hemline.data.amounts import amount

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
    exact: bool = False
    key: Scalar = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key(self.constant, self.exact))

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            join = all_of if self.symbol == "<>" else any_of  # "<>" is "not ="
            return join(self.test(part) for part in polled(value)) if value else None
        return _compare(value, self.key, self.symbol, self.exact)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A column equal to one of several constants."""

    column: str
    constants: tuple[Scalar, ...]
    exact: bool = False
    keys: tuple[Scalar, ...] = field(init=False, compare=False)
    _texts: frozenset[str] = field(init=False, compare=False, repr=False)
    _numbers: frozenset[float] = field(init=False, compare=False, repr=False)
    _longest: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        keys = tuple(_key(constant, self.exact) for constant in self.constants)
        texts = frozenset(key for key in keys if isinstance(key, str))
        numbers = (float(key) for key in keys if key is not None and not isinstance(key, str))
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "_texts", texts)
        object.__setattr__(self, "_numbers", frozenset(numbers))
        object.__setattr__(self, "_longest", max(map(len, texts), default=0))

    def test(self, value: Any) -> Truth:
        """As `Compare` with each constant, but at the cost of one: their number doesn't matter."""
        if isinstance(value, list | tuple):
            return any_of(self.test(part) for part in polled(value)) if value else None
        if value is None:
            return None
        if self._texts:
            text = str(value)[: self._longest + 1]  # `fold` keeps its length
            if (text if self.exact else fold(text)) in self._texts:
                return True
        number = as_number(value) if self._numbers else None
        if number in self._numbers:
            return True
        return None if None in self.keys or (self._numbers and number is None) else False


@dataclass(frozen=True, slots=True)
class Like:
    """A column that matches a pattern with % and _, ignoring case."""

    column: str
    pattern: str

    def test(self, value: Any) -> Truth:
        if isinstance(value, list | tuple):
            return any_of(self.test(part) for part in polled(value)) if value else None
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
    exact: bool = False
    column: str = "tags"
    key: Scalar = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key(self.name, self.exact))

    def test_tag(self, tag: str) -> bool:
        parts = (tag, tag.partition("=")[2])
        return any(_compare(part, self.key, "=", self.exact) is True for part in parts)

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
    """The operations for each row: one for each constant and for each 16 characters of a text, for
    a pattern its length and 8 more.
    """
    if isinstance(node, Not):
        return 1 + operators(node.inner)
    if isinstance(node, And | Or):
        return len(node.parts) + sum(operators(part) for part in node.parts)
    if isinstance(node, Like):
        return 8 + len(node.pattern)
    if isinstance(node, OneOf):
        return sum(map(_weight, node.constants))
    return _weight(node.constant) if isinstance(node, Compare) else 1


def _weight(constant: Scalar) -> int:
    return 1 + len(constant) // 16 if isinstance(constant, str) else 1


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
    """A value, text or boolean as a number to compare; None for any other.

    A text may be an amount: ``1.299,00 €``.
    """
    if isinstance(value, str):
        return amount(value)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _key(constant: Scalar, exact: bool) -> Scalar:
    return fold(constant) if isinstance(constant, str) and not exact else constant


def _compare(value: Any, key: Scalar, symbol: str, exact: bool) -> Truth:
    """Compares a column's value with a constant; for values of another type it is unknown."""
    if value is None or key is None:
        return None
    if isinstance(key, str):
        # No character beyond can make a difference, so that a long text costs no more.
        value = str(value)[: len(key) + 1]
        if not exact:
            value = fold(value)
    else:
        value, key = as_number(value), float(key)
        if value is None:
            return None
    if symbol == "=":
        return bool(value == key)
    if symbol == "<>":
        return bool(value != key)
    if symbol == "<":
        return bool(value < key)
    if symbol == "<=":
        return bool(value <= key)
    return bool(value > key) if symbol == ">" else bool(value >= key)
