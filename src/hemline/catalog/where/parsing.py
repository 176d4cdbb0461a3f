"""Parses the SQL of a condition, and nothing else of SQL.

sqlglot parses the text; its tree is then read by an allow-list, so that a condition can only
compare columns with constants.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from sqlglot import TokenType, exp, parse, tokenize
from sqlglot.errors import SqlglotError

from hemline.catalog.where.conditions import (
    FIXED_COLUMNS,
    And,
    Compare,
    HasTag,
    IsNull,
    IsTrue,
    Like,
    Node,
    Not,
    OneOf,
    Or,
    Scalar,
)
from hemline.errors import UsageError, nearest
from hemline.limits import MAX_NESTING


def read_condition(text: str, known: set[str]) -> tuple[Node, set[str]]:
    """The tree of a condition over ``known`` columns, and the columns it reads.

    Raises:
        UsageError: it can't be parsed, has other parts than conditions, or names an unknown column.
    """
    reader = _Reader(known)
    try:
        _check_nesting(text)
        trees = parse(text, dialect="sqlite")
        if len(trees) != 1 or trees[0] is None:
            raise UsageError(f"--where takes one condition, such as price < 50; got {text!r}")
        return reader.condition(trees[0]), reader.used
    except (SqlglotError, RecursionError) as error:
        reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()[0]
        if reason.startswith("Required keyword"):
            reason = "something is missing" + reason[reason.rfind(". Line") :].rstrip(".")
        elif reason.startswith("Error tokenizing"):
            reason = "a quotation mark isn't closed"
        raise UsageError(f"the condition {text!r} can't be read: {reason}") from None
    except ValueError:  # from sqlglot, for 0xfff…: Python writes numbers of 4,300 digits at most
        raise UsageError(f"the condition {text!r} can't be read: a number is too long") from None


def _check_nesting(text: str) -> None:
    """Refuses what the parser, which calls itself for each bracket, would run out of stack for.

    Raises:
        UsageError: more than `MAX_NESTING` brackets, or nots and signs, within one another.
    """
    brackets = prefixes = 0
    for token in tokenize(text, dialect="sqlite"):
        kind = token.token_type
        brackets += (kind in _OPENING) - (kind in _CLOSING)
        prefixes = prefixes + 1 if kind in _PREFIXES else 0
        if brackets + prefixes > MAX_NESTING:
            raise UsageError(f"a condition has at most {MAX_NESTING} brackets within one another")


class _Reader:
    """Turns a syntax tree into a tree of conditions."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.used: set[str] = set()

    def condition(self, node: exp.Expr) -> Node:
        """The condition of a node; nodes with unknown parts are refused."""
        if {name for name, value in node.args.items() if value} - _PARTS:
            raise _unreadable(node)
        positive = self._positive(node)
        return Not(positive) if node.args.get("negate") else positive

    def _positive(self, node: exp.Expr) -> Node:
        if isinstance(node, exp.Paren):
            return self.condition(node.this)
        if isinstance(node, exp.Not):
            return Not(self.condition(node.this))
        if isinstance(node, exp.And | exp.Or):
            # Flat, as a chain of hundreds of parts would nest as many calls.
            parts = tuple(self.condition(part) for part in node.flatten())
            return And(parts) if isinstance(node, exp.And) else Or(parts)
        if isinstance(node, exp.In):
            return self._in(node)
        if isinstance(node, exp.Between):
            this, low, high = (_collated(node.args[name]) for name in ("this", "low", "high"))
            column = self._column(this.node)
            exact = this.exact or low.exact or high.exact or column in _IDS
            return And(
                (
                    Compare(column, _constant(low.node), ">=", exact),
                    Compare(column, _constant(high.node), "<=", exact),
                )
            )
        if isinstance(node, exp.Like):
            return Like(self._column(node.this), _pattern(_constant(node.expression)))
        if isinstance(node, exp.Is):
            column = self._column(node.this)
            if not isinstance(node.expression, exp.Null):
                raise _unreadable(node)
            return IsNull(column)
        if isinstance(node, exp.Column):  # a boolean column by itself
            return IsTrue(self._column(node))
        symbol = _SYMBOLS.get(type(node).__name__)
        if symbol is None:
            raise _unreadable(node)
        return self._comparison(node, symbol)

    def _comparison(self, node: exp.Expr, symbol: str) -> Node:
        left, right = _collated(node.this), _collated(node.expression)
        if not isinstance(left.node, exp.Column):
            left, right, symbol = right, left, _MIRRORED[symbol]
        column = self._column(left.node)
        exact = left.exact or right.exact or column in _IDS
        return Compare(column, _constant(right.node), symbol, exact)

    def _in(self, node: exp.In) -> Node:
        field, this = node.args.get("field"), _collated(node.this)
        if isinstance(field, exp.Column):  # 'floral' in tags
            if field.name.lower() == "tags":
                self.used.add("tags")
                return HasTag(str(_constant(this.node)), this.exact)
            column = self._column(field)
            if column in FIXED_COLUMNS:
                raise UsageError(f"{column} isn't a list; tags are, and further columns may be")
            return OneOf(column, (_constant(this.node),), this.exact)
        column = self._column(this.node)
        if node.args.get("query") or not node.expressions:
            raise _unreadable(node)
        constants = tuple(_constant(part) for part in node.expressions)
        return OneOf(column, constants, this.exact or column in _IDS)

    def _column(self, node: exp.Expr) -> str:
        if not isinstance(node, exp.Column) or node.table:
            raise _unreadable(node)
        name: str = node.name
        if name not in self.known:
            close = [known for known in self.known if known.lower() == name.lower()]
            if not close:
                hint = nearest(name, self.known)
                columns = f" Columns: {', '.join(sorted(self.known))}."
                raise UsageError(
                    f"no column {name!r}; put text in 'single quotes'. {hint}"
                    + ("" if hint.startswith("Known") else columns)
                )
            name = close[0]
        if name == "tags":
            raise UsageError("tags are a list: write 'floral' in tags")
        self.used.add(name)
        return name


class _Collated(NamedTuple):
    """A column or constant, and whether ``collate binary`` asks for its case."""

    node: exp.Expr
    exact: bool


def _collated(node: exp.Expr) -> _Collated:
    if not isinstance(node, exp.Collate):
        return _Collated(node, False)
    name = node.expression.name.lower()
    if name not in ("binary", "nocase"):
        raise UsageError(
            f"text is compared without case; 'collate binary' compares with it, and there is no "
            f"collation {name!r}"
        )
    return _Collated(node.this, name == "binary")


#: Ids name one thing each: they are compared as they stand.
_IDS = ("item_id", "image_id")
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}
_PARTS = {"this", "expression", "expressions", "field", "low", "high", "negate", "query"}
_SYMBOLS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _unreadable(node: exp.Expr) -> UsageError:
    return UsageError(
        f"a condition compares columns with constants (= <> < <= > >= in, between, like, is null, "
        f"and, or, not); it can't have {node.sql(dialect='sqlite')!r}"
    )


def _constant(node: exp.Expr) -> Scalar:
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
    if isinstance(node, exp.Column):  # dress, for 'dress'
        raise UsageError(
            f"a condition compares columns with constants, not with {node.name!r}; "
            "put text in 'single quotes'"
        )
    raise _unreadable(node)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"{text!r} isn't a number that a condition can compare with")
    return number


def _pattern(constant: Scalar) -> str:
    if not isinstance(constant, str):
        raise UsageError(f"like takes a text with % and _, not {constant!r}")
    return constant
