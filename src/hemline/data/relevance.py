"""Builds a `Protocol` from queries and a gallery: counting, relevance and recorded choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.data.protocol import (
    CROPS,
    SEVERAL,
    UNMATCHED,
    Choices,
    Crop,
    Protocol,
    ProtocolGroup,
    Rows,
    Several,
    Unmatched,
    roles,
)
from hemline.errors import DataError

#: Row of a query → its relevant items, if they aren't the row's own item alone.
Right = Callable[[int], frozenset[str]]


def match_items(
    name: str,
    manifest: Manifest,
    queries: Rows,
    gallery: Rows,
    chosen: Choices,
    stated: Mapping[str, str],
    held_out: Iterable[str] = (),
    *,
    right: Right | None = None,
    gallery_sizes: tuple[int, ...] = (),
    group: ProtocolGroup | None = None,
) -> Protocol:
    """A protocol whose relevant item is the query's own, or those of ``right`` (by row).

    ``stated`` describes queries, gallery and items, for the report. The gallery keeps its order;
    rows of one image, box and item are searched once.

    Raises:
        DataError: there is no query or no gallery row.
    """
    crop: Crop = chosen.crop or "none"
    several: Several = chosen.several or "row"
    unmatched: Unmatched = chosen.unmatched or "miss"
    if len(queries) == 0 or len(gallery) == 0:
        raise DataError(_nothing(name, manifest, len(queries) == 0, stated))
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    gallery = _once(manifest, gallery, items)
    own: Right = right or (lambda row: frozenset((str(items[row]),)))
    counted, relevant = _count(manifest, queries, several, own)
    searched = frozenset(items[gallery].tolist())
    found = np.fromiter((bool(answers & searched) for answers in relevant), bool, len(relevant))
    if unmatched == "drop":
        if not found.any():
            raise DataError(f"protocol {name!r}: no query's product is in the gallery")
        counted = counted[found]
        relevant = [answers for answers, kept in zip(relevant, found, strict=True) if kept]
    return Protocol(
        name=name,
        manifest=manifest,
        queries=np.asarray(counted, np.int64),
        gallery=np.asarray(gallery, np.int64),
        relevant=tuple(relevant),
        choices={
            "name": name,
            "relevance": "the query's own item, at product level",
            **stated,
            "query": SEVERAL[several],
            "crop": _crop(crop, manifest, counted, gallery),
            "within_category": "yes" if chosen.within_category else "no",
            "unmatched": UNMATCHED[unmatched],
        },
        held_out=frozenset(held_out),
        crop=crop,
        within_category=bool(chosen.within_category),
        unmatched=int((~found).sum()),
        gallery_sizes=tuple(size for size in gallery_sizes if size < len(gallery)),
        group=group,
    )


def mask_of(column: npt.NDArray[np.str_], values: Iterable[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether each cell is one of ``values``."""
    known = frozenset(values)
    return np.fromiter((cell in known for cell in column.tolist()), bool, len(column))


def text_column(manifest: Manifest, name: str) -> npt.NDArray[np.str_]:
    """(N,) a column as text, empty where a cell is; raises `UsageError` if it is missing."""
    return np.asarray(["" if v is None else str(v) for v in manifest.column(name)], dtype=np.str_)


def compared(published: int, here: int, what: str) -> str:
    """A sentence on the count of ``what``: as published, or how it differs."""
    if published == here:
        return f"{here:,} {what}, as published"
    return f"{here:,} {what} here, {published:,} published"


def one_row_per_item(rows: Rows, items: npt.NDArray[np.str_], rng: np.random.Generator) -> Rows:
    """One of ``rows`` for each of their ``items`` (one item per row of the manifest), drawn by
    ``rng`` → sorted."""
    chosen: dict[str, int] = {}
    for row in rows[rng.permutation(len(rows))].tolist():
        chosen.setdefault(str(items[row]), row)
    return np.sort(np.fromiter(chosen.values(), np.int64, len(chosen)))


def _keys(manifest: Manifest, rows: Rows) -> list[tuple[object, ...]]:
    """Image and box of each row."""
    paths = manifest.column("path")
    boxes = np.nan_to_num(manifest.boxes()[rows], nan=-1.0).tolist()
    return [(paths[row], *box) for row, box in zip(rows.tolist(), boxes, strict=True)]


def _once(manifest: Manifest, gallery: Rows, items: npt.NDArray[np.str_]) -> Rows:
    seen: dict[tuple[object, ...], int] = {}
    for row, key in zip(gallery.tolist(), _keys(manifest, gallery), strict=True):
        seen.setdefault((*key, items[row]), row)
    return np.fromiter(seen.values(), np.int64, len(seen))


def _count(
    manifest: Manifest, queries: Rows, several: Several, own: Right
) -> tuple[Rows, list[frozenset[str]]]:
    """The queries as they are counted, and the relevant items of each."""
    if several == "photo":
        groups: dict[tuple[object, ...], list[int]] = {}
        for row, key in zip(queries.tolist(), _keys(manifest, queries), strict=True):
            groups.setdefault(key, []).append(row)
        first = np.fromiter((rows[0] for rows in groups.values()), np.int64, len(groups))
        return first, [frozenset().union(*map(own, rows)) for rows in groups.values()]
    if several == "pair" and "pairs" in manifest.names:
        times = np.asarray(manifest.column("pairs"), np.float64)[queries]
        queries = np.repeat(queries, np.maximum(1, np.nan_to_num(times, nan=1.0)).astype(int))
    return queries, [own(row) for row in queries.tolist()]


def _crop(crop: Crop, manifest: Manifest, queries: Rows, gallery: Rows) -> str:
    text = f"{crop}: {CROPS[crop]}"
    if crop == "none" or crop.startswith("detected"):  # how many are found is told once they are
        return text
    boxed: npt.NDArray[np.bool_] = np.asarray(np.isfinite(manifest.boxes()).all(axis=1))
    counts = [f"{int(boxed[queries].sum()):,} of {len(queries):,} queries"]
    if crop == "box":
        counts.append(f"{int(boxed[gallery].sum()):,} of {len(gallery):,} gallery pictures")
    return f"{text} ({', '.join(counts)})"


def _nothing(name: str, manifest: Manifest, no_query: bool, stated: Mapping[str, str]) -> str:
    pairs = zip(
        (str(s) for s in manifest.column("split")),
        (str(r) for r in roles(manifest)),
        strict=True,
    )
    counts = [
        f"{count} of split {split or 'none'}, {role}"
        for (split, role), count in Counter(pairs).items()
    ]
    what = "query" if no_query else "gallery row"
    return (
        f"protocol {name!r} finds no {what} in the manifest ({stated['queries']}; "
        f"{stated['gallery']}). Its rows are: {'; '.join(sorted(counts)) or 'none'}"
    )
