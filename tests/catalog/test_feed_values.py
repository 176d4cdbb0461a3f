"""Cells of a feed are parsed in linear time, and as before."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemline.data import amounts
from hemline.data.amounts import parse_price
from hemline.data.column_names import pieces

#: As it was, with backtracking.
SLOW = re.compile(
    r"\s*(?P<before>[A-Za-z]{3}|€|\$|£|¥|₹|₽)?\s*"
    r"(?P<sign>-?)(?P<number>\d[\d.,'’\u00a0\u202f ]*)\s*"
    r"(?P<after>[A-Za-z]{3}|€|\$|£|¥|₹|₽|zł)?\s*"
)
CELLS = st.lists(
    st.sampled_from([*" \t\n19.,'-€$|;x", "EUR", "zł", "\u00a0", "usd"]), max_size=9
).map("".join)


@settings(max_examples=500)
@given(CELLS)
def test_values_are_those_of_the_slow_expressions(cell: str) -> None:
    fast = parse_price(cell)
    before, amounts._PRICE = amounts._PRICE, SLOW
    try:
        assert fast == parse_price(cell)
    finally:
        amounts._PRICE = before
    assert pieces(cell) == [p for p in re.split(r"\s*[,;|\n]\s*", cell.strip()) if p]


@pytest.mark.parametrize("parse", [parse_price, pieces])
@pytest.mark.parametrize("part", [" ", "1", "1 ", "1,", "\t", "1\t", ".", "a ", "€ "])
def test_the_cost_grows_at_most_linearly(parse: Callable[[str], Any], part: str) -> None:
    def cost(length: int) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            parse("1" + part * length + "!")
            parse(part * length + "!")
            times.append(time.process_time() - start)
        return min(times)

    assert cost(4000) < 60 * cost(400) + 0.001
