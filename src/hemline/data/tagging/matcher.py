"""Text → which values its words mean.

A trie of the vocabulary's phrases is walked once over the tokens: half a million titles take
seconds. The longest phrase wins; then the rules' phrases take out what isn't said of the product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from hemline.data.tagging._text import CLAUSE, EQUALS, SENTENCE, fold, tokens
from hemline.data.tagging.vocabulary import Vocabulary

#: How many words may stand for "...", between a negation and its word, and before a part.
GAP, REACH = 2, 4
#: Words of a clause after a label, or before "sold separately", at most.
CLAUSE_WORDS = 40
#: Rules whose words aren't looked for in texts.
_PLAIN_RULES = ("fillers", "common", "cuts")
_END = "\0"  # the key of a node's entries: no token holds it


class Found(NamedTuple):
    """One value that a text's words mean: tokens ``start`` to ``end``, or a variant's."""

    name: str
    value: str
    start: int
    end: int
    variant: bool = False


@dataclass(slots=True)
class Reading:
    """What a text says.

    Attributes:
        found: its values in the order of their words.
        tokens: all of them.
        used: numbers of the tokens that the vocabulary knows in any way.
        negated: values that the text says the product hasn't.
    """

    found: list[Found]
    tokens: list[str]
    used: set[int]
    negated: list[Found]


class _Entry(NamedTuple):
    kind: str  # tag, label, or a rule's name
    name: str = ""
    value: str = ""
    tail: tuple[str, ...] = ()  # tokens that must follow within GAP words
    tail_name: str = ""  # or a word of this name


class _Span(NamedTuple):
    start: int
    end: int
    entries: tuple[_Entry, ...]


class Matcher:
    """Reads texts by a vocabulary; build it once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._root: dict[str, Any] = {}
        self._own: dict[str, dict[tuple[str, ...], str]] = {}
        self._endings: list[tuple[str, str, str]] = []
        self._parts: dict[str, frozenset[tuple[str, ...]]] = {}
        self.head = vocabulary.head
        self._fillers = {
            token for words in vocabulary.rules["fillers"] for token in self._tokens(words)
        }
        for kind, words in vocabulary.rules.items():
            for word in words if kind not in _PLAIN_RULES else ():
                self._add(word, _Entry(kind))
        self._labels = {
            self._tokens(label): name
            for name, attribute in vocabulary.attributes.items()
            for label in (*attribute.labels, name.replace("_", " "), name)
        }
        self._heads = {
            self._tokens(word): value
            for attribute in vocabulary.attributes.values()
            if attribute.head
            for value, words in attribute.values.items()
            for word in words
        }
        for name, attribute in vocabulary.attributes.items():
            own = self._own.setdefault(name, {})
            for label in (name, *attribute.labels):
                self._add(label, _Entry("label", name))
            for value, words in attribute.values.items():
                own.setdefault(self._tokens(value), value)
                for noun in attribute.nouns:
                    self._add(f"{value} {noun}", _Entry("tag", name, value), only_new=True)
                for word in words:
                    if not (attribute.head and self._needless(value, word)):
                        self._add(word, _Entry("tag", name, value))
                    if "..." not in word:
                        own.setdefault(self._tokens(word), value)
                for ending in attribute.endings.get(value, ()):
                    self._endings.append((fold(ending, vocabulary.letters), name, value))
            self._parts[name] = frozenset(self._tokens(w) for w in attribute.not_before)
        # Plurals come last, so that a word that is listed keeps its own meaning.
        for name, attribute in vocabulary.attributes.items():
            for value, words in attribute.values.items() if attribute.plurals else ():
                for word in words:
                    if attribute.head and self._needless(value, word):
                        continue
                    self._add(_plural(word), _Entry("tag", name, value), only_new=True)
        self._endings.sort(key=lambda ending: -len(ending[0]))
        self.compound = lru_cache(maxsize=65536)(self._compound)

    def _tokens(self, text: str) -> tuple[str, ...]:
        return tuple(tokens(fold(text, self.vocabulary.letters)))

    def _needless(self, value: str, phrase: str) -> bool:
        """Whether a garment's phrase means no more than its end: ``bodycon dress``.

        As a phrase it would only hide what its other words mean. ``shirt dress`` isn't needless.
        """
        words = self._tokens(phrase)
        meant = {
            (end == len(words), self._heads[words[start:end]])
            for start in range(len(words))
            for end in range(start + 1, len(words) + 1)
            if end - start < len(words) and words[start:end] in self._heads
        }
        return (True, value) in meant and all(other == value for _, other in meant)

    def _add(self, phrase: str, entry: _Entry, only_new: bool = False) -> None:
        head, dots, tail = phrase.partition("...")
        if dots:
            tail = tail.strip()
            if tail.startswith("{"):
                entry = entry._replace(tail_name=tail.strip("{} "))
            else:
                entry = entry._replace(tail=self._tokens(tail))
        node = self._root
        for token in self._tokens(head):
            node = node.setdefault(token, {})
        had: tuple[_Entry, ...] = node.get(_END, ())
        if only_new and any(
            e.kind == "tag" and e.name == entry.name and e.tail == entry.tail for e in had
        ):
            return
        if entry not in had:
            node[_END] = (*had, entry)

    # ---------------------------------------------------------------------------------- reading

    def read(self, text: str) -> Reading:
        """What ``text`` says, without regard to what kind of text it is."""
        words = tokens(fold(text, self.vocabulary.letters))
        spans = self._spans(words)
        found, negated = self._judge(words, spans)
        used = {at for span in spans for at in range(span.start, span.end)}
        return Reading(found, words, used, negated)

    def value(self, name: str, text: str) -> str:
        """The value of ``name`` that the whole ``text`` is a word for, or empty."""
        return self._own.get(name, {}).get(self._tokens(text), "")

    def label(self, text: str) -> str:
        """The name that ``text`` is, or is a label of; or empty."""
        return self._labels.get(self._tokens(text), "")

    def _spans(self, words: Sequence[str]) -> list[_Span]:
        candidates: list[_Span] = []
        root = self._root
        overlap, last = False, 0
        for start, word in enumerate(words):
            node = root.get(word)
            if node is None and word.isdigit():
                node = root.get("#")
            if node is None:
                if self._endings and len(word) > 3:
                    candidates += self._compounds(word, start)
                continue
            for end, entries in self._walk(words, start, node):
                candidates.append(_Span(start, end, entries))
                overlap |= start < last
                last = max(last, end)
        return self._longest(words, candidates) if overlap else candidates

    def _walk(
        self, words: Sequence[str], start: int, node: Mapping[str, Any]
    ) -> Iterable[tuple[int, tuple[_Entry, ...]]]:
        """The ends of all phrases that begin with the token ``start``, and what they mean."""
        level = [node]
        end = start + 1
        while level:
            for one in level:
                entries = one.get(_END)
                if entries is None:
                    continue
                if any(e.tail or e.tail_name or e.kind == "label" for e in entries):
                    entries = self._nearest(words, end, entries)
                if entries:
                    yield end, entries
            if end >= len(words):
                return
            word = words[end]
            level = [
                below
                for one in level
                for below in (one.get(word), one.get("#") if word.isdigit() else None)
                if below is not None
            ]
            end += 1

    def _nearest(
        self, words: Sequence[str], end: int, entries: tuple[_Entry, ...]
    ) -> tuple[_Entry, ...]:
        """The entries whose condition holds; of several "..." only those that end first."""
        far = [self._follows(words, end, entry) for entry in entries]
        first = min((f for f in far if f > 0), default=0)
        return tuple(e for e, f in zip(entries, far, strict=True) if f in (0, first))

    def _follows(self, words: Sequence[str], end: int, entry: _Entry) -> int:
        """0 where nothing must follow, else how far away it stands from 1, or -1: it doesn't."""
        if entry.kind == "label":
            return 0 if end < len(words) and words[end] in EQUALS else -1
        if not entry.tail and not entry.tail_name:
            return 0
        for at in range(end, min(end + GAP + 1, len(words))):
            if words[at] in CLAUSE or words[at][0] in SENTENCE:
                break
            if entry.tail and _plain(words[at : at + len(entry.tail)]) == entry.tail:
                return at - end + 1
            if entry.tail_name and any(
                e.kind == "tag" and e.name == entry.tail_name
                for _, entries in self._walk(words, at, self._root.get(words[at], {}))
                for e in entries
            ):
                return at - end + 1
        return -1

    def _longest(self, words: Sequence[str], candidates: list[_Span]) -> list[_Span]:
        """Of phrases that overlap the longest, the first of the same length; heads may stay."""
        candidates.sort(key=lambda s: (s.start - s.end, s.start))
        owner: dict[int, _Span] = {}
        kept: list[_Span] = []
        for span in candidates:
            over = [owner[at] for at in range(span.start, span.end) if at in owner]
            if over:
                head = tuple(e for e in span.entries if e.kind == "tag" and e.name == self.head)
                outer = over[0]
                inside = all(one is outer for one in over) and outer.end == span.end
                if not (head and inside and self._bears_head(outer)):
                    continue
                span = _Span(span.start, span.end, head)
            for at in range(span.start, span.end):
                owner[at] = span
            kept.append(span)
        return sorted(kept)

    def _bears_head(self, span: _Span) -> bool:
        """Whether a phrase may leave its last word to the head name: tags of other names only."""
        return all(e.kind == "tag" and e.name != self.head for e in span.entries)

    def _compounds(self, word: str, at: int) -> list[_Span]:
        entries = self.compound(word)
        return [_Span(at, at + 1, entries)] if entries else []

    def _compound(self, word: str) -> tuple[_Entry, ...]:
        """``blumenkleid``: the ending's value, and what the word before it means."""
        for ending, name, value in self._endings:
            if not word.endswith(ending) or len(word) == len(ending):
                continue
            entries = [_Entry("tag", name, value)]
            before = word[: -len(ending)]
            for part in (before, before[:-1], before[:-2]):
                node = self._root.get(part)
                if node is not None and _END in node:
                    entries += [e for e in node[_END] if e.kind == "tag" and not e.tail]
                    break
            return tuple(entries)
        return ()

    # ---------------------------------------------------------------------------------- judging

    def _judge(
        self, words: Sequence[str], spans: Sequence[_Span]
    ) -> tuple[list[Found], list[Found]]:
        found: list[Found] = []
        negated: list[Found] = []
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
                Found(e.name, e.value, span.start, span.end, span.start < variants_to)
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
        """The last token that a word which is negated may begin with."""
        at = end
        while at < min(end + REACH, len(words)) and words[at] in self._fillers:
            at += 1
        return at

    def _of_part(self, words: Sequence[str], end: int, name: str, begins: set[int]) -> bool:
        """Whether a small part follows (``gold buttons``), and no longer phrase (``zip-up``)."""
        parts = self._parts.get(name)
        if not parts or end >= len(words) or end in begins:
            return False
        return any(tuple(words[end : end + size]) in parts for size in (1, 2))

    def _labelled(self, words: Sequence[str], span: _Span, found: list[Found]) -> int:
        """Reads ``Sleeve length: long`` by the values' own names; gives where the clause ends."""
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
                        found.append(Found(name, value, at, stop))
                        at = stop
                        break
                else:
                    at += 1
        return end


def _plural(phrase: str) -> str:
    """``polka dot`` → ``polka dots``; the last word only."""
    if phrase.endswith(("s", "x", "ch", "sh")):
        return phrase + "es"
    if phrase.endswith("y") and phrase[-2:-1] not in "aeiou":
        return phrase[:-1] + "ies"
    return phrase + "s"


def _plain(words: Sequence[str]) -> tuple[str, ...]:
    """For the word after "...": an English plural is as good as the word."""
    *most, last = words or ("",)
    return (*most, last[:-1] if last.endswith("s") and not last.endswith("ss") else last)


def _rest(words: Sequence[str], at: int) -> int:
    """The end of the sentence, or of the brackets, that the token ``at`` stands in."""
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
    """``not black or white``: the negation holds for what follows."""
    return at < len(words) and words[at] in ("or", "nor")
