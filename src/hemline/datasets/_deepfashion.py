"""Shared by DeepFashion's benchmarks: list files, boxes, landmarks and the large release.

Source: Z. Liu, P. Luo, S. Qiu, X. Wang, X. Tang, "DeepFashion: Powering Robust Clothes Recognition
and Retrieval with Rich Annotations", CVPR 2016, and the README of each benchmark.

- A list's first line is a count, its second a header (`list_item_*` has no header), then rows
  padded with blanks; some files have a byte-order mark and Windows line endings.
- Landmarks: a visibility (0 visible, 1 occluded, 2 cut off), x, y; six of upper, four of lower,
  eight of full-body clothes. The lists' *left* is the left of an image from the front, so the
  wearer's right; the manifest's is the wearer's. On a view from behind the two agree.
- Boxes and landmarks are for the small images (`img.zip`), even if the large ones
  (`img_highres.zip`) accompany the lists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.images import in_order, picture_size
from hemline.data.manifest import Manifest
from hemline.data.manifest.validate import BOX, SCHEMA
from hemline.datasets._arrow import Floats, Ints, Mask, index_of, pa, pc, words
from hemline.datasets._base import LINKS, Options, ReadReport, choice, more_notes
from hemline.datasets._files import fullest, leaves
from hemline.datasets._lists import Lines, read_text
from hemline.errors import DataError, ImageError
from hemline.files import absolute
from hemline.types import ABSENT, LANDMARKS, OCCLUDED, VISIBLE

GET = (
    "ask for the password as https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html says, then "
    "unpack img.zip beside the folders Anno and Eval"
)
LICENCE = "non-commercial research only; the pictures are not the publishers' own"
#: Options of the readers of both benchmarks.
OPTIONS = {
    "images": "the folder that stands for the lists' img; default img, Img/img or Img",
    "boxes": "auto: scaled where the pictures are the large release's; or listed",
    **LINKS,
}
GROUPS = {1: "upper", 2: "lower", 3: "full"}
VARIATIONS = {
    1: "normal pose",
    2: "medium pose",
    3: "large pose",
    4: "medium zoom-in",
    5: "large zoom-in",
}
#: Clothes type → indices of its landmarks among the manifest's eight, in the lists' order.
_SLOTS = {1: (0, 1, 2, 3, 6, 7), 2: (4, 5, 6, 7), 3: tuple(range(8))}
#: Left and right swapped.
_SWAPPED = np.array([1, 0, 3, 2, 5, 4, 7, 6])
_SEEN = {0: VISIBLE, 1: OCCLUDED, 2: ABSENT}
#: Larger coordinates are invalid.
FAR = 1e6
#: Lines of landmarks processed at a time, to limit memory.
_ROWS = 32_768
_FOLDERS = ("Anno", "Eval", "", "anno", "eval")
_PICTURES = ("img", "Img/img", "Img", "img_highres", "Img/img_highres")


def find_list(root: Path, name: str) -> Path | None:
    """The list file in ``Anno``, ``Eval`` or the root itself; None if it is missing."""
    return next((root / f / name for f in _FOLDERS if (root / f / name).is_file()), None)


def needed_list(root: Path, name: str) -> Path:
    """As `find_list`.

    Raises:
        DataError: it is missing.
    """
    file = find_list(root, name)
    if file is None:
        raise DataError(
            f"{root} has no {name}, nor have its folders Anno and Eval; the root is the folder "
            "that holds these two"
        )
    return file


def read_list(file: Path, header: bool = True) -> tuple[Lines, list[str]]:
    """The rows of a list, and a note if their number differs from its first line.

    Raises:
        DataError: it has no rows or doesn't begin with a count.
    """
    lines = Lines.of(read_text(file), str(file))
    skip = 2 if header else 1
    if len(lines) <= skip:
        raise DataError(f"{file} lists nothing; expected a count, a header and rows")
    stated, good = lines.take(slice(0, 1)).integers(0)
    if not good.all() or lines.counts[0] != 1:
        lines.fail(0, "is no count; a list begins with the number of its rows")
    rows = lines.take(slice(skip, None))
    if int(stated[0, 0]) == len(rows):
        return rows, []
    return rows, [f"{file.name} says that it has {int(stated[0, 0]):,} rows, and has {len(rows):,}"]


def picture_folder(root: Path, options: Options, names: Any) -> tuple[Path, Any]:
    """The folder in place of ``img/`` of the listed ``names`` (N,), and the paths in it.

    Raises:
        DataError: there is none.
    """
    paths = pc.replace_substring_regex(names, "^img/", "")
    given = options.get("images")
    candidates = (given, f"{given}/img") if given is not None else _PICTURES
    found = [root / c for c in candidates if (root / c).is_dir()]
    if not found:
        looked = ", ".join(str(root / c) for c in candidates)
        raise DataError(f"there is no folder of pictures; looked for {looked} (images=FOLDER)")
    return absolute(fullest(found, [p for p in paths.to_pylist() if not leaves(p)])), paths


def respelt(folder: Path, paths: Any, pairs: Sequence[tuple[str, str]]) -> tuple[Any, list[str]]:
    """``paths`` in the spelling of the files, and a note on each change.

    A pair is the lists' spelling and another one, which is used if, of the first hundred listed
    images with the lists' spelling, none exists and one with the other spelling does.
    """
    notes = []
    for listed, other in pairs:
        with_it = paths.filter(pc.match_substring(paths, listed)).slice(0, 100).to_pylist()
        if any(os.path.lexists(folder / path) for path in with_it):
            continue
        there = [p for p in with_it if os.path.lexists(folder / p.replace(listed, other))]
        if there:
            paths = pc.replace_substring(paths, listed, other)
            notes.append(f"the lists write {listed}, the pictures {other}; taken as the same")
    return paths, notes


def boxes_of(lines: Lines, k: int) -> tuple[Floats, list[str]]:
    """Words ``k`` to ``k + 4`` of each line as boxes (N, 4), NaN if invalid; and notes."""
    boxes = lines.numbers_at(k, 4)
    with np.errstate(invalid="ignore"):
        flat = ~((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        wrong = flat | ~(np.abs(boxes) < FAR).all(axis=1)
    boxes[wrong] = np.nan
    if not wrong.any():
        return boxes, []
    first = int(np.flatnonzero(wrong)[0])
    return boxes, [
        f"{int(wrong.sum()):,} rows have a box without area or none at all, as "
        f"{lines.word(first, 0)}; they stay, without box"
    ]


def box_columns(boxes: Floats) -> dict[str, Any]:
    """(N, 4) with NaN → the manifest's four columns."""
    none = np.isnan(boxes).any(axis=1)
    return {name: pa.array(boxes[:, k], mask=none) for k, name in enumerate(BOX)}


def marks_column(marks: npt.NDArray[np.float32], given: Mask) -> Any:
    """(N, 8, 3) x, y, visibility → the manifest's column; null where not ``given`` (N,)."""
    if not given.any():
        return pa.nulls(len(marks), SCHEMA["landmarks"])
    offsets = np.append(0, np.cumsum(np.where(given, 24, 0))).astype(np.int32)
    flat = pa.array(marks[given].ravel(), pa.float32())
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~given))


def words_of(codes: Ints, known: dict[int, str]) -> Any:
    """Integers (N,) → their words in ``known``; empty for any other."""
    table = np.array([known.get(k, "") for k in range(max(known) + 1)], object)
    inside = (codes >= 0) & (codes < len(table))
    return words(table[np.where(inside, codes, 0)])


def landmarks_of(
    file: Path, names: Any, behind: Mask
) -> tuple[npt.NDArray[np.float32], Mask, Ints, list[str]]:
    """The landmarks of the images ``names`` (N,) and their variation.

    ``behind`` (N,): views from behind, where the lists' left is the wearer's.

    Returns:
        (N, 8, 3) landmarks, (N,) mask of images that have them, (N,) variation 1-5 or 0, notes.

    Raises:
        DataError: the list is damaged.
    """
    lines, notes = read_list(file)
    lines.at_least(3, "picture, clothes type, variation and landmarks")
    where = index_of(names, lines.column(0))
    marks = np.zeros((len(names), len(LANDMARKS), 3), np.float32)
    given = np.zeros(len(names), bool)
    variation = np.zeros(len(names), np.int64)
    kinds = lines.choices(1, tuple(_SLOTS), "clothes type")
    wrong = 0
    steps = [
        (slots, rows[at : at + _ROWS])
        for kind, slots in _SLOTS.items()
        for rows in (np.flatnonzero(kinds == kind),)
        for at in range(0, len(rows), _ROWS)
    ]
    for slots, rows in steps:
        part = lines.take(rows)
        size = 3 + 3 * len(slots)
        if not np.isin(part.counts, (size, 27)).all():
            part.expect(size, f"picture, clothes type, variation and {len(slots)} landmarks")
        at, seen = where[rows], part.numbers_at(3, 3 * len(slots)).reshape(-1, len(slots), 3)
        with np.errstate(invalid="ignore"):
            state = np.select([seen[..., 0] == k for k in _SEEN], list(_SEEN.values()), -1)
            known = (state >= 0) & (np.abs(seen[..., 1:]) < FAR).all(axis=-1)
        wrong += int((~known).sum())
        shown = known & (state != ABSENT)
        points = np.where(shown[..., None], seen[..., 1:], 0)
        one = np.concatenate([points, np.where(shown, state, ABSENT)[..., None]], axis=-1)
        eight = np.zeros((len(rows), len(LANDMARKS), 3), np.float32)
        eight[:, list(slots)] = one
        eight = np.where(behind[at][:, None, None], eight, eight[:, _SWAPPED])
        here = at >= 0
        marks[at[here]] = eight[here]
        given[at[here]] = True
        variation[at[here]] = part.integers(2)[0][here, 0]
    if wrong:
        notes.append(f"{wrong:,} landmarks have no place or no visibility 0-2; taken as absent")
    return marks, given, variation, notes


def add_landmarks(
    root: Path, name: str, names: Any, behind: Mask, columns: dict[str, Any]
) -> list[str]:
    """Adds the landmarks and variation of the list ``name``, if there is one; returns notes.

    ``names`` (N,) and ``behind`` (N,) are as of `landmarks_of`.
    """
    file = find_list(root, name)
    if file is None:
        return [f"there is no {name}; the rows have no landmarks"]
    marks, given, variation, notes = landmarks_of(file, names, behind)
    columns["landmarks"] = marks_column(marks, given)
    columns["variation"] = words_of(variation, VARIATIONS)
    return notes


def to_large(
    manifest: Manifest, report: ReadReport, options: Options, side: int, padded: bool
) -> tuple[Manifest, ReadReport]:
    """Boxes and landmarks scaled to the images, if a sample of forty is larger than listed.

    ``side``: the long side in pixels that the lists are for; ``padded``: they are for a square of
    this side with the image centred.
    """
    if choice(options, "boxes", ("auto", "listed")) == "listed":
        return manifest, report
    files = [os.path.join(str(manifest.root), p) for p in manifest.table["path"].to_pylist()]
    sample = _sizes(files[:: max(1, len(files) // 40)]).max(axis=1)
    measured = sample[~np.isnan(sample)]
    if not len(measured) or (measured > side).mean() <= 0.5:
        return manifest, report
    size = _sizes(files)
    unread = np.isnan(size[:, 0])
    long = size.max(axis=1)
    scale = long / side
    shift = (side - size / scale[:, None]) / 2 if padded else np.zeros_like(size)
    boxes = (manifest.boxes() - np.tile(shift, 2)) * scale[:, None]
    boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, size[:, :1])
    boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, size[:, 1:])
    table = manifest.table
    columns = {name: table[name] for name in table.column_names} | box_columns(boxes)
    given = table["landmarks"].is_valid().to_numpy(zero_copy_only=False)
    marks = np.zeros((len(manifest), len(LANDMARKS), 3), np.float32)
    flat = pc.list_flatten(table["landmarks"]).to_numpy(zero_copy_only=False)
    marks[given] = flat.reshape(-1, len(LANDMARKS), 3)
    moved = (marks[..., :2] - shift[:, None]) * scale[:, None, None]
    marks[..., :2] = np.where(marks[..., 2:] == ABSENT, 0, np.nan_to_num(moved))
    columns["landmarks"] = marks_column(marks, given & ~unread)
    notes = [
        f"the pictures are the large ones (long side up to {np.nanmax(long):g} pixels); boxes "
        f"and landmarks are made for {side} and scaled to each picture"
    ]
    if unread.any():
        notes.append(f"{int(unread.sum()):,} pictures can't be measured; they have no box")
    return Manifest(pa.table(columns), manifest.root), more_notes(report, *notes)


def _sizes(files: Sequence[str]) -> Floats:
    """(N, 2) width and height; NaN if an image can't be read."""

    def one(file: str) -> tuple[float, float]:
        try:
            return picture_size(file)
        except ImageError:
            return (float("nan"), float("nan"))

    return np.array([size for _, size in in_order(one, files)], np.float64).reshape(-1, 2)
