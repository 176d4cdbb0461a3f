"""Text → tokens: words, numbers and the marks that separate sentences and clauses."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping

#: Words, numbers (with decimals), and marks; a hyphen separates clauses only if it stands alone.
_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[^\W\d_]+|[.!?;|•·…\n\r]+|[:=>›»→,()\[\]+/&\"“”#]|(?<=\s)[-–—]+(?=\s)"
)
_BLOCK = re.compile(r"</?(?:p|br|li|ul|ol|div|tr|td|h[1-6])\b[^>]*>", re.IGNORECASE)
_MARKUP = re.compile(r"<[a-zA-Z/!][^>]*>")
_SEGMENT = re.compile(r"\s*(?:[>›»→|\\\n]|::)\s*")

#: First letters of tokens that end a sentence.
SENTENCE = frozenset(".!?;|•·…\n\r")
#: Tokens that end a clause but no sentence.
CLAUSE = frozenset((",", "(", ")", "[", "]", "+", "/", '"', "“", "”", ">", "›", "»", "→"))
#: Separators of a title's parts.
DASHES = frozenset("-–—")
#: After a label: ``Colour: red``.
EQUALS = frozenset(":=")


def fold(text: str, letters: Mapping[int, str]) -> str:
    """NFKC, case-folded, without markup; ``letters`` replaces letters as `str.translate` does."""
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _MARKUP.sub(" ", _BLOCK.sub(" . ", text))
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFC", text).translate(letters)


def tokens(folded: str) -> list[str]:
    """The tokens of a folded text; ``&`` is ``and``."""
    found = _TOKEN.findall(folded)
    if "&" in found:
        found = ["and" if token == "&" else token for token in found]
    return found


def segments(text: str) -> list[str]:
    """The steps of a breadcrumb path, widest first: ``Women > Dresses > Midi``."""
    parts = _SEGMENT.split(text)
    if len(parts) == 1:
        parts = text.split("/")
    return [part for part in (part.strip() for part in parts) if part]
