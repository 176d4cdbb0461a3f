"""LookBench: photos searched among shop images, right where category and all attributes agree.

Source: C. Gao and others, "LookBench: A Live and Holistic Open Benchmark for Fashion Image
Retrieval", arXiv 2601.14706, and the package ``look-bench`` 0.4.0, whose reader of the fields this
follows.

Layout: the data set's repository as downloaded, ``[vDATE/]SUBSET/query.parquet`` and
``gallery.parquet`` of four subsets (`SUBSETS`), and ``noise``, whose images stand in every gallery.
Fields: ``image`` (the file's bytes, or its path), ``category``, ``main_attribute``,
``other_attributes`` (a list, or text with commas), ``item_ID``, ``bbox``, ``task``, ``difficulty``;
all but ``image`` and ``category`` may be missing. Images given as bytes are written once, below the
root's ``images``, as a manifest names files.

Protocols ``lookbench/SUBSET``: recall@1 with *fine* relevance: an image is right if its category
and all its attributes are those of the query. ``lookbench/all`` has a figure for each subset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from hemline.data.manifest import Manifest
from hemline.data.protocol import (
    Choices,
    Protocol,
    ProtocolGroup,
    ProtocolSpec,
    Published,
    roles,
)
from hemline.data.relevance import compared, match_items, text_column
from hemline.datasets._arrow import pa
from hemline.datasets._base import Options, ReaderSpec, ReadReport, keep_present, records_manifest
from hemline.errors import DataError, UsageError
from hemline.files import make_folder, write_atomic
from hemline.parsing import parse_json

#: Subset → queries and images of its corpus, as published.
SUBSETS: Mapping[str, tuple[int, int]] = {
    "real_studio_flat": (1_011, 62_226),
    "aigen_studio": (192, 59_254),
    "real_streetlook": (1_000, 61_553),
    "aigen_streetlook": (160, 58_846),
}
NOISE = "noise"
_SIDES = {"query": "street", "gallery": "shop"}
_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif"}


def _read(root: Path, options: Options) -> tuple[Manifest, ReadReport]:
    folder = _version(root, options)
    target = root / options.get("images", "images")
    if not target.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"images={options['images']} lies outside {root}")
    rows: list[dict[str, Any]] = []
    counts: dict[str, tuple[int, int]] = {}
    for subset in (*SUBSETS, NOISE):
        before = len(rows)
        for side in _SIDES:
            rows += _rows(folder / subset, subset, side, target, root)
        if subset in SUBSETS and len(rows) > before:
            asked = sum(row["role"] == "query" for row in rows[before:])
            counts[f"queries of {subset}"] = (SUBSETS[subset][0], asked)
    if not rows:
        raise DataError(
            f"{folder} has no SUBSET/query.parquet or gallery.parquet of {', '.join(SUBSETS)}"
        )
    missing = [subset for subset in (*SUBSETS, NOISE) if not (folder / subset).is_dir()]
    notes = [f"not here: {', '.join(missing)}"] if missing else []
    return keep_present(records_manifest(rows, root), tuple(notes), True, counts)


def _version(root: Path, options: Options) -> Path:
    """The folder of the subsets: the root, or its latest version."""
    given = options.get("version")
    if given is not None:
        if not (root / given).is_dir():
            raise UsageError(f"version={given}: there is no folder {root / given}")
        return root / given
    dated = sorted(path for path in root.glob("v*") if path.is_dir())
    return dated[-1] if dated and not any((root / name).is_dir() for name in SUBSETS) else root


def _rows(
    folder: Path, subset: str, side: str, target: Path, root: Path
) -> Iterator[dict[str, Any]]:
    """The rows of one side of a subset; images given as bytes are written."""
    place = 0
    for file in sorted([*folder.glob(f"{side}.parquet"), *folder.glob(f"{side}-*.parquet")]):
        try:
            batches = pq.ParquetFile(file).iter_batches(64)
            for batch in batches:
                for cells in batch.to_pylist():
                    name = f"{subset}/{side}/{place:06d}"
                    path = _image(cells.get("image"), name, file, target, root)
                    yield _row(cells, subset, side, name, path)
                    place += 1
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise DataError(f"{file} can't be read as LookBench's: {line}") from None


def _image(cell: Any, name: str, file: Path, target: Path, root: Path) -> str:
    """The image's path relative to the root; its bytes are written below ``target``."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(data, bytes):
        suffix = next((end for start, end in _SUFFIXES.items() if data.startswith(start)), ".jpg")
        path = target / f"{name}{suffix}"
        if not path.is_file() or path.stat().st_size != len(data):
            make_folder(path.parent)
            write_atomic(path, data)
        return path.relative_to(root).as_posix()
    named = cell.get("path") if isinstance(cell, dict) else cell
    if not isinstance(named, str) or not named:
        raise DataError(f"{file}: the image of {name} is neither bytes nor a path")
    return named


def _row(cells: Mapping[str, Any], subset: str, side: str, name: str, path: str) -> dict[str, Any]:
    box = cells.get("bbox")
    sides = [float(v) for v in box] if isinstance(box, list) and len(box) == 4 else [None] * 4
    if None not in sides and not (sides[0] < sides[2] and sides[1] < sides[3]):  # type: ignore[operator]
        sides = [None] * 4
    item = cells.get("item_ID")
    return {
        "image_id": name,
        "path": path,
        "item_id": f"{subset}/{item}" if item not in (None, "") else name,
        "domain": _SIDES[side],
        "role": side,
        "split": "test",
        "category": str(cells.get("category") or "").strip(),
        "tags": _tags(cells),
        **dict(zip(("x1", "y1", "x2", "y2"), sides, strict=True)),
        "subset": subset,
        "task": str(cells.get("task") or ""),
        "difficulty": str(cells.get("difficulty") or ""),
    }


def _tags(cells: Mapping[str, Any]) -> list[str]:
    main = _words(cells.get("main_attribute"))
    others = _words(cells.get("other_attributes"))
    return list(dict.fromkeys([f"main={word}" for word in main] + [f"other={w}" for w in others]))


def _words(cell: Any) -> list[str]:
    """The attributes of a cell: a list, JSON text of one, or words with commas between them."""
    if isinstance(cell, str):
        try:
            cell = parse_json(cell) if cell.lstrip().startswith("[") else cell.split(",")
        except ValueError:
            cell = cell.split(",")
    words = cell if isinstance(cell, list) else []
    plain = (" ".join(str(word).split()) for word in words if word is not None)
    return sorted({word for word in plain if word})


READERS: Mapping[str, ReaderSpec] = {
    "lookbench": ReaderSpec(
        name="lookbench",
        summary="LookBench: studio and street photos against shop images, with attributes.",
        get="download the data set srpone/look-bench of the Hugging Face hub",
        licence="Apache-2.0 as its card says; the images are their shops'",
        reader=_read,
        folder=True,
        options={
            "version": "folder of a version below the root; default the latest, or the root",
            "images": "folder below the root that images are written to; default images",
        },
    )
}

_NOTE = (
    "the package's README, 0.4.0, prints the same numbers as nDCG@5, so which measure they are is "
    "not certain"
)
#: Models of the table, in the order of the columns aigen_streetlook, aigen_studio,
#: real_streetlook, real_studio_flat, in per cent.
_TABLE: Mapping[str, tuple[float, float, float, float]] = {
    "GR-Pro": (63.67, 54.88, 44.75, 51.55),
    "GR-Lite": (62.47, 52.08, 43.84, 51.70),
    "Marqo-FashionSigLIP": (66.27, 58.53, 42.43, 51.86),
    "Marqo-FashionCLIP": (63.22, 54.93, 41.87, 51.68),
    "SigLIP2-B/16": (57.83, 54.97, 39.35, 49.12),
    "SigLIP2-L/16": (51.89, 48.57, 35.91, 44.78),
    "PP-ShiTuV2": (30.06, 33.69, 32.77, 43.22),
    "DINOv3-ViT-L": (20.24, 27.66, 26.27, 39.85),
    "DINOv2-ViT-L": (24.29, 25.05, 22.99, 37.66),
    "CLIP-L/14": (25.28, 25.95, 21.09, 40.35),
    "CLIP-B/16": (17.86, 13.75, 16.80, 34.75),
}
_COLUMNS = ("aigen_streetlook", "aigen_studio", "real_streetlook", "real_studio_flat")


def published(subset: str) -> tuple[Published, ...]:
    """The authors' figures of a subset."""
    at = _COLUMNS.index(subset)
    return tuple(
        Published("LookBench, 2026", model, "recall@1", round(row[at] / 100, 4), _NOTE)
        for model, row in _TABLE.items()
    )


def one_subset(
    subset: str, manifest: Manifest, choices: Choices, group: ProtocolGroup | None = None
) -> tuple[Protocol, ...]:
    """The queries of a subset among its gallery and the noise.

    Raises:
        DataError: the manifest has no column ``subset``, or nothing of the subset.
    """
    part, role = _subsets(manifest), roles(manifest)
    items, kind = text_column(manifest, "item_id"), text_column(manifest, "category")
    labels = [
        (category.casefold(), frozenset(tag.casefold() for tag in tags)) if category else None
        for category, tags in zip(kind.tolist(), manifest.column("tags"), strict=True)
    ]
    queries = np.flatnonzero((part == subset) & (role == "query"))
    gallery = np.flatnonzero(np.isin(part, [subset, NOISE]) & (role == "gallery"))
    answers: dict[Any, set[str]] = {}
    for row in gallery.tolist():
        answers.setdefault(labels[row], set()).add(str(items[row]))
    answers.pop(None, None)

    def right(row: int) -> frozenset[str]:
        return frozenset(answers.get(labels[row], ()))

    asked, searched = SUBSETS[subset]
    stated = {
        "queries": f"photos of {subset}",
        "gallery": "its shop images and the noise",
        "items": "a test set: nothing of it is trained on",
        "relevance": "fine: category and all attributes are those of the query",
        "published_counts": f"{compared(asked, len(queries), 'queries')}; "
        f"{compared(searched, len(gallery), 'gallery images')}",
    }
    name = f"lookbench/{subset}"
    held_out = set(items[queries].tolist())
    made = match_items(
        name, manifest, queries, gallery, choices, stated, held_out, right=right, group=group
    )
    return (made,)


def every_subset(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """A protocol for each subset that the manifest has.

    Raises:
        DataError: it has none.
    """
    asking = set(_subsets(manifest)[roles(manifest) == "query"].tolist())
    used = [subset for subset in SUBSETS if subset in asking]
    if not used:
        raise DataError(f"protocol 'lookbench/all' finds no query of {', '.join(SUBSETS)}")
    stated = {"categories": f"{len(used)} of {len(SUBSETS)} subsets: {', '.join(used)}"}
    group = ProtocolGroup("lookbench/all", "categories", stated)
    return tuple(one_subset(subset, manifest, choices, group)[0] for subset in used)


def _subsets(manifest: Manifest) -> Any:
    if "subset" not in manifest.names:
        raise DataError(
            "the protocols of LookBench need the column 'subset'; make the manifest by 'hemline "
            "data read lookbench ROOT -o M'"
        )
    return text_column(manifest, "subset")


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "lookbench/all": ProtocolSpec(
        every_subset,
        queries="photos of each of the four subsets: a figure each, and the mean",
        gallery="the subset's shop images and the noise",
        products="a test set; right where category and all attributes agree",
    ),
    **{
        f"lookbench/{subset}": ProtocolSpec(
            partial(one_subset, subset),
            queries=f"photos of {subset}",
            gallery="its shop images and the noise",
            products="a test set; right where category and all attributes agree",
            published=published(subset),
        )
        for subset in SUBSETS
    },
}
