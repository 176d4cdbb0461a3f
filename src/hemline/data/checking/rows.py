"""Findings on rows and image sizes: boxes, landmarks, items, tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.checking.findings import Finding, finding
from hemline.data.checking.inspection import InspectedImage
from hemline.data.manifest import Manifest
from hemline.types import VISIBLE

#: Pixels below which an image's side, or a box's, is tiny; rows below which a tag is rare.
TINY, TINY_BOX, RARE = 32, 16, 5
#: Aspect ratio above which an image is a strip.
STRIP = 4.0


def row_findings(manifest: Manifest, seen: Sequence[InspectedImage]) -> Iterator[Finding | None]:
    """All of them; ``seen`` (N,) are the rows' images."""
    yield from _boxes(manifest, np.array([(one.width, one.height) for one in seen], float))
    yield from _items(manifest)
    yield from _tags(manifest)
    category = manifest.column("category")
    bare = category == ""
    if not bare.all():
        yield finding("missing_category", [_row(manifest, row) for row in np.flatnonzero(bare)])


def file_findings(seen: dict[str, InspectedImage]) -> Iterator[Finding | None]:
    """Broken files and odd sizes."""
    broken = [{"paths": [path], "reason": one.error} for path, one in seen.items() if one.error]
    yield finding("broken", broken)
    whole = [(path, one) for path, one in seen.items() if not one.error]
    sides = [(min(one.width, one.height), path) for path, one in whole]
    yield finding("tiny", [{"paths": [path]} for side, path in sorted(sides) if side < TINY])
    shape = [(max(one.width, one.height) / min(one.width, one.height), path) for path, one in whole]
    yield finding(
        "odd_shape",
        [
            {"paths": [path], "reason": f"{ratio:.1f} times as long as wide"}
            for ratio, path in sorted(shape, reverse=True)
            if ratio > STRIP
        ],
    )


def _row(manifest: Manifest, row: Any, reason: str = "") -> dict[str, Any]:
    example: dict[str, Any] = {
        "paths": [str(manifest.table["path"][int(row)])],
        "items": [str(manifest.table["item_id"][int(row)])],
        "rows": [int(row) + 1],
    }
    return example | ({"reason": reason} if reason else {})


def _boxes(manifest: Manifest, size: npt.NDArray[np.float64]) -> Iterator[Finding | None]:
    boxes = manifest.boxes()
    known = size[:, 0] > 0
    with np.errstate(invalid="ignore"):
        over = np.maximum(-boxes[:, :2], boxes[:, 2:] - size).max(axis=1)
        side = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        outside, small = known & (over > 1), side < TINY_BOX
    rows = np.flatnonzero(outside)
    rows = rows[np.argsort(-over[rows], kind="stable")]
    yield finding(
        "boxes_outside", [_row(manifest, r, f"{over[r]:.0f} pixels outside") for r in rows]
    )
    rows = np.flatnonzero(small)
    yield finding("boxes_tiny", [_row(manifest, r, f"{side[r]:.0f} pixels") for r in rows])
    wrong = []
    for row, marks in enumerate(manifest.column("landmarks")):
        if marks is None or not np.isfinite(boxes[row]).all():
            continue
        points = np.asarray(marks, float).reshape(-1, 3)
        points = points[points[:, 2] == VISIBLE, :2]
        slack = 0.1 * np.array([boxes[row, 2] - boxes[row, 0], boxes[row, 3] - boxes[row, 1]])
        low, high = boxes[row, :2] - slack - 1, boxes[row, 2:] + slack + 1
        out = int(((points < low) | (points > high)).any(axis=1).sum())
        if out:
            wrong.append((-out, row, len(points)))
    yield finding(
        "landmarks_outside",
        [_row(manifest, row, f"{-out} of {all_} visible") for out, row, all_ in sorted(wrong)],
    )


def _items(manifest: Manifest) -> Iterator[Finding | None]:
    domain, items = manifest.column("domain"), manifest.column("item_id")
    street, shop = set(items[domain == "street"]), set(items[domain == "shop"])
    yield finding("street_only", [{"items": [item]} for item in sorted(street - shop)])
    yield finding("shop_only", [{"items": [item]} for item in sorted(shop - street)])


def _tags(manifest: Manifest) -> Iterator[Finding | None]:
    tagged = [set(tags) for tags in manifest.column("tags") if tags]
    counts = Counter(tag for tags in tagged for tag in tags)
    constant = sorted(tag for tag, count in counts.items() if count == len(tagged) > 1)
    yield finding("constant_tags", [{"tag": tag} for tag in constant])
    rare = sorted((count, tag) for tag, count in counts.items() if count < RARE < len(tagged))
    yield finding("rare_tags", [{"tag": tag, "reason": f"{count} rows"} for count, tag in rare])
