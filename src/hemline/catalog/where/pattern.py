"""LIKE patterns, matched without backtracking.

A pattern is cut at its %. The first and the last piece are compared with the text's ends, each
other one is found at its first place after the piece before. The first place is always good enough,
so nothing is tried twice: a text of n characters costs O(n m / 64) for a pattern of m at most.
"""

from __future__ import annotations

import functools
import re

from hemline.budget import check_time

_PART = 1 << 16  # characters of a long text between two looks at the clock


class Pattern:
    """A pattern of % (any text) and _ (any character); upper and lower case are equal.

    There is no escape character, as in SQLite without ESCAPE.
    """

    def __init__(self, pattern: str) -> None:
        self._folded = re.sub("%+", "%", fold(pattern))
        pieces = [_Piece(piece) for piece in self._folded.split("%")]
        self._first, self._last = pieces[0], pieces[-1]
        self._whole = len(pieces) == 1
        self._middle = [piece for piece in pieces[1:-1] if piece.length]

    def matches(self, text: str) -> bool:
        """Whether the pattern matches the whole text."""
        if len(text) > _PART:
            check_time()  # a second for twenty megabytes that aren't ASCII
        text = fold(text)
        place, end = self._first.length, len(text) - self._last.length
        if self._whole:
            return end == 0 and self._first.at(text, 0)
        if place > end or not (self._first.at(text, 0) and self._last.at(text, end)):
            return False
        for piece in self._middle:
            place = piece.find(text, place, end)
            if place < 0:
                return False
        return True

    def ascii_regex(self) -> str | None:
        """The same for RE2 and texts of ASCII; None where the pattern can't match any of them."""
        if not self._folded.isascii():
            return None
        pieces = (re.escape(piece).replace("_", ".") for piece in self._folded.split("%"))
        return rf"(?is)\A(?:{'.*'.join(pieces)})\z"


class _Piece:
    """A part of a pattern without %."""

    def __init__(self, text: str) -> None:
        self.length = len(text)
        self._text = text
        self._wild = sum(1 << i for i, c in enumerate(text) if c == "_")
        self._bits: dict[str, int] = {}
        if self._wild:
            for i, c in enumerate(text):
                self._bits[c] = self._bits.get(c, self._wild) | 1 << i

    def at(self, text: str, place: int) -> bool:
        """Whether the text has it at a place."""
        if not self._wild:
            return text.startswith(self._text, place)
        there = text[place : place + self.length]
        return len(there) == self.length and all(
            own in ("_", c) for own, c in zip(self._text, there, strict=True)
        )

    def find(self, text: str, start: int, end: int) -> int:
        """The end of its first place in ``text[start:end]``, or -1."""
        if not self._wild:
            found = text.find(self._text, start, end)
            return found if found < 0 else found + self.length
        # Shift-And (Baeza-Yates and Gonnet 1992): bit i says whether the first i + 1 match here.
        state, last = 0, 1 << self.length - 1
        for first in range(start, end, _PART):
            check_time()
            for place in range(first, min(first + _PART, end)):
                state = (state << 1 | 1) & self._bits.get(text[place], self._wild)
                if state & last:
                    return place + 1
        return -1


@functools.lru_cache(256)
def compiled(pattern: str) -> Pattern:
    """The pattern, ready to be matched with many texts."""
    return Pattern(pattern)


def fold(text: str) -> str:
    """The text with one form of each letter; as long as it was, so that _ stays one character."""
    return text.lower() if text.isascii() else text.translate(_folds())


@functools.cache
def _folds() -> dict[int, str]:
    """Each character that isn't its own folded form, by Unicode's simple case folding.

    The dotted and the dotless I equal I, as in Python's regular expressions.
    """
    folds = {}
    for code in range(0x20000):  # beyond there are no letters with a case
        character = chr(code)
        for small in (character.casefold(), character.lower()):
            if len(small) == 1:
                folds[code] = small
                break
        if folds.get(code) == character:
            del folds[code]
    return folds | {ord("İ"): "i", ord("ı"): "i"}
