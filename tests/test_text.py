"""The one check of texts from outside refuses what SQLite or UTF-8 can't keep, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemline.errors import UsageError
from hemline.text import check_text, text_problem

CHARACTERS = st.one_of(
    st.sampled_from(["\0", "\ud800", "\udbff", "\udc00", "\udfff", "\uffff", "\x01", "\x7f", "é"]),
    st.characters(),
)
TEXTS = st.lists(CHARACTERS, max_size=6).map("".join)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(TEXTS)
def test_what_is_not_refused_sqlite_keeps(text: str) -> None:
    odd = "\0" in text or any("\ud800" <= c <= "\udfff" for c in text)
    assert bool(text_problem(text)) is odd
    if not odd:
        db = sqlite3.connect(":memory:")
        assert db.execute("SELECT ?", (text,)).fetchone()[0] == text
        listed = db.execute("SELECT value FROM json_each(?)", (json.dumps([text]),))
        assert listed.fetchone()[0] == text


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in texts_of(inner))]
    return [text for inner in value for text in texts_of(inner)] if isinstance(value, list) else []


@settings(max_examples=200)
@given(VALUES)
def test_every_text_of_a_json_value_is_looked_at(value: Any) -> None:
    assert bool(text_problem(value)) is any(text_problem(text) for text in texts_of(value))


def test_the_error_names_place_and_character() -> None:
    assert check_text({"a": ["b", 1, None]}, "a column") == {"a": ["b", 1, None]}
    with pytest.raises(UsageError, match=r"^a column: 'a\\x00b' has a NUL character \(U\+0000\)"):
        check_text(["fine", {"x": ("a\0b",)}], "a column")
    with pytest.raises(UsageError, match=r"a key: '\\ud800…?' has half of a surrogate pair"):
        check_text({"\ud800": 1}, "a key")
    deep: Any = "\0"
    for _ in range(100_000):
        deep = [deep]
    assert text_problem(deep)
