"""ILIAS: particular objects, of all kinds, searched among up to 100 million distractors.

Source: G. Kordopatis-Zilos and others, "ILIAS: Instance-Level Image retrieval At Scale", CVPR 2025,
arXiv 2502.11748, and its repository's README.

Layout::

    ROOT/ilias_core/bold_bimp_000/query/Q000_00.jpg, Q000_00_bbox.txt
    ROOT/ilias_core/bold_bimp_000/pos/P000_00.jpg, P000_00_bbox.txt
    ROOT/yfcc100m/…/ANY.jpg          distractors, unpacked: any number, in any folders
    ROOT/taxonomy.json               of the repository's misc, where it is there

A line of a box file is ``x y width height``; an image with several boxes has the rectangle around
them. Queries are street rows, positives and distractors shop rows; a distractor is an item of its
own. ``category`` is the first two levels of the taxonomy (``product/food``).

Protocol ``ilias``: every image query among all positives and the distractors that are here,
measured by mAP@1k (`hemline.evaluation.rankings`): average precision over the first 1,000 images,
divided by the smaller of 1,000 and the number of right ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, figures, roles
from hemline.data.relevance import compared, match_items, text_column
from hemline.datasets._base import (
    LINKS,
    Options,
    ReaderSpec,
    ReadReport,
    beside,
    follows,
    keep_present,
    records_manifest,
)
from hemline.datasets._json import read_json
from hemline.datasets._lists import read_text
from hemline.errors import DataError, UsageError

PUBLISHED = {"objects": 1_000, "image queries": 1_232, "positive images": 4_715}
DISTRACTORS = 100_000_000
_SIDES = {"query": ("street", "query"), "pos": ("shop", "gallery")}
_IMAGES = (".jpg", ".jpeg", ".png")


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    core = root / "ilias_core" if (root / "ilias_core").is_dir() else root
    kinds = _kinds(root)
    rows: list[dict[str, Any]] = []
    for place in sorted(path for path in core.iterdir() if path.is_dir()):
        for side, (domain, role) in _SIDES.items():
            for file in sorted((place / side).glob("*.jpg")):
                rows.append(_row(root, file, place.name, domain, role, kinds.get(place.name, "")))
    if not rows:
        raise DataError(f"{core} has no OBJECT/query/*.jpg and OBJECT/pos/*.jpg")
    counted = {
        "objects": len({row["item_id"] for row in rows}),
        "image queries": sum(row["role"] == "query" for row in rows),
        "positive images": sum(row["role"] == "gallery" for row in rows),
    }
    others = list(_distractors(root, options))
    rows += [_distractor(root, file) for file in others]
    notes = [f"{len(others):,} distractors of {DISTRACTORS:,}"]
    if not kinds:
        notes.append("there is no taxonomy.json; the rows have no category")
    manifest = records_manifest(rows, root)
    return keep_present(manifest, tuple(notes), not follows(options), beside(PUBLISHED, counted))


def _row(
    root: Path, file: Path, item: str, domain: str, role: str, category: str
) -> dict[str, Any]:
    x1, y1, x2, y2 = _box(file.with_name(f"{file.stem}_bbox.txt"))
    path = file.relative_to(root).as_posix()
    return {
        "image_id": f"{item}/{file.parent.name}/{file.stem}", "path": path, "item_id": item,
        "domain": domain, "role": role, "split": "test", "category": category,
        "x1": x1, "y1": y1, "x2": x2, "y2": y2,
    }  # fmt: skip


def _distractor(root: Path, file: Path) -> dict[str, Any]:
    path = file.relative_to(root).as_posix()
    return {
        "image_id": path, "path": path, "item_id": f"distractor/{path}", "domain": "shop",
        "role": "gallery", "split": "test", "category": "",
        "x1": None, "y1": None, "x2": None, "y2": None,
    }  # fmt: skip


def _box(file: Path) -> tuple[float | None, ...]:
    """The rectangle around all boxes of a file; none where there is no file, or no area."""
    if not file.is_file():
        return (None,) * 4
    boxes = []
    for number, line in enumerate(read_text(file).decode().splitlines(), 1):
        words = line.split()
        try:
            x, y, width, height = map(float, words)
        except ValueError:
            if not words:
                continue
            raise DataError(f"{file}, line {number}: expected x y width height") from None
        if width > 0 and height > 0 and np.isfinite([x, y, width, height]).all():
            boxes.append((x, y, x + width, y + height))
    if not boxes:
        return (None,) * 4
    corners = np.asarray(boxes)
    low, high = corners[:, :2].min(axis=0).tolist(), corners[:, 2:].max(axis=0).tolist()
    return (*low, *high)


def _kinds(root: Path) -> dict[str, str]:
    """Object → ``coarse/mid`` of the taxonomy."""
    file = root / "taxonomy.json"
    if not file.is_file():
        return {}
    try:
        return {
            str(name): f"{coarse}/{mid}"
            for coarse, mids in read_json(file).items()
            for mid, fines in mids.items()
            for names in fines.values()
            for name in names
        }
    except (AttributeError, TypeError):
        raise DataError(f"{file} isn't ILIAS's taxonomy: three levels, then names") from None


def _distractors(root: Path, options: Options) -> Iterator[Path]:
    given = options.get("distractors")
    folder = root / (given or "yfcc100m")
    if given is not None and not folder.is_dir():
        raise UsageError(f"distractors={given}: there is no folder {folder}")
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(_IMAGES):
                yield Path(place) / name


READERS: Mapping[str, ReaderSpec] = {
    "ilias": ReaderSpec(
        name="ilias",
        summary="ILIAS: photos of particular objects among distractors of YFCC100M.",
        get="https://vrg.fel.cvut.cz/ilias_data/ has the core and the distractors' shards",
        licence="CC BY 4.0 for captured images; others as their addresses say",
        reader=_read,
        folder=True,
        options={
            "distractors": "folder of unpacked distractors below the root; default yfcc100m",
            **LINKS,
        },
    )
}

ILIAS = figures(
    "ILIAS, CVPR 2025, website",
    "map@1000",
    {
        "AlexNet (tv_in1k)": 0.013,
        "VGG-16 (tv_in1k)": 0.016,
        "ResNet-50 (tv_in1k)": 0.018,
        "ResNet-101 (tv_in1k)": 0.018,
    },
    "100 million distractors; images of 384 px",
)


def ilias(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Every image query among the positives and the distractors."""
    role, items = roles(manifest), text_column(manifest, "item_id")
    queries, gallery = np.flatnonzero(role == "query"), np.flatnonzero(role == "gallery")
    own = np.char.startswith(items[gallery], "distractor/")
    gallery = np.concatenate([gallery[~own], gallery[own]])
    stated = {
        "queries": "every image query",
        "gallery": f"all positives and {int(own.sum()):,} distractors",
        "items": "a test set: nothing of it is trained on",
        "published_counts": "; ".join(
            (
                compared(PUBLISHED["image queries"], len(queries), "queries"),
                compared(PUBLISHED["positive images"], int((~own).sum()), "positives"),
                compared(DISTRACTORS, int(own.sum()), "distractors"),
            )
        ),
    }
    held_out = set(items[queries].tolist())
    return (match_items("ilias", manifest, queries, gallery, choices, stated, held_out),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "ilias": ProtocolSpec(
        ilias,
        queries="every image query",
        gallery="all positives and the distractors that are here; mAP@1k",
        products="a test set; kept out of training",
        measures=("map@1000",),
        published=ILIAS,
    )
}
