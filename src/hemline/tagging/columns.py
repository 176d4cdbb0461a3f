"""Detects the columns of a manifest with text about the product, and their kinds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute

from hemline.data.manifest import SCHEMA, Manifest
from hemline.errors import UsageError, nearest
from hemline.tagging.matcher import Matcher

#: Untyped: its published types lag behind its functions.
pc: Any = pyarrow.compute

#: In the order of trust.
Kind = Literal["attribute", "tags", "title", "breadcrumbs", "description"]

#: Cells sampled per column, and the share of them that must mean a tag.
_SAMPLE, _SAYING = 400, 0.05
_ADDRESS = re.compile(r"^(https?://|www\.|[/\\]|[\w./\\-]+\.(jpe?g|png|webp|gif)$)", re.IGNORECASE)
_TITLES = ("title", "name", "heading", "headline", "product")
_PATHS = ("breadcrumb", "breadcrumbs", "taxonomy", "categories", "category", "path", "crumbs")
_LONG = ("description", "descriptions", "details", "detail", "features", "text", "bullets", "body")
_STEP = re.compile(r"\s[>›»/|]\s|::|>")


@dataclass(frozen=True, slots=True)
class Source:
    """A column to read.

    Attributes:
        kind: ``attribute`` (its cells are values of ``name``), ``tags`` (the manifest's own),
            ``title``, ``breadcrumbs`` or ``description``.
        why: how the kind was determined, in a few words.
    """

    column: str
    kind: Kind
    name: str = ""
    why: str = ""


def named_columns(manifest: Manifest, columns: Sequence[str], matcher: Matcher) -> list[Source]:
    """The named columns, in their order.

    Raises:
        UsageError: there is no such column, or it holds no text.
    """
    sources = []
    for column in columns:
        if column not in manifest.names:
            hint = nearest(column, _texts(manifest))
            raise UsageError(f"the manifest has no column {column!r} to read words from. {hint}")
        if column != "tags" and not _is_text(manifest.table[column].type):
            raise UsageError(
                f"the column {column!r} holds {manifest.table[column].type}, no text; "
                f"columns of text: {', '.join(_texts(manifest)) or 'none'}"
            )
        sources.append(_source(manifest, column, matcher))
    return sources


def find_columns(manifest: Manifest, matcher: Matcher) -> tuple[list[Source], dict[str, str]]:
    """The columns with text about the product, and why each other text column is not read."""
    sources: list[Source] = []
    left: dict[str, str] = {}
    for column in _texts(manifest):
        cells = _cells(manifest, column)
        if not cells:
            continue
        if column == "tags":
            if any(tag.startswith("tag=") for tag in cells):
                sources.append(Source("tags", "tags", why="has free tags"))
            continue
        if sum(bool(_ADDRESS.match(cell)) for cell in cells) > len(cells) / 2:
            left[column] = "addresses"
            continue
        if sum(cell.lstrip()[:1] in ("[", "{") for cell in cells) > len(cells) / 2:
            left[column] = "lists and objects, no text"
            continue
        source = _source(manifest, column, matcher)
        share = sum(bool(matcher.read(_text(source, cell)).matches) for cell in cells) / len(cells)
        if share >= _SAYING:
            sources.append(source)
        else:
            left[column] = f"{'hardly a word means' if share else 'none of its words mean'} a tag"
    sources.sort(key=lambda source: get_args(Kind).index(source.kind))
    return sources, left


def _text(source: Source, cell: str) -> str:
    return f"{source.name}: {cell}" if source.kind == "attribute" else cell


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(manifest: Manifest) -> list[str]:
    return [
        name
        for name in manifest.names
        if name in ("category", "tags")
        or (name not in SCHEMA and _is_text(manifest.table[name].type))
    ]


def _cells(manifest: Manifest, column: str) -> list[str]:
    """A sample of non-empty cells, spread over the whole column."""
    values = manifest.table[column]
    if column == "tags":
        values = pc.list_flatten(values)
    filled = values.filter(pc.fill_null(pc.not_equal(values.cast(pa.string()), ""), False))
    step = max(1, len(filled) // _SAMPLE)
    rows = pa.array(range(0, len(filled), step), pa.int64())
    return [str(cell) for cell in filled.take(rows).to_pylist()]


def _source(manifest: Manifest, column: str, matcher: Matcher) -> Source:
    if column == "tags":
        return Source("tags", "tags", why="the manifest's tags")
    words = column.lower().replace("_", " ").replace("-", " ").split()
    name = matcher.label(column.replace("_", " "))
    if any(word in _PATHS for word in words) or (name and name == matcher.head):
        return Source(column, "breadcrumbs", why="its name")
    if name:
        return Source(column, "attribute", name, "its name")
    if any(word in _LONG for word in words):
        return Source(column, "description", why="its name")
    cells = _cells(manifest, column)
    length = sum(len(cell.split()) for cell in cells) / max(1, len(cells))
    if any(word in _TITLES for word in words) and length < 30:
        return Source(column, "title", why="its name")
    if sum("<" not in cell and bool(_STEP.search(cell)) for cell in cells) > len(cells) / 2:
        return Source(column, "breadcrumbs", why="its cells are paths")
    kind: Kind = "title" if length <= 12 else "description"
    return Source(column, kind, why=f"about {length:.0f} words in a cell")
