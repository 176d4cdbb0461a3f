"""The common ending of every protocol: which queries count, what is right, and what was chosen."""

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

#: Right products of a row's item, where they aren't that item alone.
Right = Callable[[int], frozenset[str]]


def match_items(
    name: str,
    manifest: Manifest,
    queries: Rows,
    gallery: Rows,
    chosen: Choices,
    said: Mapping[str, str],
    held_out: Iterable[str] = (),
    *,
    right: Right | None = None,
    gallery_sizes: tuple[int, ...] = (),
    group: ProtocolGroup | None = None,
) -> Protocol:
    """A protocol whose right answer is the query's own item, or what ``right`` says of its row.

    ``said`` names the protocol's own choices (which queries, which gallery, which items). The
    order of the gallery is kept; a picture that stands there twice with one box and item is
    searched once.

    Raises:
        DataError: no query or nothing to search in.
    """
    crop: Crop = chosen.crop or "none"
    several: Several = chosen.several or "row"
    unmatched: Unmatched = chosen.unmatched or "miss"
    if len(queries) == 0 or len(gallery) == 0:
        raise DataError(_nothing(name, manifest, len(queries) == 0, said))
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    gallery = _once(manifest, gallery, items)
    own: Right = right or (lambda row: frozenset((str(items[row]),)))
    asking, relevant = _count(manifest, queries, several, own)
    there = frozenset(items[gallery].tolist())
    found = np.fromiter((bool(answers & there) for answers in relevant), bool, len(relevant))
    if unmatched == "drop":
        if not found.any():
            raise DataError(f"protocol {name!r}: no query's product is in the gallery")
        asking = asking[found]
        relevant = [answers for answers, kept in zip(relevant, found, strict=True) if kept]
    return Protocol(
        name=name,
        manifest=manifest,
        queries=np.asarray(asking, np.int64),
        gallery=np.asarray(gallery, np.int64),
        relevant=tuple(relevant),
        choices={
            "name": name,
            "relevance": "the query's own item, at product level",
            **said,
            "query": SEVERAL[several],
            "crop": _crop(crop, manifest, asking, gallery),
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
    wanted = frozenset(values)
    return np.fromiter((cell in wanted for cell in column.tolist()), bool, len(column))


def text_column(manifest: Manifest, name: str) -> npt.NDArray[np.str_]:
    """(N,) a column as text, empty where a cell is; raises `UsageError` where there is none."""
    return np.asarray(["" if v is None else str(v) for v in manifest.column(name)], dtype=np.str_)


def compared(wanted: int, here: int, what: str) -> str:
    """``what`` counted: as published, or how it differs."""
    if wanted == here:
        return f"{here:,} {what}, as published"
    return f"{here:,} {what} here, {wanted:,} published"


def one_row_per_item(rows: Rows, items: npt.NDArray[np.str_], rng: np.random.Generator) -> Rows:
    """One of ``rows`` for each of their ``items`` (one item per row of the manifest), drawn by
    ``rng`` → sorted."""
    chosen: dict[str, int] = {}
    for row in rows[rng.permutation(len(rows))].tolist():
        chosen.setdefault(str(items[row]), row)
    return np.sort(np.fromiter(chosen.values(), np.int64, len(chosen)))


def _keys(manifest: Manifest, rows: Rows) -> list[tuple[object, ...]]:
    """Picture and box of each row."""
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
    """The queries as they are counted, and the right items of each."""
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
    if crop == "none":
        return text
    boxed: npt.NDArray[np.bool_] = np.asarray(np.isfinite(manifest.boxes()).all(axis=1))
    counts = [f"{int(boxed[queries].sum()):,} of {len(queries):,} queries"]
    if crop == "box":
        counts.append(f"{int(boxed[gallery].sum()):,} of {len(gallery):,} gallery pictures")
    return f"{text} ({', '.join(counts)})"


def _nothing(name: str, manifest: Manifest, no_query: bool, said: Mapping[str, str]) -> str:
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
        f"protocol {name!r} finds no {what} in the manifest ({said['queries']}; "
        f"{said['gallery']}). Its rows are: {'; '.join(sorted(counts)) or 'none'}"
    )
