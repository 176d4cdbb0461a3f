"""Looks at every picture of a manifest and at how its rows hang together.

What reading a manifest can't see without the pictures: broken files, the same picture twice,
boxes that leave their picture; and what makes a data set weak: products that are shown in one
domain only, tags that are the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.images import MAX_PIXELS, in_order, open_image, read_bytes
from hemline.data.manifest import Manifest
from hemline.errors import ImageError

#: How many examples of each finding are kept.
SHOWN = 100
#: A picture whose shorter side is below this many pixels is called tiny.
TINY = 32


@dataclass
class CheckReport:
    """What was found. Rows count from 1, as everywhere; each list holds `SHOWN` at most, each
    ``*_count`` all.

    Attributes:
        rows, files, items: of the manifest; a file with several garments counts once.
        domains, splits: value → rows.
        broken: path and reason of each file that can't be opened.
        duplicates: groups of files that are the same, byte for byte.
        two_items: groups of rows that show one picture (and box) under several items.
        two_splits: groups of rows that show one picture in several splits.
        boxes_outside: rows whose box leaves the picture.
        tiny: files with a side below `TINY` pixels.
        street_only, shop_only: items shown in one domain only.
        constant_tags: tags that every row has, so that they tell nothing.
        sides: the shortest, median and longest of the shorter sides, in pixels.
    """

    rows: int = 0
    files: int = 0
    items: int = 0
    domains: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    broken_count: int = 0
    broken: list[dict[str, str]] = field(default_factory=list)
    duplicates_count: int = 0
    duplicates: list[list[str]] = field(default_factory=list)
    two_items_count: int = 0
    two_items: list[dict[str, Any]] = field(default_factory=list)
    two_splits_count: int = 0
    two_splits: list[dict[str, Any]] = field(default_factory=list)
    boxes_outside_count: int = 0
    boxes_outside: list[int] = field(default_factory=list)
    tiny_count: int = 0
    tiny: list[str] = field(default_factory=list)
    street_only_count: int = 0
    street_only: list[str] = field(default_factory=list)
    shop_only_count: int = 0
    shop_only: list[str] = field(default_factory=list)
    constant_tags: list[str] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)
    fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the report's file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Seen:
    digest: str = ""
    width: int = 0
    height: int = 0
    error: str = ""


def check_manifest(
    manifest: Manifest,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Opens every picture once, in ``workers`` threads, and gives the report.

    ``progress(done, files)`` is called after each file.
    """
    paths = manifest.column("path").tolist()
    unique = list(dict.fromkeys(paths))

    def look(path: str) -> _Seen:
        return _look(manifest.root / path, max_pixels)

    seen: dict[str, _Seen] = {}
    for index, one in in_order(look, unique, workers):
        seen[unique[index]] = one
        if progress is not None:
            progress(index + 1, len(unique))
    report = CheckReport(rows=len(manifest), files=len(unique), fingerprint=manifest.fingerprint())
    _files(report, seen)
    _pictures(report, manifest, [seen[path] for path in paths])
    _items(report, manifest)
    return report


def _look(file: Path, max_pixels: int) -> _Seen:
    try:
        data = read_bytes(file)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        height, width = open_image(data, max_pixels, name=str(file)).shape[:2]
    except ImageError as error:
        text = str(error)
        return _Seen(error=text.removeprefix(str(file)).strip())
    return _Seen(digest, width, height)


def _files(report: CheckReport, seen: Mapping[str, _Seen]) -> None:
    broken = [{"path": path, "reason": one.error} for path, one in seen.items() if one.error]
    report.broken_count, report.broken = len(broken), broken[:SHOWN]
    same: defaultdict[str, list[str]] = defaultdict(list)
    for path, one in seen.items():
        if one.digest:
            same[one.digest].append(path)
    groups = [group for group in same.values() if len(group) > 1]
    report.duplicates_count, report.duplicates = len(groups), groups[:SHOWN]
    whole = [(path, min(one.width, one.height)) for path, one in seen.items() if one.digest]
    tiny = [path for path, side in whole if side < TINY]
    report.tiny_count, report.tiny = len(tiny), tiny[:SHOWN]
    if whole:
        sides = [side for _, side in whole]
        report.sides = [float(min(sides)), float(np.median(sides)), float(max(sides))]


def _pictures(report: CheckReport, manifest: Manifest, seen: Sequence[_Seen]) -> None:
    items, splits = manifest.column("item_id"), manifest.column("split")
    boxes = manifest.boxes()
    size = np.array([(one.width, one.height) for one in seen], float)
    with np.errstate(invalid="ignore"):
        outside = (boxes[:, :2] < -1).any(axis=1) | (boxes[:, 2:] > size + 1).any(axis=1)
    rows = (np.flatnonzero(outside & (size[:, 0] > 0)) + 1).tolist()
    report.boxes_outside_count, report.boxes_outside = len(rows), rows[:SHOWN]
    pictures: defaultdict[str, list[int]] = defaultdict(list)
    garments: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row, one in enumerate(seen):
        if one.digest:
            pictures[one.digest].append(row)
            garments[one.digest, *np.nan_to_num(boxes[row], nan=-1.0).tolist()].append(row)
    found = _mixed(garments.values(), items, "items")
    report.two_items_count, report.two_items = len(found), found[:SHOWN]
    found = _mixed(pictures.values(), splits, "splits")
    report.two_splits_count, report.two_splits = len(found), found[:SHOWN]


def _mixed(groups: Iterable[list[int]], values: Any, name: str) -> list[dict[str, Any]]:
    """The groups of rows whose ``values`` (empty ones apart) are not all the same."""
    found = []
    for rows in groups:
        if len(rows) > 1:
            different = sorted({values[row] for row in rows} - {""})
            if len(different) > 1:
                found.append({"rows": [row + 1 for row in rows[:SHOWN]], name: different[:SHOWN]})
    return found


def _items(report: CheckReport, manifest: Manifest) -> None:
    domain, items = manifest.column("domain"), manifest.column("item_id")
    street, shop = set(items[domain == "street"]), set(items[domain == "shop"])
    report.items = len(street | shop)
    report.domains = dict(Counter(domain.tolist()))
    report.splits = dict(Counter(manifest.column("split").tolist()))
    lonely = sorted(street - shop)
    report.street_only_count, report.street_only = len(lonely), lonely[:SHOWN]
    lonely = sorted(shop - street)
    report.shop_only_count, report.shop_only = len(lonely), lonely[:SHOWN]
    tagged = [set(tags) for tags in manifest.column("tags") if tags]
    if len(tagged) > 1:
        report.constant_tags = sorted(set.intersection(*tagged))
