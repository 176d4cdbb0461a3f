"""Matches text against a vocabulary: text → values.

The vocabulary's phrases are located first (`_phrases`); then its rules remove what doesn't describe
the product: negated values, other garments, sizes, variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hemline.tagging._phrases import Phrases, Span
from hemline.tagging._text import CLAUSE, SENTENCE, fold, tokens
from hemline.tagging.vocabulary import Vocabulary

#: Most filler words between a negation and its word.
REACH = 4
#: Most words of a clause after a label, or before "sold separately".
CLAUSE_WORDS = 40


class Match(NamedTuple):
    """A value at the tokens ``start`` to ``end`` of a text; or a variant among several."""

    name: str
    value: str
    start: int
    end: int
    variant: bool = False


@dataclass(slots=True)
class Reading:
    """The values of a text.

    Attributes:
        matches: values in the order of the text.
        tokens: all tokens.
        used: indices of the tokens that the vocabulary knows.
        negated: values that the text negates.
    """

    matches: list[Match]
    tokens: list[str]
    used: set[int]
    negated: list[Match]


class Matcher:
    """Reads texts by a vocabulary; expensive to build, reuse it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.head = vocabulary.head
        self._phrases = Phrases(vocabulary)
        self._own = self._phrases.own
        self._labels = {
            vocabulary.tokens(label): name
            for name, attribute in vocabulary.attributes.items()
            for label in (*attribute.labels, name.replace("_", " "), name)
        }
        self._fillers = {
            token for words in vocabulary.rules["fillers"] for token in vocabulary.tokens(words)
        }
        self._parts = {
            name: frozenset(vocabulary.tokens(word) for word in attribute.not_before)
            for name, attribute in vocabulary.attributes.items()
        }

    # ---------------------------------------------------------------------------------- reading

    def read(self, text: str) -> Reading:
        """The values of ``text``, whatever its kind."""
        words = tokens(fold(text, self.vocabulary.letters))
        spans = self._phrases.spans(words)
        found, negated = self._judge(words, spans)
        used = {at for span in spans for at in range(span.start, span.end)}
        return Reading(found, words, used, negated)

    def value(self, name: str, text: str) -> str:
        """The value of ``name`` that the whole ``text`` stands for, or empty."""
        return self._own.get(name, {}).get(self.vocabulary.tokens(text), "")

    def label(self, text: str) -> str:
        """The name that ``text`` is, or is a label of; or empty."""
        return self._labels.get(self.vocabulary.tokens(text), "")

    # ---------------------------------------------------------------------------------- judging

    def _judge(
        self, words: Sequence[str], spans: Sequence[Span]
    ) -> tuple[list[Match], list[Match]]:
        found: list[Match] = []
        negated: list[Match] = []
        muted_to = variants_to = labelled_to = 0
        begins = {s.start for s in spans if s.end - s.start > 1}
        no_until = -1  # a word that begins here or before is negated
        for span in spans:
            kinds = {e.kind for e in span.entries}
            if "ignore" in kinds:
                continue
            if "label" in kinds and span.start >= muted_to:
                labelled_to = self._labelled(words, span, found)
                continue
            if span.start < labelled_to and any(
                f.start <= span.start < f.end for f in found[-CLAUSE_WORDS:]
            ):
                continue
            if "ignore_rest" in kinds:
                if span.start >= muted_to:
                    muted_to = _rest(words, span.end)
            elif "ignore_before" in kinds:
                begin = _clause_start(words, span.start)
                while found and found[-1].start >= begin:
                    found.pop()
            elif "variants" in kinds and span.start >= max(muted_to, variants_to):
                variants_to = _rest(words, span.end)
            elif "negations" in kinds:
                no_until = self._negation(words, span.end)
            if span.start < muted_to or "tag" not in kinds:
                continue
            tags = [
                Match(e.name, e.value, span.start, span.end, span.start < variants_to)
                for e in span.entries
                if e.kind == "tag" and not self._of_part(words, span.end, e.name, begins)
            ]
            if span.start <= no_until:
                negated += tags
                no_until = self._negation(words, span.end) if _goes_on(words, span.end) else -1
            else:
                found += tags
        found.sort(key=lambda f: f.start)
        return found, negated

    def _negation(self, words: Sequence[str], end: int) -> int:
        """The last token at which a negated word may begin."""
        at = end
        while at < min(end + REACH, len(words)) and words[at] in self._fillers:
            at += 1
        return at

    def _of_part(self, words: Sequence[str], end: int, name: str, begins: set[int]) -> bool:
        """Whether a part follows (``gold buttons``), and not a longer phrase (``zip-up``)."""
        parts = self._parts.get(name)
        if not parts or end >= len(words) or end in begins:
            return False
        return any(tuple(words[end : end + size]) in parts for size in (1, 2))

    def _labelled(self, words: Sequence[str], span: Span, found: list[Match]) -> int:
        """Reads ``Sleeve length: long`` by the values' own names → the end of the clause."""
        begin = span.end + 1
        end = begin
        last = min(len(words), begin + CLAUSE_WORDS)
        while end < last and words[end][0] not in SENTENCE and words[end] != ",":
            end += 1
        for name in {e.name for e in span.entries if e.kind == "label"}:
            own = self._own[name]
            at = begin
            while at < end:
                for stop in range(min(end, at + 5), at, -1):
                    value = own.get(tuple(words[at:stop]))
                    if value is not None:
                        found.append(Match(name, value, at, stop))
                        at = stop
                        break
                else:
                    at += 1
        return end


def _rest(words: Sequence[str], at: int) -> int:
    """The end of the sentence, or of the brackets, around the token ``at``."""
    depth = 0
    while at < len(words):
        word = words[at]
        if word[0] in SENTENCE:
            break
        depth += (word == "(") - (word == ")")
        if depth < 0:
            break
        at += 1
    return at


def _clause_start(words: Sequence[str], at: int) -> int:
    least = max(0, at - CLAUSE_WORDS)
    while at > least and words[at - 1] not in CLAUSE and words[at - 1][0] not in SENTENCE:
        at -= 1
    return at


def _goes_on(words: Sequence[str], at: int) -> bool:
    """``not black or white``: whether the negation extends to what follows."""
    return at < len(words) and words[at] in ("or", "nor")
