"""The vocabulary's phrases as a trie, matched over a text's tokens; the longest match wins.

Half a million titles take half a minute: most tokens begin no phrase and cost one lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from hemline.tagging._text import CLAUSE, EQUALS, SENTENCE, fold
from hemline.tagging.vocabulary import Vocabulary

#: Most words that "..." stands for.
GAP = 2
#: Rules whose words are not matched in texts.
_PLAIN_RULES = ("fillers", "common", "cuts")
_END = "\0"  # the key of a node's entries; no token contains it


class Entry(NamedTuple):
    """The meaning of a phrase, and what must follow it."""

    kind: str  # tag, label, or a rule's name
    name: str = ""
    value: str = ""
    tail: tuple[str, ...] = ()  # tokens that must follow within GAP words
    tail_name: str = ""  # or a word of this name


class Span(NamedTuple):
    """A phrase at the tokens ``start`` to ``end`` of a text."""

    start: int
    end: int
    entries: tuple[Entry, ...]


class Phrases:
    """Locates phrases in tokens.

    Attributes:
        own: name → the tokens that are a word of it, or a value's own name → the value.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = vocabulary.tokens
        self._root: dict[str, Any] = {}
        self.own: dict[str, dict[tuple[str, ...], str]] = {}
        self._endings: list[tuple[str, str, str]] = []
        self.head = vocabulary.head
        for kind, words in vocabulary.rules.items():
            for word in words if kind not in _PLAIN_RULES else ():
                self._add(word, Entry(kind))
        self._heads = {
            self._tokens(word): value
            for attribute in vocabulary.attributes.values()
            if attribute.head
            for value, words in attribute.values.items()
            for word in words
        }
        for name, attribute in vocabulary.attributes.items():
            own = self.own.setdefault(name, {})
            for label in (name, *attribute.labels):
                self._add(label, Entry("label", name))
            for value, words in attribute.values.items():
                own.setdefault(self._tokens(value), value)
                for noun in attribute.nouns:
                    self._add(f"{value} {noun}", Entry("tag", name, value), only_new=True)
                for word in words:
                    if not (attribute.head and self._needless(value, word)):
                        self._add(word, Entry("tag", name, value))
                    if "..." not in word:
                        own.setdefault(self._tokens(word), value)
                for ending in attribute.endings.get(value, ()):
                    self._endings.append((fold(ending, vocabulary.letters), name, value))
        # Plurals come last, so that a word that is listed keeps its own meaning.
        for name, attribute in vocabulary.attributes.items():
            for value, words in attribute.values.items() if attribute.plurals else ():
                for word in words:
                    if attribute.head and self._needless(value, word):
                        continue
                    self._add(_plural(word), Entry("tag", name, value), only_new=True)
        self._endings.sort(key=lambda ending: -len(ending[0]))
        self.compound = lru_cache(maxsize=65536)(self._compound)

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

    def _add(self, phrase: str, entry: Entry, only_new: bool = False) -> None:
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
        had: tuple[Entry, ...] = node.get(_END, ())
        if only_new and any(
            e.kind == "tag" and e.name == entry.name and e.tail == entry.tail for e in had
        ):
            return
        if entry not in had:
            node[_END] = (*had, entry)

    def spans(self, words: Sequence[str]) -> list[Span]:
        candidates: list[Span] = []
        root = self._root
        overlap, last = False, 0
        for start, word in enumerate(words):
            node = root.get(word)
            if word.isdigit() and "#" in root:
                level = [root["#"]] if node is None else [node, root["#"]]
            elif node is not None:
                level = [node]
            else:
                if self._endings and len(word) > 3:
                    candidates += self._compounds(word, start)
                continue
            for end, entries in self._walk(words, start, level):
                candidates.append(Span(start, end, entries))
                overlap |= start < last
                last = max(last, end)
        return self._longest(words, candidates) if overlap else candidates

    def _walk(
        self, words: Sequence[str], start: int, level: list[dict[str, Any]]
    ) -> Iterable[tuple[int, tuple[Entry, ...]]]:
        """The ends of all phrases that begin with the token ``start``, and what they mean."""
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
        self, words: Sequence[str], end: int, entries: tuple[Entry, ...]
    ) -> tuple[Entry, ...]:
        """The entries whose condition holds; of several "..." only those that end first."""
        far = [self._follows(words, end, entry) for entry in entries]
        first = min((f for f in far if f > 0), default=0)
        return tuple(e for e, f in zip(entries, far, strict=True) if f in (0, first))

    def _follows(self, words: Sequence[str], end: int, entry: Entry) -> int:
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
                for _, entries in self._walk(words, at, [self._root.get(words[at], {})])
                for e in entries
            ):
                return at - end + 1
        return -1

    def _longest(self, words: Sequence[str], candidates: list[Span]) -> list[Span]:
        """Of phrases that overlap the longest, the first of the same length; heads may stay."""
        candidates.sort(key=lambda s: (s.start - s.end, s.start))
        owner: dict[int, Span] = {}
        kept: list[Span] = []
        for span in candidates:
            over = [owner[at] for at in range(span.start, span.end) if at in owner]
            if over:
                head = tuple(e for e in span.entries if e.kind == "tag" and e.name == self.head)
                outer = over[0]
                inside = all(one is outer for one in over) and outer.end == span.end
                if not (head and inside and self._bears_head(outer)):
                    continue
                span = Span(span.start, span.end, head)
            for at in range(span.start, span.end):
                owner[at] = span
            kept.append(span)
        return sorted(kept)

    def _bears_head(self, span: Span) -> bool:
        """Whether a phrase may leave its last word to the head name: tags of other names only."""
        return all(e.kind == "tag" and e.name != self.head for e in span.entries)

    def _compounds(self, word: str, at: int) -> list[Span]:
        entries = self.compound(word)
        return [Span(at, at + 1, entries)] if entries else []

    def _compound(self, word: str) -> tuple[Entry, ...]:
        """``blumenkleid``: the ending's value, and what the word before it means."""
        for ending, name, value in self._endings:
            if not word.endswith(ending) or len(word) == len(ending):
                continue
            entries = [Entry("tag", name, value)]
            before = word[: -len(ending)]
            for part in (before, before[:-1], before[:-2]):
                node = self._root.get(part)
                if node is not None and _END in node:
                    entries += [e for e in node[_END] if e.kind == "tag" and not e.tail]
                    break
            return tuple(entries)
        return ()


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
