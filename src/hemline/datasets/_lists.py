"""List files of words separated by blanks, as columns: half a million lines in a second or two.

Any line ending, padding and a byte-order mark are allowed. Words are located in the file's bytes
by array operations; no line becomes an object of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from hemline.datasets._arrow import Floats, Ints, Mask, pa
from hemline.errors import DataError

#: Most bytes of a list file; the largest published one has about 40 million.
MAX_BYTES = 1 << 30


def read_text(file: Path, errors: str = "strict") -> bytes:
    """A list file's text as UTF-8 bytes, lines ended by ``\\n``, without a byte-order mark.

    ``errors="replace"`` accepts invalid UTF-8, for files whose text is only displayed.

    Raises:
        DataError: it is missing, not UTF-8 text, or too large.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{file} has {size:,} bytes; a list has at most {MAX_BYTES:,}")
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{file} is UTF-16 text; save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        raise DataError(f"{file} holds NUL bytes; it is damaged or no text")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if errors == "strict":
            raise DataError(f"{file}, line {line}: no UTF-8 text; save it as UTF-8") from None
        data = data.decode("utf-8", "replace").encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


@dataclass(frozen=True, slots=True)
class Lines:
    """The words of a list file's non-blank lines.

    Attributes:
        where: the file, for errors.
        data: (bytes,) the text.
        start, end: (words,) the place of each word in ``data``.
        first: (lines + 1,) the first word of each line, then the number of words.
        numbers: (lines,) each line's number in the file, from 1.
    """

    where: str
    data: npt.NDArray[np.uint8]
    start: npt.NDArray[np.int32]
    end: npt.NDArray[np.int32]
    first: Ints
    numbers: Ints

    @classmethod
    def of(cls, text: bytes, where: str, before: int = 0) -> Lines:
        """From text; ``before``: the number of lines of the file before it."""
        data = np.frombuffer(text, np.uint8)
        word = np.zeros(len(data) + 2, np.int8)
        word[1:-1] = data > 32
        edges = np.diff(word)
        start = np.flatnonzero(edges == 1).astype(np.int32)  # a text has at most MAX_BYTES
        end = np.flatnonzero(edges == -1).astype(np.int32)
        line = np.searchsorted(np.flatnonzero(data == 10).astype(np.int32), start)
        begins = np.append(True, line[1:] != line[:-1])[: len(line)]
        first = np.flatnonzero(begins)
        return cls(where, data, start, end, np.append(first, len(start)), line[first] + 1 + before)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def counts(self) -> Ints:
        """(lines,) number of words."""
        return np.diff(self.first)

    def take(self, rows: Any) -> Lines:
        """Some of the lines: a slice, a mask (lines,) or indices."""
        at = np.arange(len(self))[rows]
        counts = self.counts[at]
        stop = np.cumsum(counts)
        within = np.arange(int(counts.sum())) - np.repeat(stop - counts, counts)
        word = np.repeat(self.first[at], counts) + within
        first = np.append(0, stop)
        return Lines(
            self.where, self.data, self.start[word], self.end[word], first, self.numbers[at]
        )

    def expect(self, words: int, what: str) -> Lines:
        """Checks that every line has ``words`` words, and returns the same lines.

        Raises:
            DataError: a line has another number of them.
        """
        wrong = np.flatnonzero(self.counts != words)
        if len(wrong):
            self.fail(int(wrong[0]), f"{self.counts[wrong[0]]} words; expected {words}: {what}")
        return self

    def at_least(self, words: int, what: str) -> Lines:
        """Checks that every line has at least ``words`` words, and returns the same lines.

        Raises:
            DataError: a line has fewer.
        """
        short = np.flatnonzero(self.counts < words)
        if len(short):
            self.fail(int(short[0]), f"has {self.counts[short[0]]} words; expected {what}")
        return self

    def fail(self, line: int, text: str) -> NoReturn:
        """Raises DataError, which names the file and the line."""
        words = [self.word(line, k)[:60] for k in range(min(4, int(self.counts[line])))]
        raise DataError(f"{self.where}, line {self.numbers[line]}: {' '.join(words)!r} {text}")

    def word(self, line: int, k: int) -> str:
        """One word; ``k`` counts from the line's first."""
        at = self.first[line] + k
        return bytes(self.data[self.start[at] : self.end[at]]).decode("utf-8", "replace")

    def text(self, line: int, start: int, stop: int) -> str:
        """Words ``start`` to ``stop`` of one line, with the blanks between them made one."""
        count = int(self.counts[line])
        return " ".join(self.word(line, k) for k in range(*slice(start, stop).indices(count)))

    def column(self, k: int) -> Any:
        """The word ``k`` of every line → strings (lines,)."""
        at = self.first[:-1] + k
        start = self.start[at].astype(np.int64)
        size = self.end[at] - start
        offsets = np.append(0, np.cumsum(size))
        byte = np.arange(int(offsets[-1])) + np.repeat(start - offsets[:-1], size)
        letters = np.ascontiguousarray(self.data[byte])
        return pa.StringArray.from_buffers(
            len(self), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(letters)
        )

    def integers(self, k: int, words: int = 1) -> tuple[Ints, Mask]:
        """Words ``k`` to ``k + words`` of every line (lines, words) as whole numbers of at most
        nine digits, and which of them are such numbers (0 where they aren't).
        """
        at = (self.first[:-1, None] + np.arange(k, k + words)).ravel()
        start, end = self.start[at], self.end[at]
        signed = np.isin(self.data[start], (43, 45))
        negative = self.data[start] == 45
        start = start + signed
        size = end - start
        good = (size > 0) & (size <= 9)
        value = np.zeros(len(at), np.int64)
        for place in range(int(size[good].max(initial=0))):
            here = np.flatnonzero(good & (size > place))
            digit = self.data[start[here] + place].astype(np.int64) - 48
            good[here[(digit < 0) | (digit > 9)]] = False
            value[here] = value[here] * 10 + digit
        value = np.where(good, np.where(negative, -value, value), 0)
        shape = (len(self), words)
        return value.reshape(shape), good.reshape(shape)

    def numbers_at(self, k: int, words: int) -> Floats:
        """Words ``k`` to ``k + words`` of every line (lines, words); NaN where one is no number."""
        whole, good = self.integers(k, words)
        values = whole.astype(np.float64)
        for line, j in zip(*np.nonzero(~good), strict=True):
            try:
                values[line, j] = float(self.word(int(line), k + int(j)))
            except ValueError:
                values[line, j] = np.nan
        return values

    def choices(self, k: int, known: tuple[int, ...], what: str) -> Ints:
        """The word ``k`` of every line (lines,), one of the whole numbers ``known``.

        Raises:
            DataError: a line has another one.
        """
        values, good = self.integers(k)
        wrong = np.flatnonzero(~good[:, 0] | ~np.isin(values[:, 0], known))
        if len(wrong):
            allowed = ", ".join(map(str, known))
            self.fail(
                int(wrong[0]), f"has the {what} {self.word(int(wrong[0]), k)!r}, none of {allowed}"
            )
        return values[:, 0]


def blocks(text: bytes, lines: int) -> Iterator[tuple[bytes, int]]:
    """The text in pieces of ``lines`` lines, each with the number of lines before it."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 10)
    at = 0
    for before in range(0, len(ends) + 1, lines):
        last = before + lines - 1
        stop = int(ends[last]) + 1 if last < len(ends) else len(text)
        if stop > at:
            yield text[at:stop], before
        at = stop
