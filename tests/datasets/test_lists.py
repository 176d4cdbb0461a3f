"""List files as columns, against the obvious way: split every line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemline.datasets._lists import Lines, blocks, read_text
from hemline.errors import DataError

WORDS = st.text("ab/_.é服0123456789-+", min_size=1, max_size=12)
BLANKS = st.sampled_from([" ", "  ", "\t", " \t "])


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines = []
    for words in draw(st.lists(st.lists(WORDS, max_size=5), max_size=12)):
        gap = draw(BLANKS)
        lines.append(draw(st.sampled_from(["", " "])) + gap.join(words) + draw(BLANKS))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


def reference(text: str) -> list[tuple[int, list[str]]]:
    """Number and words of each line that isn't blank."""
    return [(n, line.split()) for n, line in enumerate(text.split("\n"), 1) if line.split()]


@settings(max_examples=80, deadline=None)
@given(texts())
def test_lines_are_those_of_splitting(text: str) -> None:
    lines, rows = Lines.of(text.encode(), "list"), reference(text)
    assert len(lines) == len(rows)
    assert lines.numbers.tolist() == [number for number, _ in rows]
    assert lines.counts.tolist() == [len(words) for _, words in rows]
    for at, (_, words) in enumerate(rows):
        assert [lines.word(at, k) for k in range(len(words))] == words
    if rows:
        assert lines.column(0).to_pylist() == [words[0] for _, words in rows]
        odd = lines.take(slice(1, None, 2))
        assert odd.column(0).to_pylist() == [words[0] for _, words in rows[1::2]]
        assert odd.numbers.tolist() == [number for number, _ in rows[1::2]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(10**9) + 1, 10**9 - 1), min_size=1, max_size=30))
def test_whole_numbers(numbers: list[int]) -> None:
    text = "".join(f"x {n} {n:+05d}\n" for n in numbers).encode()
    values, good = Lines.of(text, "list").integers(1, 2)
    assert good.all()
    assert values.tolist() == [[n, n] for n in numbers]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("009", 9), ("-1", -1), ("+7", 7), ("1.5", 1.5), ("1e3", 1000), ("1e300", 1e300),
        ("nan", np.nan), ("x", np.nan), ("-", np.nan), ("1_0", 10), ("0x1", np.nan),
        ("12345678901", 12345678901), ("inf", np.inf), ("１", 1),
    ],
)  # fmt: skip
def test_numbers_of_every_kind(word: str, value: float) -> None:
    found = Lines.of(f"a {word}\n".encode(), "list").numbers_at(1, 1)[0, 0]
    assert found == value or (np.isnan(found) and np.isnan(value))


@settings(max_examples=40, deadline=None)
@given(texts(), st.integers(1, 4))
def test_blocks_are_the_whole_text(text: str, size: int) -> None:
    data, rows = text.encode(), reference(text)
    pieces = list(blocks(data, size))
    assert b"".join(piece for piece, _ in pieces) == data
    found = [Lines.of(piece, "list", before) for piece, before in pieces]
    assert [n for lines in found for n in lines.numbers.tolist()] == [n for n, _ in rows]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbf1\r\n2\r\n", b"1\n2\n"),
        (b"1\r2\r", b"1\n2\n"),
        (b"1\r\n2\n3\r", b"1\n2\n3\n"),
    ],
)
def test_marks_and_line_ends(tmp_path: Path, data: bytes, text: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    assert read_text(tmp_path / "list.txt") == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("1\n2\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("1\n2\n".encode("utf-16-le"), "NUL bytes"),
        (b"1\n\xe9\n", "line 2: no UTF-8 text"),
        (b"1\0\n", "NUL bytes"),
    ],
)
def test_other_encodings(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_text(tmp_path / "list.txt")
    with pytest.raises(DataError, match="there is no"):
        read_text(tmp_path)


def test_letters_that_are_only_shown(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("长款 Long 1".encode("gbk"))
    assert read_text(tmp_path / "list.txt", "replace").endswith(b" Long 1")
