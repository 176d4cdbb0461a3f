"""The report of tagging: coverage, counts, conflicts, unknown words, a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute

from hemline.data.manifest import Manifest
from hemline.tagging.clean import Merge
from hemline.tagging.columns import Source
from hemline.tagging.matcher import Matcher
from hemline.tagging.resolve import Conflict, FieldReading

#: Untyped: its published types lag behind its functions.
pc: Any = pyarrow.compute

#: Most examples of a kind of conflict, and most proposed words.
_EXAMPLES, _WORDS = 5, 50
#: Rows a word must be in to be proposed.
_FREQUENT = 3


@dataclass(frozen=True, slots=True)
class Report:
    """The report of tagging.

    Attributes:
        rows: rows of the manifest.
        tagged: rows with a tag of the vocabulary's names.
        columns: columns that were read.
        not_read: text column → why it was not read.
        names: name → share of rows that have it, and its values with their rows.
        conflicts: kind and name → count and examples.
        negated: number of negated values.
        overruled: values of customers' text that the shop's own contradicts or already states.
        misfit: name → values left out, as the garment can't have it.
        merged, rare, dropped: tags that became others or were removed, with their products.
        constant: tags that every row has.
        words: frequent words outside the vocabulary, with their rows and an example.
        sample: text and tags of some rows.
    """

    rows: int
    tagged: int
    columns: list[dict[str, str]]
    not_read: dict[str, str]
    names: dict[str, Any]
    conflicts: dict[str, Any]
    negated: int
    overruled: int
    misfit: dict[str, int]
    merged: list[dict[str, Any]]
    rare: list[dict[str, Any]]
    dropped: list[dict[str, Any]]
    constant: list[str]
    words: list[dict[str, Any]]
    sample: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True)
class Tally:
    """Counts while rows are read."""

    sample: int
    seen: int = 0
    negated: int = 0
    overruled: int = 0
    misfit: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    where: dict[str, str] = field(default_factory=dict)

    def row(
        self,
        cells: Mapping[str, Any],
        sources: Sequence[Source],
        fields: Sequence[tuple[Source, FieldReading]],
        conflicts: Sequence[Conflict],
    ) -> None:
        """Counts one row."""
        self.seen += 1
        unknown: set[str] = set()
        for source, reading in fields:
            self.negated += reading.negated
            if source.kind != "breadcrumbs":
                for word in reading.unknown - unknown:
                    if word not in self.words:
                        self.where[word] = _short(_text(cells, source))
                unknown |= reading.unknown
        self.words.update(unknown)
        for conflict in conflicts:
            key = (conflict.why, conflict.name)
            self.conflicts[key] += 1
            examples = self.examples.setdefault(key, [])
            if len(examples) < _EXAMPLES:
                examples.append(
                    {
                        "image_id": cells["image_id"],
                        "kept": list(conflict.kept),
                        "other": list(conflict.other),
                        "text": [_short(_text(cells, source)) for source, _ in fields],
                    }
                )

    def report(
        self,
        made: Manifest,
        sources: Sequence[Source],
        left: Mapping[str, str],
        matcher: Matcher,
        changes: Mapping[str, Mapping[str, Merge]],
    ) -> Report:
        """The report of the tagged manifest; `changes` are those merged, rare and dropped."""
        merged, rare, dropped = (
            [one._asdict() for one in sorted(changes[name].values())]
            for name in ("merged", "rare", "dropped")
        )
        tags = made.table["tags"]
        flat = pc.list_flatten(tags).combine_chunks()
        counts = _counts(flat)
        parents = pc.list_parent_indices(tags).combine_chunks()
        first = pc.list_element(pc.split_pattern(flat, "=", max_splits=1), 0)
        both = pa.table({"row": parents, "name": first}).group_by(["row", "name"]).aggregate([])
        having = _counts(both["name"])
        own = pa.array(sorted(matcher.vocabulary.attributes), pa.string())
        mine = both.filter(pc.is_in(both["name"], value_set=own))
        names: dict[str, Any] = {
            name: {"coverage": having.get(name, 0) / len(made), "values": {}}
            for name in (*matcher.vocabulary.attributes, *sorted(having))
        }
        for tag, n in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
            name, _, value = tag.partition("=")
            names[name]["values"][value] = n
        return Report(
            rows=len(made),
            tagged=len(pc.unique(mine["row"])),
            columns=[
                {"column": s.column, "kind": s.kind, "name": s.name, "why": s.why} for s in sources
            ],
            not_read=dict(left),
            names=names,
            conflicts={
                f"{why}: {name}": {"count": n, "examples": self.examples[why, name]}
                for (why, name), n in self.conflicts.most_common()
            },
            negated=self.negated,
            overruled=self.overruled,
            misfit=dict(self.misfit.most_common()),
            merged=merged,
            rare=rare,
            dropped=dropped,
            constant=sorted(t for t, n in counts.items() if n == len(made) > 1),
            words=[
                {"word": word, "rows": n, "example": self.where[word]}
                for word, n in self.words.most_common(_WORDS)
                if n >= _FREQUENT
            ],
            sample=_sample(made, sources, self.sample),
        )


def _counts(column: Any) -> dict[str, int]:
    return {str(one["values"]): int(one["counts"]) for one in pc.value_counts(column).to_pylist()}


def _text(cells: Mapping[str, Any], source: Source) -> str:
    if source.kind == "tags":
        return "; ".join(cells["tags"])
    return cells[source.column] or ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"


def _sample(made: Manifest, sources: Sequence[Source], count: int) -> list[dict[str, Any]]:
    """Rows at even distances."""
    step = max(1, len(made) // max(1, count))
    rows = list(range(0, len(made), step))[:count]
    shown = []
    for row in rows:
        cells = made.table.slice(row, 1).to_pylist()[0]
        texts = [_short(_text(cells, s)) for s in sources if s.kind != "tags" and _text(cells, s)]
        shown.append({"image_id": cells["image_id"], "text": texts, "tags": cells["tags"]})
    return shown
