"""A sheet of a manifest's pictures with boxes, landmarks and tags, for a person to look at."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import cv2
import numpy as np

from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.sheets import contact_sheet
from hemline.errors import DataError, ImageError, UsageError, nearest
from hemline.files import write_whole
from hemline.types import DOMAINS, SPLITS, Image, Record

_PAPER, _INK, _GREY = (250, 249, 247), (20, 20, 20), (110, 110, 110)
_LINE, _SCALE, _GAP = 14, 0.4, 8


def pick(
    manifest: Manifest,
    domain: str = "",
    split: str = "",
    items: tuple[str, ...] = (),
    count: int = 24,
    seed: int = 0,
) -> Manifest:
    """``count`` rows drawn by lot among those that match, in the manifest's order.

    Raises:
        UsageError: a domain, split or item that there is none of.
    """
    chosen = np.ones(len(manifest), bool)
    if domain:
        if domain not in DOMAINS:
            raise UsageError(f"a domain is street or shop, not {domain!r}")
        chosen &= manifest.column("domain") == domain
    if split:
        if split not in SPLITS:
            raise UsageError(f"a split is train, val or test, not {split!r}")
        chosen &= manifest.column("split") == split
    if items:
        known = manifest.column("item_id")
        for item in items:
            if not (known == item).any():
                raise UsageError(f"no item {item!r}. {nearest(item, _some(set(known)))}")
        chosen &= np.isin(known.astype(str), items)
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        raise UsageError("no row is of that domain, split and item at once")
    if len(rows) > count:
        rows = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
    return manifest.select(rows)


def _some(items: set[str]) -> list[str]:
    """All of a few items; a sentence that lists thousands helps nobody."""
    return sorted(items)[:2000] if len(items) > 20 else sorted(items)


def draw_sheet(manifest: Manifest, side: int = 224, columns: int = 0) -> tuple[Image, list[str]]:
    """The sheet of all rows and a line for each picture that can't be opened.

    Each cell is ``side`` pixels wide; ``columns`` 0 chooses about twice as wide as high.

    Raises:
        DataError: no picture can be opened.
    """
    cells, skipped = [], []
    records = list(manifest)
    for index, picture in open_many(manifest.files(), 2):
        if isinstance(picture, ImageError):
            skipped.append(str(picture))
        else:
            cells.append(_cell(picture, records[index], side))
    if not cells:
        raise DataError(f"none of the {len(manifest)} pictures can be opened; {skipped[0]}")
    height = max(len(cell) for cell in cells)
    columns = columns or _columns(len(cells), height / side)
    rows = -(-len(cells) // columns)
    sheet = np.full(
        (rows * (height + _GAP) + _GAP, columns * (side + _GAP) + _GAP, 3), _PAPER, np.uint8
    )
    for k, cell in enumerate(cells):
        top = _GAP + k // columns * (height + _GAP)
        left = _GAP + k % columns * (side + _GAP)
        sheet[top : top + len(cell), left : left + side] = cell
    return sheet, skipped


def _columns(cells: int, shape: float) -> int:
    """So many that the sheet is about 1.6 times as wide as high, with few places left empty."""
    ideal = max(1.0, np.sqrt(1.6 * cells * shape))
    near = range(max(1, round(ideal * 0.75)), max(1, round(ideal * 1.25)) + 1)
    return min(min(near, key=lambda n: (-cells % n, abs(n - ideal))), cells)


def mark(picture: Image, record: Record, side: int) -> Image:
    """The picture (H, W, 3) fitted into (side, side, 3) with the record's box and landmarks."""
    box = None if record.box is None else np.array(record.box)
    square = contact_sheet([picture], 1, None, [box], [record.landmarks], cell=side, gap=0)
    return np.asarray(square, np.uint8)


def _cell(picture: Image, record: Record, side: int) -> Image:
    """The marked picture above its words: item, where it belongs, tags."""
    place = " ".join(word for word in (record.domain, record.split, record.category) if word)
    head = [(record.item_id, _INK), (place, _GREY)]
    words = [(line, _GREY) for line in _wrap(", ".join(record.tags), side)]
    lines = [(line, ink) for text, ink in head for line in _wrap(text, side)[:1]] + words
    below = np.full((len(lines) * _LINE + 4, side, 3), _PAPER, np.uint8)
    for k, (line, ink) in enumerate(lines):
        place_at = (1, (k + 1) * _LINE - 3)
        cv2.putText(below, line, place_at, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, ink, 1, cv2.LINE_AA)
    return np.vstack([mark(picture, record, side), below])


def _wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels; OpenCV's letters are ASCII only."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode()
    lines, line = [], ""
    for word in plain.split():
        longer = f"{line} {word}".strip()
        if line and _wide(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
        while _wide(line) > width and len(line) > 1:
            cut = len(line)
            while cut > 1 and _wide(line[:cut]) > width:
                cut -= 1
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line] if line else lines


def _wide(text: str) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, 1)[0][0])


def write_sheet(manifest: Manifest, path: Path, side: int = 224) -> list[str]:
    """Draws `draw_sheet` to a .png or .jpg; gives the lines of what was left out.

    Raises:
        UsageError: another suffix.
        DataError: no picture can be opened.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"a sheet is .png or .jpg, not {path.name!r}")
    sheet, skipped = draw_sheet(manifest, side)
    _, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_whole(path, data.tobytes())
    return skipped
