"""Findings on identical and nearly identical images: copies, leaks, images of two items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hemline.data.checking.findings import Finding, finding
from hemline.data.checking.inspection import InspectedImage
from hemline.data.manifest import Manifest

#: The pixel digests of two images, and the number of keypoints that agree.
Pair = tuple[str, str, int]


def picture_findings(
    manifest: Manifest, seen: Mapping[str, InspectedImage], pairs: Iterable[Pair]
) -> Iterator[Finding | None]:
    """All of them; ``pairs`` are the near duplicates."""
    paths = manifest.column("path").tolist()
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        if seen[path].pixels:
            rows_of[seen[path].pixels].append(row)
    table = _Rows(manifest, paths)
    yield from _same(manifest, seen, rows_of, table)
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    across = [table.example(rows) for rows in rows_of.values() if table.both_domains(rows)]
    for one, other, points in sorted(pairs, key=lambda pair: -pair[2]):
        a, b = rows_of[one], rows_of[other]
        example = table.pair(a, b) | {"points": points}
        kinds = list(table.kinds(a, b))
        for kind in kinds:
            found[kind].append(example)
    yield finding("across_domains", across + found["across_domains"])
    for kind in ("leak_near", "near_items", "near_copies"):
        yield finding(kind, found[kind])


class _Rows:
    """The columns that a comparison of rows needs."""

    def __init__(self, manifest: Manifest, paths: Sequence[str]) -> None:
        self.paths = paths
        self.items = manifest.column("item_id").tolist()
        self.splits = manifest.column("split").tolist()
        self.domains = manifest.column("domain").tolist()

    def example(self, rows: Sequence[int], **more: Any) -> dict[str, Any]:
        """An example of a group of rows, with at most six paths."""
        some = list(rows)[:100]
        return {
            "paths": list(dict.fromkeys(self.paths[row] for row in some))[:6],
            "items": list(dict.fromkeys(self.items[row] for row in some)),
            "splits": sorted({self.splits[row] for row in some} - {""}),
            "rows": [row + 1 for row in some],
            **more,
        }

    def pair(self, a: Sequence[int], b: Sequence[int]) -> dict[str, Any]:
        """An example of the first row of each side."""
        return self.example([a[0], b[0]])

    def both_domains(self, rows: Sequence[int]) -> bool:
        return len({self.domains[row] for row in rows}) > 1

    def leaks(self, a: Sequence[int], b: Sequence[int]) -> bool:
        """Whether one side is in train and the other in val or test."""
        one, other = ({self.splits[row] for row in rows} for rows in (a, b))
        measured = {"val", "test"}
        return ("train" in one and bool(other & measured)) or (
            "train" in other and bool(one & measured)
        )

    def kinds(self, a: Sequence[int], b: Sequence[int]) -> Iterator[str]:
        """The findings that a pair of near duplicates belongs to."""
        harmful = False
        if self.leaks(a, b):
            harmful = True
            yield "leak_near"
        if not {self.items[row] for row in a} & {self.items[row] for row in b}:
            harmful = True
            yield "near_items"
        if len({self.domains[row] for row in (*a, *b)}) > 1:
            harmful = True
            yield "across_domains"
        if not harmful:
            yield "near_copies"


def _same(
    manifest: Manifest,
    seen: Mapping[str, InspectedImage],
    rows_of: Mapping[str, Sequence[int]],
    table: _Rows,
) -> Iterator[Finding | None]:
    """Findings on identical images."""
    boxes = np.nan_to_num(manifest.boxes(), nan=-1.0).tolist()
    copies, leaks, items = [], [], []
    for rows in rows_of.values():
        files = list(dict.fromkeys(table.paths[row] for row in rows))
        if len(files) > 1:
            bytes_too = len({seen[path].digest for path in files}) == 1
            words = "the same bytes" if bytes_too else "other bytes, the same pixels"
            copies.append(table.example(rows, reason=f"{len(files)} files, {words}"))
        if len(rows) > 1:
            if table.leaks(rows, rows):
                leaks.append(table.example(rows))
            garments: defaultdict[tuple[float, ...], list[int]] = defaultdict(list)
            for row in rows:
                garments[tuple(boxes[row])].append(row)
            items += [
                table.example(some)
                for some in garments.values()
                if len({table.items[row] for row in some}) > 1
            ]
    yield finding("copies", sorted(copies, key=lambda one: -len(one["rows"])))
    yield finding("leak_same", leaks)
    yield finding("two_items", sorted(items, key=lambda one: -len(one["items"])))
