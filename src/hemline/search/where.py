"""``--where``: a condition over the stored columns, as SQL says it, and nothing else of SQL.

sqlglot parses the text; the tree is then read by a whitelist, so that a condition can only compare
columns with constants. As in SQL an unknown value (null) compares neither true nor false, and only
rows whose condition is true are found.

    category = 'dress' and price < 50 and 'floral' in tags
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hemline.errors import UsageError, nearest

if TYPE_CHECKING:
    from sqlglot import exp

#: Columns that every catalogue has.
FIXED_COLUMNS: tuple[str, ...] = ("category", "image_id", "item_id", "tags")
MAX_LENGTH = 4000

Truth = bool | None
Test = Callable[[Mapping[str, Any]], Truth]
Scalar = str | float | bool | None


class Where:
    """A parsed condition.

    Attributes:
        text: as it was given.
        columns: the columns it reads.
    """

    def __init__(self, text: str, columns: frozenset[str], test: Test) -> None:
        self.text = text
        self.columns = columns
        self._test = test

    @classmethod
    def parse(cls, text: str, extra: Iterable[str] = ()) -> Where:
        """Reads a condition.

        Args:
            text: such as ``price < 50 and 'floral' in tags``.
            extra: the columns this catalogue stores besides `FIXED_COLUMNS`.

        Raises:
            UsageError: it can't be read, uses something else than conditions, or names an unknown
                column.
        """
        from sqlglot import parse
        from sqlglot.errors import SqlglotError

        if len(text) > MAX_LENGTH:
            raise UsageError(f"a condition has at most {MAX_LENGTH} characters, not {len(text)}")
        reader = _Reader({*FIXED_COLUMNS, *extra})
        try:
            trees = parse(text, dialect="sqlite")
            if len(trees) != 1 or trees[0] is None:
                raise UsageError(f"--where takes one condition, such as price < 50; got {text!r}")
            test = reader.condition(trees[0])
        except (SqlglotError, RecursionError) as error:
            reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()[0]
            if reason.startswith("Required keyword"):
                reason = "something is missing" + reason[reason.rfind(". Line") :].rstrip(".")
            elif reason.startswith("Error tokenizing"):
                reason = "a quotation mark isn't closed"
            raise UsageError(f"the condition {text!r} can't be read: {reason}") from None
        return cls(text, frozenset(reader.used), test)

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether the condition is true of a row: column → value, ``tags`` a sequence."""
        return self._test(row) is True


class _Reader:
    """From a syntax tree to a function of a row."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.used: set[str] = set()

    def condition(self, node: exp.Expr) -> Test:
        """A node's function; whatever part of the node isn't known to us is refused."""
        if {name for name, value in node.args.items() if value} - _PARTS:
            raise _unreadable(node)
        test = self._positive(node)
        if node.args.get("negate"):
            return lambda row: _negate(test(row))
        return test

    def _positive(self, node: exp.Expr) -> Test:
        from sqlglot import exp

        if isinstance(node, exp.Paren):
            return self.condition(node.this)
        if isinstance(node, exp.Not):
            inner = self.condition(node.this)
            return lambda row: _negate(inner(row))
        if isinstance(node, exp.And | exp.Or):
            # Chains of hundreds of parts are flat here, so that they don't nest calls.
            parts = [self.condition(part) for part in node.flatten()]
            join = _all if isinstance(node, exp.And) else _any
            return lambda row: join(part(row) for part in parts)
        if isinstance(node, exp.In):
            return self._in(node)
        if isinstance(node, exp.Between):
            value = self._column(node.this)
            low, high = _constant(node.args["low"]), _constant(node.args["high"])
            return lambda row: _all(
                (_compare(value(row), low, ">="), _compare(value(row), high, "<="))
            )
        if isinstance(node, exp.Like):
            value = self._column(node.this)
            pattern = _like(_constant(node.expression))
            return lambda row: _matches(value(row), pattern)
        if isinstance(node, exp.Is):
            value = self._column(node.this)
            if not isinstance(node.expression, exp.Null):
                raise _unreadable(node)
            return lambda row: value(row) is None
        if isinstance(node, exp.Column):  # a column of true and false, by itself
            value = self._column(node)
            return lambda row: _truth(value(row))
        symbol = _SYMBOLS.get(type(node).__name__)
        if symbol is None:
            raise _unreadable(node)
        return self._comparison(node, symbol)

    def _comparison(self, node: exp.Expr, symbol: str) -> Test:
        from sqlglot import exp

        left, right = node.this, node.expression
        if not isinstance(left, exp.Column):
            left, right, symbol = right, left, _MIRRORED[symbol]
        value, constant = self._column(left), _constant(right)
        if left.name.lower() == "tags":
            raise UsageError("tags are a list: write 'floral' in tags")
        return lambda row: _compare(value(row), constant, symbol)

    def _in(self, node: exp.In) -> Test:
        from sqlglot import exp

        field = node.args.get("field")
        if isinstance(field, exp.Column):  # 'floral' in tags
            if field.name.lower() != "tags":
                raise UsageError(f"only tags are a list; {field.name} isn't one")
            self.used.add("tags")
            wanted = str(_constant(node.this))
            return lambda row: _has_tag(row.get("tags") or (), wanted)
        value = self._column(node.this)
        if node.args.get("query") or not node.expressions:
            raise _unreadable(node)
        constants = [_constant(part) for part in node.expressions]
        return lambda row: _any(_compare(value(row), c, "=") for c in constants)

    def _column(self, node: exp.Expr) -> Callable[[Mapping[str, Any]], Any]:
        from sqlglot import exp

        if not isinstance(node, exp.Column) or node.table:
            raise _unreadable(node)
        name = node.name
        if name not in self.known:
            close = [known for known in self.known if known.lower() == name.lower()]
            if not close:
                raise UsageError(
                    f"no column {name!r}. {nearest(name, self.known)} "
                    f"Columns: {', '.join(sorted(self.known))}. Text stands in 'single quotes'"
                )
            name = close[0]
        self.used.add(name)
        return lambda row: row.get(name)


_PARTS = {"this", "expression", "expressions", "field", "low", "high", "negate", "query"}
_SYMBOLS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _unreadable(node: exp.Expr) -> UsageError:
    return UsageError(
        f"a condition compares columns with constants (= <> < <= > >= in, between, like, is null, "
        f"and, or, not); it can't have {node.sql(dialect='sqlite')!r}"
    )


def _constant(node: exp.Expr) -> Scalar:
    from sqlglot import exp

    if isinstance(node, exp.Literal):
        return node.name if node.is_string else _number(node.name)
    if isinstance(node, exp.Neg):
        inner = _constant(node.this)
        if isinstance(inner, float):
            return -inner
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Paren):
        return _constant(node.this)
    raise _unreadable(node)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"{text!r} is no number that a condition can compare with")
    return number


def _negate(value: Truth) -> Truth:
    return None if value is None else not value


def _all(values: Iterable[Truth]) -> Truth:
    result: Truth = True
    for value in values:
        if value is False:
            return False
        if value is None:
            result = None
    return result


def _any(values: Iterable[Truth]) -> Truth:
    result: Truth = False
    for value in values:
        if value is True:
            return True
        if value is None:
            result = None
    return result


def _truth(value: Any) -> Truth:
    return value if isinstance(value, bool) else None


def _compare(value: Any, constant: Scalar, symbol: str) -> Truth:
    """A column's value against a constant; values of another kind are unknown."""
    if value is None or constant is None:
        return None
    if isinstance(constant, str):
        value = str(value)
    else:
        try:
            value = float(value)
        except (TypeError, ValueError):
            return None
        constant = float(constant)
    if symbol == "=":
        return bool(value == constant)
    if symbol == "<>":
        return bool(value != constant)
    if symbol == "<":
        return bool(value < constant)
    if symbol == "<=":
        return bool(value <= constant)
    return bool(value > constant) if symbol == ">" else bool(value >= constant)


def _has_tag(tags: Iterable[str], wanted: str) -> bool:
    """Whether a tag is ``wanted`` as a whole (``pattern=floral``), or its value is (``floral``)."""
    return any(tag == wanted or tag.partition("=")[2] == wanted for tag in tags)


def _like(pattern: Scalar) -> re.Pattern[str]:
    if not isinstance(pattern, str):
        raise UsageError(f"like takes a text with % and _, not {pattern!r}")
    parts = {"%": ".*", "_": "."}
    joined = re.sub(r"(\.\*)+", ".*", "".join(parts.get(c) or re.escape(c) for c in pattern))
    return re.compile(joined, re.IGNORECASE | re.DOTALL)


def _matches(value: Any, pattern: re.Pattern[str]) -> Truth:
    return None if value is None else pattern.fullmatch(str(value)) is not None
