"""Makes a manifest's tags from its own text (DARN, Huang et al., ICCV 2015, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.progress import Advance, no_advance
from hemline.tagging import clean
from hemline.tagging.columns import Source, find_columns, named_columns
from hemline.tagging.matcher import Matcher
from hemline.tagging.report import Report, Tally
from hemline.tagging.resolve import FieldReading, Resolver, Values
from hemline.tagging.vocabulary import read_vocabulary

#: Fields of these kinds repeat, so their readings are cached.
_REPEATING = ("attribute", "breadcrumbs")
Row = dict[str, Values]


@dataclass(frozen=True, slots=True)
class TagSettings:
    """How tags are made.

    Attributes:
        columns: columns to read, in order of trust; empty: they are detected.
        vocabularies: files, or names of built-in ones; empty: English.
        keep: whether the manifest's own tags stay.
        min_count: a tag of fewer products becomes its parent or is removed.
        merge: whether free tags with nearly equal spelling become one.
        drop: files that list tags to leave out.
        sample: number of rows that the report shows.
    """

    columns: tuple[str, ...] = ()
    vocabularies: tuple[str, ...] = ()
    keep: bool = True
    min_count: int = 1
    merge: bool = True
    drop: tuple[Path, ...] = field(default=())
    sample: int = 10


def tag_manifest(
    manifest: Manifest, settings: TagSettings = TagSettings(), advance: Advance = no_advance
) -> tuple[Manifest, Report]:
    """The manifest with tags made from its text, and the report.

    Values that a row's own text doesn't state are taken from the shop rows of its product if these
    agree; a customer's text counts only for what no shop row of the product states. Idempotent.

    Raises:
        UsageError: no column has words that mean a tag, or a named column is missing.
        DataError: a vocabulary or list can't be read.
    """
    if settings.min_count < 1:
        raise UsageError(f"a tag needs at least 1 product, not {settings.min_count}")
    matcher = Matcher(read_vocabulary(*settings.vocabularies))
    listed = frozenset(tag for file in settings.drop for tag in clean.read_drop(file))
    left: Mapping[str, str] = {}
    if settings.columns:
        sources = named_columns(manifest, settings.columns, matcher)
    else:
        sources, left = find_columns(manifest, matcher)
        if not sources:
            why = "; ".join(f"{column}: {reason}" for column, reason in left.items())
            raise UsageError(
                f"no column holds words that mean a tag ({why or 'there is no column of text'}); "
                "name columns with --from, or give another --vocabulary"
            )
    tally = Tally(settings.sample)
    resolver = Resolver(matcher)
    rows, others = _read(manifest, sources, resolver, settings, tally, advance)
    rows = _share(rows, manifest, resolver, tally)
    tags = [_tags(row, other) for row, other in zip(rows, others, strict=True)]
    items = manifest.column("item_id").tolist()
    merged: dict[str, clean.Merge] = {}
    if settings.merge:
        merged = clean.near(clean.count_items(tags, items), matcher.vocabulary)
        tags = clean.apply(tags, merged)
    rare = clean.rare(tags, items, settings.min_count, resolver.attributes)
    tags = clean.apply(tags, rare)
    before = clean.count_items(tags, items)
    dropped = {t: clean.Merge(t, "", n) for t, n in before.items() if clean.is_dropped(t, listed)}
    tags = clean.apply(tags, dropped)
    made = manifest.with_column("tags", pa.array([list(t) for t in tags], pa.list_(pa.string())))
    changes = {"merged": merged, "rare": rare, "dropped": dropped}
    return made, tally.report(made, sources, left, matcher, changes)


def _read(
    manifest: Manifest,
    sources: Sequence[Source],
    resolver: Resolver,
    settings: TagSettings,
    tally: Tally,
    advance: Advance,
) -> tuple[list[Row], list[clean.Tags]]:
    """The values of each row's own text, and its tags of other names."""
    rows: list[Row] = []
    others: list[clean.Tags] = []
    known: dict[tuple[str, str], FieldReading] = {}
    existing = _ExistingTags(resolver.matcher)
    columns = [source.column for source in sources if source.kind != "tags"]
    selected = manifest.table.select([*dict.fromkeys(["tags", "image_id", *columns])])
    for batch in selected.to_batches(max_chunksize=4096):
        for cells in batch.to_pylist():
            fields = []
            for source in sources:
                if text := _cell(cells, source):
                    reading = known.get((source.column, text)) or resolver.read(source, text)
                    if source.kind in _REPEATING:
                        known[source.column, text] = reading
                    fields.append((source, reading))
            kept, other = existing.split(cells["tags"]) if settings.keep else ({}, ())
            values, conflicts = resolver.join(fields, kept)
            rows.append(values)
            others.append(other)
            tally.row(cells, sources, fields, conflicts)
        advance(len(rows), len(manifest))
    return rows, others


def _cell(cells: Mapping[str, Any], source: Source) -> str:
    if source.kind == "tags":
        return ". ".join(_free(tag) for tag in cells["tags"])
    return cells[source.column] or ""


def _free(tag: str) -> str:
    name, _, value = tag.partition("=")
    return value if name == "tag" else f"{name}: {value}"


class _ExistingTags:
    """The manifest's own tags, split into those of the vocabulary's names and all others."""

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self.known: dict[str, tuple[str, str]] = {}

    def split(self, tags: Sequence[str]) -> tuple[Row, clean.Tags]:
        """Values by name, and the other tags unchanged."""
        kept: Row = {}
        other = []
        for tag in tags:
            name, value = self.known[tag] if tag in self.known else self._value_of(tag)
            if not value:
                other.append(tag)
            elif value not in kept.get(name, ()):
                kept[name] = (*kept.get(name, ()), value)
        return kept, tuple(other)

    def _value_of(self, tag: str) -> tuple[str, str]:
        name, _, value = tag.partition("=")
        own = name if name in self.matcher.vocabulary.attributes else self.matcher.label(name)
        self.known[tag] = (own, self.matcher.value(own, value) if own else "")
        return self.known[tag]


def _share(rows: list[Row], manifest: Manifest, resolver: Resolver, tally: Tally) -> list[Row]:
    """Fills each row from its product's shop rows, whose text overrides a customer's."""
    items = manifest.column("item_id").tolist()
    shop = (manifest.column("domain") == "shop").tolist()
    stated: dict[str, dict[str, set[Values]]] = {}
    for row, item, is_shop in zip(rows, items, shop, strict=True):
        if is_shop:
            of_item = stated.setdefault(item, {})
            for name, values in row.items():
                of_item.setdefault(name, set()).add(values)
    shared = []
    for row, item, is_shop in zip(rows, items, shop, strict=True):
        of_item = stated.get(item, {})
        own = dict(row) if is_shop else {n: v for n, v in row.items() if n not in of_item}
        if not is_shop:
            tally.overruled += sum(n in of_item and {v} != of_item[n] for n, v in row.items())
        for name, stated_values in of_item.items():
            if name not in own and len(stated_values) == 1:
                own[name] = next(iter(stated_values))
        full, misfit = resolver.complete(own)
        tally.misfit.update(misfit)
        shared.append(full)
    return shared


def _tags(row: Row, other: clean.Tags) -> clean.Tags:
    """Sorted by name, then in the order of the text; other tags follow."""
    made = [f"{name}={value}" for name in sorted(row) for value in row[name]]
    return tuple(dict.fromkeys([*made, *other]))
