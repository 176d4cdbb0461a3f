"""Checks a manifest with its images.

Finds what reading a manifest can't: broken files, the same or nearly the same image under two
items, in two splits or in both domains, boxes outside their image; and weaknesses of a data set:
items in one domain only, tags that all rows share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.checking.findings import KINDS, Finding
from hemline.data.checking.images import Pair, picture_findings
from hemline.data.checking.inspection import InspectedImage, colours, inspect_image, prints
from hemline.data.checking.journal import Journal
from hemline.data.checking.near_duplicates import SMALL, candidates, is_near
from hemline.data.checking.rows import file_findings, row_findings
from hemline.data.images import in_order
from hemline.data.manifest import Manifest
from hemline.limits import MAX_PIXELS

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class CheckReport:
    """Result of a check. Rows count from 1.

    Attributes:
        rows, files, items: counts of the manifest; a file with several garments counts once.
        domains, splits: value → rows.
        findings: most harmful first.
        sides: minimum, median and maximum of the shorter sides, in pixels.
        remembered: files taken from an earlier check.
        compared: candidate pairs whose keypoints were compared.
        left_out: candidate pairs that weren't, because very many images are alike.
        uncompared: candidate pairs that weren't, because OpenCV isn't installed.
        radius: bits of 64 in which the hashes of a candidate pair may differ: 11, or 7 for more
            than 50,000 images.
    """

    rows: int = 0
    files: int = 0
    items: int = 0
    domains: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)
    remembered: int = 0
    compared: int = 0
    left_out: int = 0
    uncompared: int = 0
    radius: int = 0
    fingerprint: str = ""

    def count(self, name: str) -> int:
        """The count of a finding, 0 if there is none."""
        return next((one.count for one in self.findings if one.name == name), 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in the report's file."""
        names = [name for name in self.__slots__ if name != "findings"]
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        return plain | {"findings": [one.to_json() for one in self.findings]}


def check_manifest(
    manifest: Manifest,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    *,
    cache: Path | None = None,
    comparing: Progress | None = None,
) -> CheckReport:
    """Opens every image once, in ``workers`` threads, and returns the report.

    Args:
        progress: called with (done, files) after each file.
        comparing: called with (done, pairs) after each candidate pair.
        cache: a file that stores the results of both, so that a later check of the same images,
            or one after a kill, only opens new ones.

    Near duplicates are decided by OpenCV; without it their candidates are counted as `uncompared`.

    Raises:
        UsageError: the cache can't be used.
    """
    paths = manifest.column("path").tolist()
    unique = list(dict.fromkeys(paths))
    report = CheckReport(rows=len(manifest), files=len(unique), fingerprint=manifest.fingerprint())
    with Journal(cache, max_pixels) as journal:
        seen = _inspect_all(manifest, unique, journal, report, workers, max_pixels, progress)
        pairs = _near(manifest, seen, journal, report, workers, comparing)
    found = [
        *file_findings(seen),
        *row_findings(manifest, [seen[path] for path in paths]),
        *picture_findings(manifest, seen, pairs),
    ]
    order = list(KINDS)
    report.findings = sorted(
        (one for one in found if one is not None), key=lambda one: order.index(one.name)
    )
    report.items = len(set(manifest.column("item_id").tolist()))
    report.domains = dict(Counter(manifest.column("domain").tolist()))
    report.splits = dict(Counter(manifest.column("split").tolist()))
    sides = [min(one.width, one.height) for one in seen.values() if not one.error]
    if sides:
        report.sides = [float(min(sides)), float(np.median(sides)), float(max(sides))]
    return report


def _inspect_all(
    manifest: Manifest,
    unique: list[str],
    journal: Journal,
    report: CheckReport,
    workers: int | None,
    max_pixels: int,
    progress: Progress | None,
) -> dict[str, InspectedImage]:
    keys = [journal.key(manifest.root / path) for path in unique]
    known = {
        path: journal.seen[key]
        for path, key in zip(unique, keys, strict=True)
        if key is not None and key in journal.seen
    }
    report.remembered = len(known)
    fresh = [n for n, path in enumerate(unique) if path not in known]
    work = (unique[n] for n in fresh)
    for index, one in in_order(
        lambda p: inspect_image(manifest.root / p, max_pixels), work, workers
    ):
        path = unique[fresh[index]]
        known[path] = one
        journal.record(keys[fresh[index]], one)
        if progress is not None:
            progress(len(known), len(unique))
    return {path: known[path] for path in unique}


def _near(
    manifest: Manifest,
    seen: dict[str, InspectedImage],
    journal: Journal,
    report: CheckReport,
    workers: int | None,
    progress: Progress | None,
) -> list[Pair]:
    """Pairs of near duplicates; of identical images only the first is compared."""
    first: dict[str, str] = {}
    for path, one in seen.items():
        if one.pixels:
            first.setdefault(one.pixels, path)
    if len(first) < 2:
        return []
    names = list(first)
    shown = [seen[path] for path in first.values()]
    flips = 2 if len(shown) <= SMALL else 1
    report.radius = 4 * flips + 3
    found, report.left_out = candidates(prints(shown), colours(shown), flips)
    pairs = [(names[a], names[b]) for a, b in found.tolist()]
    report.compared = len(pairs)
    fresh = [pair for pair in pairs if pair not in journal.pairs]
    try:
        from hemline.data.checking.keypoints import Matcher
    except ModuleNotFoundError:
        report.uncompared, fresh = len(fresh), []
        report.compared -= report.uncompared
    else:
        count_points = Matcher().points

    def compare(pair: tuple[str, str]) -> int:
        one, other = (manifest.root / first[pixels] for pixels in pair)
        return count_points(one, other)

    for index, points in in_order(compare, fresh, workers):
        journal.compared(fresh[index], points)
        if progress is not None:
            progress(len(pairs) - len(fresh) + index + 1, len(pairs))
    known = [(pair, journal.pairs[pair]) for pair in pairs if pair in journal.pairs]
    return [(*pair, points) for pair, points in known if is_near(points)]
