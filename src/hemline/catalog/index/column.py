"""One column of the catalogue in memory, and the evaluation of conditions on it.

A truth value is a uint8: 0 false, 1 unknown, 2 true, so that "and" is the minimum and "or" the
maximum.

Numbers are an array. Any other column is dictionary-encoded: a code for each row and a list of
values. A condition is evaluated once for each value with the test that defines it; where there are
many values, Arrow compares their texts, with the same result. Patterns go to RE2 there, which never
backtracks. Values are taken in pieces, between which the time limit is checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hemline.budget import check_time, polled
from hemline.catalog.index.growing import GrowingArray, Texts
from hemline.catalog.where.conditions import (
    Compare,
    HasTag,
    IsNull,
    IsTrue,
    Leaf,
    Like,
    OneOf,
    Truth,
    as_number,
)
from hemline.catalog.where.pattern import compiled

Truths = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.int64]

FALSE, UNKNOWN, TRUE = 0, 1, 2
MANY = 2000  # the least values that Arrow compares
_KNOWN = 50_000  # beyond so many values a value may get several codes
_PIECE = 4096  # values tested between two looks at the clock
_EXACT = 2**53  # integers up to here are floats without loss


class NumberColumn:
    """A column of numbers; ``whole`` tells 20 from 20.0, which differ as texts."""

    kind = "number"

    def __init__(self, array: GrowingArray, whole: GrowingArray) -> None:
        self.array = array
        self.whole = whole
        self._distinct: tuple[list[Any], Slots] | None = None

    def take(self, slots: Slots) -> NumberColumn:
        """The column of ``slots`` (n,) only."""
        array, whole = self.array.data[slots], self.whole.data[slots]
        return NumberColumn(GrowingArray(array), GrowingArray(whole))

    @property
    def has_values(self) -> bool:
        return bool((~np.isnan(self.array.data)).any())

    def accepts(self, values: Sequence[Any]) -> bool:
        """Whether each value is None or a number that a float represents exactly."""
        return all(
            value is None
            or (type(value) is float and math.isfinite(value))
            or (type(value) is int and abs(value) <= _EXACT)
            for value in values
        )

    def resize(self, length: int) -> None:
        self.array.resize(length, np.nan)
        self.whole.resize(length, False)
        self._distinct = None

    def put(self, slots: Slots, values: Sequence[Any]) -> None:
        self.array.data[slots] = np.array(
            [np.nan if value is None else value for value in values], np.float64
        )
        self.whole.data[slots] = np.array([type(value) is int for value in values], bool)
        self._distinct = None

    def at(self, slots: Slots) -> list[Any]:
        """The values of ``slots`` (n,)."""
        pairs = zip(self.array.data[slots].tolist(), self.whole.data[slots].tolist(), strict=True)
        return [None if math.isnan(v) else int(v) if whole else v for v, whole in pairs]

    def evaluate(self, leaf: Leaf) -> Truths:
        data = self.array.data
        missing = np.isnan(data)
        if isinstance(leaf, IsNull):
            return _of_bools(missing)
        if isinstance(leaf, IsTrue | HasTag):
            return np.full(len(data), UNKNOWN, np.uint8)
        constants: tuple[Any, ...] = ()
        if isinstance(leaf, Compare):
            constants = (leaf.constant,)
        elif isinstance(leaf, OneOf):
            constants = leaf.constants
        if isinstance(leaf, Like) or any(isinstance(c, str) or c is None for c in constants):
            found = self._by_text(leaf)
        elif isinstance(leaf, Compare):
            found = _of_bools(_compared(data, float(constants[0]), leaf.symbol))
        else:
            found = _of_bools(np.isin(data, [float(c) for c in constants]))
        found[missing] = UNKNOWN
        return found

    def _by_text(self, leaf: Leaf) -> Truths:
        """Tests each distinct number as a text."""
        if self._distinct is None:
            self._distinct = self._find_distinct()
        values, places = self._distinct
        return np.asarray(_table([leaf.test(value) for value in polled(values)])[places], np.uint8)

    def _find_distinct(self) -> tuple[list[Any], Slots]:
        """The distinct values, and the place of each row's among them."""
        data, whole = self.array.data, self.whole.data
        places = np.empty(len(data), np.int64)
        # Apart, as sorting pairs would hold the interpreter.
        integers, places[whole] = np.unique(data[whole], return_inverse=True)
        others, places[~whole] = np.unique(data[~whole], return_inverse=True)
        places[~whole] += len(integers)
        values = [*map(int, integers.tolist()), *others.tolist()]
        return [None if value != value else value for value in values], places


class CodedColumn:
    """A dictionary-encoded column: a code for each row, -1 for no value, and the values' texts.

    If ``plain``, all values are texts and ``texts`` has them; otherwise ``texts`` has their JSON.
    """

    kind = "coded"

    def __init__(self, codes: GrowingArray, texts: Texts, plain: bool) -> None:
        self.codes = codes
        self.texts = texts
        self.plain = plain
        self._lookup: dict[str, int] | None = None
        self._numbers: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def has_values(self) -> bool:
        return bool((self.codes.data >= 0).any())

    def take(self, slots: Slots) -> CodedColumn:
        """The column of ``slots`` (n,) only."""
        codes = GrowingArray(self.codes.data[slots])
        return CodedColumn(codes, Texts(self.texts.pieces), self.plain)

    def distinct(self) -> Iterator[Any]:
        """The values by code.

        Raises:
            TimeLimitError: the present query's time is over.
        """
        for _, texts in self.texts.slices(_PIECE):
            check_time()
            for text in texts.to_pylist():
                yield text if self.plain else json.loads(text)

    def at(self, slots: Slots) -> list[Any]:
        """The values of ``slots`` (n,)."""
        return self.some(self.codes.data[slots])

    def some(self, codes: Any) -> list[Any]:
        """The values of ``codes`` (n,), None for -1."""
        if not len(self):
            return [None] * len(codes)
        texts = self.texts.take(np.maximum(codes, 0)).to_pylist()
        values = texts if self.plain else [json.loads(text) for text in texts]
        return [v if c >= 0 else None for v, c in zip(values, codes.tolist(), strict=True)]

    def resize(self, length: int) -> None:
        self.codes.resize(length, -1)

    def put(self, slots: Slots, values: Sequence[Any]) -> None:
        if self.plain and not all(value is None or type(value) is str for value in values):
            self._to_json()
        if not self.plain:
            values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
        if self._lookup is None:
            self._lookup = {}
            if len(self) <= _KNOWN:
                self._lookup = {t: code for code, t in enumerate(self.texts.to_pylist())}
        elif len(self._lookup) > _KNOWN:
            self._lookup = {}
        lookup, fresh = self._lookup, list[str]()
        codes = np.empty(len(values), np.int32)
        for i, text in enumerate(values):
            if text is None:
                codes[i] = -1
                continue
            code = lookup.get(text)
            if code is None:
                code = lookup[text] = len(self) + len(fresh)
                fresh.append(text)
            codes[i] = code
        if fresh:
            self.texts.append(fresh)
            self._numbers = None
        self.codes.data[slots] = codes

    def _to_json(self) -> None:
        texts = [json.dumps(text, ensure_ascii=False) for text in self.texts.to_pylist()]
        self.texts = Texts()
        self.texts.append(texts)
        self._lookup, self.plain = None, False

    def evaluate(self, leaf: Leaf) -> Truths:
        found = self._arrow(leaf) if self.plain and len(self) >= MANY else None
        if found is None:
            found = _table([leaf.test(value) for value in polled(self.distinct())])
        # The code -1, no value, indexes the last place.
        table = np.append(found, _table([leaf.test(None)]))
        return np.asarray(table[self.codes.data], np.uint8)

    def _arrow(self, leaf: Leaf) -> Truths | None:
        """The truth value of each text, or None where Arrow can't test it."""
        if isinstance(leaf, IsNull | IsTrue):
            return np.full(len(self), FALSE if isinstance(leaf, IsNull) else UNKNOWN, np.uint8)
        if isinstance(leaf, Compare) and isinstance(leaf.key, str):
            compare: Callable[..., Any] = getattr(pc, _ARROW[leaf.symbol])
            key = pa.scalar(leaf.key, pa.large_string())
            return self._compared(leaf, len(leaf.key), lambda some: compare(some, key))
        if isinstance(leaf, Compare):
            return self._arrow_numbers(leaf.constant, leaf.symbol)
        if isinstance(leaf, OneOf) and all(isinstance(key, str) for key in leaf.keys):
            keys = pa.array(list(leaf.keys), pa.large_string())
            longest = max(len(str(key)) for key in leaf.keys)
            return self._compared(leaf, longest, lambda some: pc.is_in(some, value_set=keys))
        return self._arrow_like(leaf) if isinstance(leaf, Like) else None

    def _arrow_like(self, leaf: Like) -> Truths:
        """RE2 tests the texts in ASCII, where it agrees on upper and lower case."""
        regex = compiled(leaf.pattern).ascii_regex()
        piece = max(_PIECE // (1 + len(leaf.pattern) // 64), 64)
        if regex is None:
            return self._in_pieces(leaf, piece, lambda texts: None)
        return self._in_pieces(leaf, piece, lambda texts: pc.match_substring_regex(texts, regex))

    def _compared(self, leaf: Compare | OneOf, longest: int, test: Callable[[Any], Any]) -> Truths:
        """Arrow compares the texts with keys of ``longest`` characters at most."""

        def ascii(texts: Any) -> Any:
            begins = pc.utf8_slice_codeunits(texts, 0, longest + 1)
            return test(begins if leaf.exact else pc.ascii_lower(begins))

        piece = max(16 * _PIECE // (1 + longest // 64), 64)
        return self._in_pieces(leaf, piece, ascii, others=not leaf.exact)

    def _in_pieces(
        self, leaf: Leaf, piece: int, ascii: Callable[[Any], Any], others: bool = True
    ) -> Truths:
        """``ascii`` tests ``piece`` texts at once; those with ``others`` are tested one by one."""
        found = np.zeros(len(self), bool)
        for start, texts in self.texts.slices(piece):
            check_time()
            part = found[start : start + len(texts)]
            truths = ascii(texts)
            if truths is not None:
                part[:] = _bools(truths)
            if not others:
                continue
            left = np.flatnonzero(~_bools(pc.string_is_ascii(texts)))
            left_texts = texts.take(pa.array(left)).to_pylist()
            for place, text in zip(left, polled(left_texts), strict=True):
                part[place] = leaf.test(text)
        return _of_bools(found)

    def _arrow_numbers(self, constant: Any, symbol: str) -> Truths:
        if constant is None:
            return np.full(len(self), UNKNOWN, np.uint8)
        if self._numbers is None:
            numbers = [as_number(text) for text in polled(self.texts.to_pylist())]
            known = np.array([number is not None for number in numbers], bool)
            values = np.array([0.0 if n is None else n for n in numbers], np.float64)
            self._numbers = (values, known)
        values, known = self._numbers
        found = _of_bools(_compared(values, float(constant), symbol))
        found[~known] = UNKNOWN
        return found


_ARROW = {
    "=": "equal",
    "<>": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}


def _table(truths: Sequence[Truth]) -> Truths:
    return np.array([UNKNOWN if t is None else TRUE if t else FALSE for t in truths], np.uint8)


def _of_bools(bools: npt.NDArray[np.bool_]) -> Truths:
    return np.where(bools, np.uint8(TRUE), np.uint8(FALSE))


def _bools(array: Any) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return found


def _compared(data: npt.NDArray[np.float64], constant: float, symbol: str) -> Any:
    with np.errstate(invalid="ignore"):
        if symbol == "=":
            return data == constant
        if symbol == "<>":
            return data != constant
        if symbol == "<":
            return data < constant
        if symbol == "<=":
            return data <= constant
        return data > constant if symbol == ">" else data >= constant


def column_for(values: Sequence[Any], length: int) -> NumberColumn | CodedColumn:
    """An empty column of ``length`` rows, of the kind that ``values`` need."""
    nothing = GrowingArray(np.full(length, np.nan)), GrowingArray(np.zeros(length, bool))
    numbers = NumberColumn(*nothing)
    if numbers.accepts(values) and any(value is not None for value in values):
        return numbers
    plain = all(value is None or type(value) is str for value in values)
    return CodedColumn(GrowingArray(np.full(length, -1, np.int32)), Texts(), plain)
