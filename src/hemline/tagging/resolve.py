"""Joins the fields of one product into its values, by trust, and records conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hemline.tagging._text import CLAUSE, DASHES, SENTENCE, segments
from hemline.tagging.columns import Kind, Source
from hemline.tagging.matcher import Match, Matcher, Reading
from hemline.tagging.vocabulary import Attribute

#: Number of garments in one title from which none is taken.
_STUFFED = 3

Values = tuple[str, ...]


class Evidence(NamedTuple):
    """The values of one name in one field; ``open`` if they are undecided alternatives."""

    values: Values
    open: bool = False
    variants: bool = False


class Conflict(NamedTuple):
    """Contradicting values of a name; ``kept`` is empty if none is taken."""

    name: str
    kept: Values
    other: Values
    why: str


class FieldReading(NamedTuple):
    """The values of one field, its words outside the vocabulary, and its number of negations."""

    evidence: Mapping[str, Evidence]
    conflicts: tuple[Conflict, ...]
    unknown: frozenset[str]
    negated: int


class Resolver:
    """Reads fields and joins them."""

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self.attributes = matcher.vocabulary.attributes
        self.head = matcher.head
        vocabulary, rules = matcher.vocabulary, matcher.vocabulary.rules
        self.common = frozenset(vocabulary.tokens(" ".join(rules["common"])))
        self.cuts = frozenset(vocabulary.tokens(" ".join(rules["cuts"])))

    # ---------------------------------------------------------------------------- one field

    def read(self, source: Source, text: str) -> FieldReading:
        """The values of a cell."""
        if source.kind == "breadcrumbs":
            return self._path(text)
        if source.kind == "attribute":
            text = f"{source.name}: {text}"
        reading = self.matcher.read(text)
        evidence: dict[str, Evidence] = {}
        conflicts: list[Conflict] = []
        by_name: dict[str, list[Match]] = {}
        for match in reading.matches:
            by_name.setdefault(match.name, []).append(match)
        if source.kind == "attribute":
            by_name = {source.name: by_name.get(source.name, [])}
        for name, matches in by_name.items():
            if matches:
                evidence[name], conflict = self._decide(name, matches, reading, source.kind)
                if conflict is not None:
                    conflicts.append(conflict)
        return FieldReading(
            evidence, tuple(conflicts), self._unknown(reading), len(reading.negated)
        )

    def _decide(
        self, name: str, matches: list[Match], reading: Reading, kind: Kind
    ) -> tuple[Evidence, Conflict | None]:
        attribute = self.attributes[name]
        own = [f for f in matches if not f.variant]
        if not own:
            values = _distinct(matches)
            if len(values) > 1:
                return Evidence(values, True, True), Conflict(name, (), values, "variants")
            return Evidence(values), None
        if attribute.head and kind == "title":
            own = _of_title(own, reading.tokens, self.cuts)
        values = special(attribute, _distinct(own))
        if attribute.several or len(values) == 1:
            return Evidence(values), None
        if attribute.head and kind == "title":
            if len(values) >= _STUFFED:
                return Evidence(values, True), Conflict(name, (), values, "too many in one title")
            return Evidence(values[-1:]), None
        return Evidence(values[:1]), Conflict(name, values[:1], values[1:], "in one field")

    def _path(self, text: str) -> FieldReading:
        """Breadcrumbs: the last step that names a garment; ``Jackets & Coats`` stays open."""
        readings = [self.matcher.read(step) for step in segments(text)]
        evidence: dict[str, Evidence] = {}
        unknown: set[str] = set()
        for reading in readings:
            unknown |= self._unknown(reading)
            for name in {f.name for f in reading.matches}:
                values = _distinct([f for f in reading.matches if f.name == name])
                attribute = self.attributes[name]
                single = len(values) == 1 or attribute.several
                evidence[name] = Evidence(values, not single)
        return FieldReading(evidence, (), frozenset(unknown), 0)

    def _unknown(self, reading: Reading) -> frozenset[str]:
        words = frozenset(
            word
            for at, word in enumerate(reading.tokens)
            if len(word) > 2 and at not in reading.used and word.isalpha()
        )
        return words - self.common

    # --------------------------------------------------------------------------- all fields

    def join(
        self, fields: Sequence[tuple[Source, FieldReading]], kept: Mapping[str, Values]
    ) -> tuple[dict[str, Values], list[Conflict]]:
        """The values of one row, from its fields in order of trust and its own tags."""
        conflicts = [conflict for _, one in fields for conflict in one.conflicts]
        result: dict[str, Values] = {}
        names = dict.fromkeys(name for _, one in fields for name in one.evidence)
        for name in dict.fromkeys([*kept, *names]):
            values, found = self._name(name, fields, kept.get(name, ()))
            conflicts += found
            if values:
                result[name] = values
        # What one field leaves open is no conflict if another one states it.
        return result, [c for c in conflicts if c.kept or c.name not in result]

    def _name(
        self, name: str, fields: Sequence[tuple[Source, FieldReading]], kept: Values
    ) -> tuple[Values, list[Conflict]]:
        attribute = self.attributes[name]
        given = [(s.kind, one.evidence[name]) for s, one in fields if name in one.evidence]
        first = "breadcrumbs" if attribute.head else "attribute"
        given.sort(key=lambda one: one[0] != first)
        conflicts: list[Conflict] = []
        chosen = kept
        undecided: list[Values] = []
        for _, evidence in given:
            if evidence.open:
                undecided += [] if evidence.variants else [evidence.values]
            elif not chosen:
                chosen = evidence.values
            elif not self._agree(attribute, chosen, evidence.values):
                conflicts.append(Conflict(name, chosen, evidence.values, "between fields"))
            elif not kept:
                chosen = refine(attribute, chosen, evidence.values)
        if kept and attribute.several:
            fresh = next((e.values for _, e in given if not e.open), ())
            chosen = special(attribute, (*kept, *(v for v in fresh if v not in kept)))
        if not chosen and undecided:
            conflicts.append(Conflict(name, (), undecided[0], "undecided"))
        return chosen, conflicts

    def _agree(self, attribute: Attribute, one: Values, other: Values) -> bool:
        """Whether two fields are compatible: equal, or one is more specific."""
        if attribute.weak.issuperset(one) or attribute.weak.issuperset(other):
            return True
        return any(
            a == b or a in attribute.ancestors(b) or b in attribute.ancestors(a)
            for a in one
            for b in other
        )

    def complete(self, values: dict[str, Values]) -> tuple[dict[str, Values], list[str]]:
        """Adds implied values; removes names that the garment can't have."""
        todo = list(values)
        while todo:
            name = todo.pop()
            for value in values[name]:
                for tag in self.attributes[name].implies.get(value, ()):
                    other, _, implied = tag.partition("=")
                    if other not in values:
                        values[other] = (implied,)
                        todo.append(other)
        heads = {
            wide
            for value in values.get(self.head, ())
            for wide in (value, *self.attributes[self.head].ancestors(value))
        }
        misfit = [name for name in values if heads & self.attributes[name].not_for]
        return {name: v for name, v in values.items() if name not in misfit}, misfit


def special(attribute: Attribute, values: Values) -> Values:
    """Without values that another one specifies, and weak ones beside others."""
    wide = {a for value in values for a in attribute.ancestors(value)}
    left = tuple(value for value in values if value not in wide)
    return tuple(value for value in left if value not in attribute.weak) or left


def refine(attribute: Attribute, values: Values, later: Values) -> Values:
    """``values``, each replaced by one of ``later`` that specifies it; weak ones by all of them."""
    if attribute.weak.issuperset(values) and not attribute.weak.issuperset(later):
        return later
    result = [
        next((v for v in later if value in attribute.ancestors(v)), value) for value in values
    ]
    return tuple(dict.fromkeys(result))


def _distinct(matches: Sequence[Match]) -> Values:
    return tuple(dict.fromkeys(f.value for f in matches))


def _of_title(matches: list[Match], words: Sequence[str], cuts: frozenset[str]) -> list[Match]:
    """The garments of a title up to the first word that ends its subject."""
    kept = matches[:1]
    for match in matches[1:]:
        between = words[kept[-1].end : match.start]
        if any(w in cuts or w in CLAUSE or w in DASHES or w[0] in SENTENCE for w in between):
            break
        kept.append(match)
    return kept
