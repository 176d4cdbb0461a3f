"""A manifest whose boxes are a detector's, for training and evaluation on detected crops.

DARN (ICCV 2015, section 3) crops both sides by a detector, AHBN (TCSVT 2021, section IV-A) the shop
images of Street2Shop. The images stay as they are: only the boxes change, so a recipe with
``data.crop: box`` and a protocol with ``--crop box`` cut them.

A photo gets its best garment (`best_garment`), as a search does; a shop image the garment of its
category (`fitting_garment`), as a catalogue does, or its best one where the detector doesn't know
the category (DARN's are numbers). Each row of an image with several boxes gets the garment that
overlaps its own box most, by half at least.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hemline.data.boxes import overlaps
from hemline.data.detector_outputs import layer_of
from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.encoding import Detector
from hemline.errors import UsageError
from hemline.files import make_folder
from hemline.progress import Advance, no_advance
from hemline.runtime.detector import best_garment, fitting_garment, grown
from hemline.types import Box, Detection, Image

Floats = npt.NDArray[np.float64]
Without = Literal["whole", "keep", "drop"]
#: What happens to a row whose image shows no garment.
WITHOUT: dict[Without, str] = {
    "whole": "they stay, without a box: the whole image",
    "keep": "they keep the box that they had",
    "drop": "they are left out",
}
#: Columns with the box that a row had before, and with what was found.
LISTED, FOUND, SCORE = ("listed_x1", "listed_y1", "listed_x2", "listed_y2"), "detected", "score"
_BOX = ("x1", "y1", "x2", "y2")
#: Least overlap of a garment with the box of a row whose image has several.
_SAME = 0.5
_BATCH = 16


@dataclass(frozen=True, slots=True)
class DetectedGarments:
    """An image's size and the garments found in it, best score first."""

    width: int
    height: int
    garments: tuple[Detection, ...]


@dataclass(slots=True)
class CropReport:
    """What became of the rows of each side.

    Attributes:
        rows: side → rows that were to be cropped.
        cropped: side → rows that have a garment's box now.
        without: side → rows whose image shows none.
        unreadable: (path, reason) of images that can't be read; their rows stay as they were.
        landmarks_outside: landmarks outside the new box, which count as absent now.
        remembered: images that an earlier run had looked at.
    """

    rows: dict[str, int] = field(default_factory=dict)
    cropped: dict[str, int] = field(default_factory=dict)
    without: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    landmarks_outside: int = 0
    remembered: int = 0


def crop_manifest(
    manifest: Manifest,
    detector: Detector,
    *,
    sides: Sequence[str] = ("street", "shop"),
    without: Without = "whole",
    journal: Path | None = None,
    workers: int | None = None,
    advance: Advance = no_advance,
) -> tuple[Manifest, CropReport]:
    """The manifest with the boxes that ``detector`` finds, with its margin, and a report.

    Further columns: ``listed_x1`` … ``listed_y2`` have the box that a row had, ``detected`` and
    ``score`` the garment. A landmark outside the new box becomes absent.

    Args:
        sides: domains whose rows are cropped; those of the other keep their boxes.
        without: what happens to rows whose image shows no garment (`WITHOUT`).
        journal: file of what was found, appended to, so that an interrupted run resumes; or None.
        workers: threads that decode.
        advance: called with (images done, images).

    Raises:
        UsageError: no row is of these sides, or none would be left.
    """
    domain = np.asarray(manifest.column("domain"), np.str_)
    rows = np.flatnonzero(np.isin(domain, list(sides)))
    if len(rows) == 0:
        raise UsageError(f"no row of the manifest is of the domain {' or '.join(sides)}")
    report = CropReport()
    found = _look(manifest, rows, detector, journal, workers, advance, report)
    boxes, names, scores = manifest.boxes(), [""] * len(manifest), np.full(len(manifest), np.nan)
    listed, kept = boxes.copy(), np.ones(len(manifest), bool)
    several = _several(manifest, rows)
    for side in sides:
        own = rows[domain[rows] == side]
        counts = {"cropped": 0, "without": 0}
        for row in own.tolist():
            seen = found.get(str(manifest.file(row)))
            if seen is None:
                continue
            garment = _garment_of(seen, manifest, row, several, float(detector_threshold(detector)))
            counts["without" if garment is None else "cropped"] += 1
            if garment is not None:
                boxes[row] = grown(garment.box, seen.width, seen.height)
                names[row], scores[row] = garment.category, garment.score
            elif without == "whole":
                boxes[row] = np.nan
            elif without == "drop":
                kept[row] = False
        report.rows[side] = len(own)
        report.cropped[side], report.without[side] = counts["cropped"], counts["without"]
    if not kept.any():
        raise UsageError("no garment was found in any image, so no row is left")
    marks, report.landmarks_outside = _landmarks(manifest, boxes, rows)
    made = _columns(manifest, boxes, listed, names, scores, marks)
    return (made if kept.all() else made.select(kept)), report


def detector_threshold(detector: Detector) -> float:
    """The least score of a garment that is taken."""
    return float(getattr(detector, "threshold", 0.0))


def _look(
    manifest: Manifest, rows: npt.NDArray[np.int64], detector: Detector, journal: Path | None,
    workers: int | None, advance: Advance, report: CropReport,
) -> dict[str, DetectedGarments]:  # fmt: skip
    """File → what is found in it; files that can't be read are left out and reported."""
    files = list(dict.fromkeys(str(manifest.file(int(row))) for row in rows))
    found: dict[str, DetectedGarments] = {}
    with _Journal(journal, detector) as kept:
        for file in files:
            seen = kept.known(file)
            if seen is not None:
                found[file] = seen
        report.remembered = len(found)
        missing = [file for file in files if file not in found]
        images: list[tuple[str, Image]] = []
        for place, image in open_many(missing, workers):
            if isinstance(image, Exception):
                report.unreadable.append((missing[place], str(image)))
            else:
                images.append((missing[place], image))
            if len(images) == _BATCH:
                _detect(images, detector, found, kept)
                images = []
            advance(report.remembered + place + 1, len(files))
        _detect(images, detector, found, kept)
    return found


def _detect(
    images: list[tuple[str, Image]],
    detector: Detector,
    found: dict[str, DetectedGarments],
    journal: _Journal,
) -> None:
    garments = detector.detect([image for _, image in images]) if images else []
    for (file, image), some in zip(images, garments, strict=True):
        found[file] = DetectedGarments(image.shape[1], image.shape[0], tuple(some))
        journal.record(file, found[file])


def _several(manifest: Manifest, rows: npt.NDArray[np.int64]) -> frozenset[int]:
    """The rows of images that have several boxes."""
    boxes: dict[str, set[tuple[float, ...]]] = defaultdict(set)
    values = manifest.boxes()
    paths = manifest.column("path")
    for row in rows.tolist():
        if np.isfinite(values[row]).all():
            boxes[paths[row]].add(tuple(values[row]))
    return frozenset(row for row in rows.tolist() if len(boxes[paths[row]]) > 1)


def _garment_of(
    seen: DetectedGarments, manifest: Manifest, row: int, several: frozenset[int], least: float
) -> Detection | None:
    sure = [garment for garment in seen.garments if garment.score >= least]
    record = manifest[row]
    if row in several and record.box is not None:
        shares = overlaps([record.box], [garment.box for garment in sure])[0]
        best = int(shares.argmax()) if len(sure) else -1
        return sure[best] if best >= 0 and shares[best] >= _SAME else None
    if record.domain == "shop" and layer_of(record.category):
        return fitting_garment(sure, record.category)
    return best_garment(sure, seen.width, seen.height)


def _landmarks(
    manifest: Manifest, boxes: Floats, rows: npt.NDArray[np.int64]
) -> tuple[list[list[float] | None], int]:
    """The landmarks, absent where they lie outside a cropped row's box, and how many do."""
    marks: list[list[float] | None] = manifest.table["landmarks"].to_pylist()
    outside = 0
    for row in rows.tolist():
        given = marks[row]
        if given is None or not np.isfinite(boxes[row]).all():
            continue
        points = np.asarray(given, np.float64).reshape(8, 3)
        low, high = boxes[row, :2], boxes[row, 2:]
        out = ((points[:, :2] < low) | (points[:, :2] >= high)).any(axis=1) & (points[:, 2] > 0)
        outside += int(out.sum())
        points[out] = 0.0
        marks[row] = points.ravel().tolist()
    return marks, outside


def _columns(
    manifest: Manifest, boxes: Floats, listed: Floats, names: list[str], scores: Floats,
    marks: list[list[float] | None],
) -> Manifest:  # fmt: skip
    """The manifest with the new columns; the listed box is that before the first crop."""
    table = manifest.table
    values: dict[str, Any] = {name: boxes[:, k] for k, name in enumerate(_BOX)}
    if LISTED[0] not in manifest.names:
        values |= {name: listed[:, k] for k, name in enumerate(LISTED)}
    values |= {SCORE: scores}
    columns = {name: pa.array(column, from_pandas=True) for name, column in values.items()}
    columns |= {FOUND: pa.array(names), "landmarks": pa.array(marks, table["landmarks"].type)}
    for name, column in columns.items():
        if name in table.column_names:
            at = table.column_names.index(name)
            column = column.cast(table.schema.field(name).type)
            table = table.set_column(at, name, column)
        else:
            table = table.append_column(name, column)
    return Manifest.from_table(table, manifest.root)


class _Journal:
    """What was found, a line of JSON for each image, keyed by path, size and modification time."""

    def __init__(self, path: Path | None, detector: Detector) -> None:
        self._path = path
        self._known: dict[tuple[str, int, int], DetectedGarments] = {}
        name = getattr(detector, "fingerprint", detector.name)
        self._head = {"hemline_crops": 1, "detector": name}

    def __enter__(self) -> _Journal:
        self._stream = None
        if self._path is not None:
            try:
                make_folder(self._path.parent)
                whole = self._read(self._path) if self._path.is_file() else 0
                self._stream = self._path.open("r+b" if whole else "wb")
                self._stream.truncate(whole)
                self._stream.seek(whole)
            except OSError as error:
                raise UsageError(f"{self._path} can't be used: {error.strerror}") from None
            if not whole:
                self._write(self._head)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def known(self, file: str) -> DetectedGarments | None:
        key = _key(file)
        return None if key is None else self._known.get(key)

    def record(self, file: str, seen: DetectedGarments) -> None:
        garments = [[*map(float, g.box), g.category, float(g.score)] for g in seen.garments]
        size = [seen.width, seen.height]
        self._write({"file": _key(file), "size": size, "garments": garments})

    def _read(self, path: Path) -> int:
        """Reads the complete lines → their bytes; 0 if they are another detector's."""
        end = 0
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                    if number == 0 and entry != self._head:
                        return 0
                    if number and entry is not None:
                        found = tuple(
                            Detection(Box(*one[:4]), one[4], one[5]) for one in entry["garments"]
                        )
                        (width, height), (name, size, changed) = entry["size"], entry["file"]
                        self._known[name, size, changed] = DetectedGarments(width, height, found)
                except (ValueError, KeyError, TypeError, IndexError):
                    entry = None
                if entry is None:
                    break
                end += len(line)
        return end

    def _write(self, entry: dict[str, Any]) -> None:
        if self._stream is not None:
            self._stream.write((json.dumps(entry) + "\n").encode("ascii"))
            self._stream.flush()


def _key(file: str) -> tuple[str, int, int] | None:
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    return file, status.st_size, status.st_mtime_ns
