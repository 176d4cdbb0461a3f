"""A sheet of a manifest's images with boxes, landmarks and tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.errors import DataError, ImageError, UsageError, nearest
from hemline.types import DOMAINS, SPLITS, Image, Record
from hemline.views.cells import draw, legend, words
from hemline.views.drawing import canvas, write_image

Rows = npt.NDArray[np.int64]
_GAP = 8


class Sheet(NamedTuple):
    """A drawn sheet (H, W, 3), the number of images on it, a line for each that can't be read."""

    image: Image
    shown: int
    skipped: list[str]


def pick(
    manifest: Manifest,
    domain: str = "",
    split: str = "",
    items: tuple[str, ...] = (),
    count: int = 24,
    seed: int = 0,
) -> Manifest:
    """The rows of ``count`` matching images, drawn at random, in the manifest's order.

    All garments of a drawn image come along.

    Raises:
        UsageError: no such domain, split or item.
    """
    rows = _matching(manifest, domain, split, items)
    paths = manifest.column("path")[rows]
    _, first, inverse = np.unique(paths, return_index=True, return_inverse=True)
    if len(first) > count:
        drawn = np.random.default_rng(seed).choice(np.sort(first), count, replace=False)
        rows = rows[np.isin(first[inverse], drawn)]
    return manifest.select(rows)


def pick_pairs(
    manifest: Manifest,
    domain: str = "",
    split: str = "",
    items: tuple[str, ...] = (),
    count: int = 24,
    seed: int = 0,
) -> Manifest:
    """Random items that have street and shop images: up to three of each, item by item.

    Items are drawn until there are about ``count`` images.

    Raises:
        UsageError: as `pick`; or a domain is given, or no item has both domains.
    """
    if domain:
        raise UsageError("pairs show both domains; leave the domain out")
    rows = _matching(manifest, domain, split, items)
    names, domains = manifest.column("item_id"), manifest.column("domain")
    of: dict[str, dict[str, list[int]]] = {}
    for row in rows.tolist():
        of.setdefault(str(names[row]), {}).setdefault(str(domains[row]), []).append(row)
    both = sorted(item for item, sides in of.items() if len(sides) == len(DOMAINS))
    if not both:
        raise UsageError("no item of that split has street and shop pictures")
    chosen: list[int] = []
    for at in np.random.default_rng(seed).permutation(len(both)).tolist():
        if len(chosen) >= count:
            break
        chosen += [row for side in ("street", "shop") for row in of[both[at]][side][:3]]
    return manifest.select(np.asarray(chosen, np.int64))


def _matching(
    manifest: Manifest,
    domain: str = "",
    split: str = "",
    items: tuple[str, ...] = (),
) -> Rows:
    """(M,) rows that match, in the manifest's order."""
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
    return rows


def _some(items: set[str]) -> list[str]:
    """All of a few items, the first of many: enough for a hint at the nearest name."""
    return sorted(items)[:2000] if len(items) > 20 else sorted(items)


def draw_sheet(
    manifest: Manifest, side: int = 256, columns: int = 0, *, pairs: bool = False
) -> Sheet:
    """The sheet of all rows; rows of one image and domain share a cell.

    Each cell is ``side`` pixels wide; ``columns`` 0 chooses a sheet about 1.6 times as wide as
    high. With ``pairs`` each item has a line of its own, street images before the shop's.

    Raises:
        DataError: no image can be opened.
    """
    groups = _groups(manifest, pairs)
    files = [manifest.root / garments[0].path for garments in groups]
    cells: list[tuple[str, Image]] = []
    skipped: list[str] = []
    for index, image in open_many(files, 2):
        if isinstance(image, ImageError):
            skipped.append(str(image))
        else:
            garments = groups[index]
            cell = np.vstack([draw(image, garments, side), words(garments, side)])
            cells.append((garments[0].item_id if pairs else "", cell))
    if not cells:
        raise DataError(f"none of the {len(groups)} pictures can be opened; {skipped[0]}")
    lines = _lines(cells, columns, side)
    width = max(map(len, lines)) * (side + _GAP) + _GAP
    parts = [canvas(_GAP, width)]
    parts += [_line(line, side, width) for line in lines]
    if any(one.landmarks is not None for garments in groups for one in garments):
        note = legend(width - 2 * _GAP)
        foot = canvas(len(note) + _GAP, width)
        foot[: len(note), _GAP : width - _GAP] = note
        parts.append(foot)
    return Sheet(np.vstack(parts), len(cells), skipped)


def _groups(manifest: Manifest, pairs: bool) -> list[list[Record]]:
    """Rows of one image (and, in pairs, of one item) together, in their order."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in manifest:
        key = (record.path, record.domain, record.item_id if pairs else "")
        groups.setdefault(key, []).append(record)
    return list(groups.values())


def _lines(
    cells: Sequence[tuple[str, Image]], columns: int, side: int
) -> list[list[tuple[str, Image]]]:
    """The cells line by line; an item that is named keeps to its own lines."""
    if cells[0][0]:
        lines: list[list[tuple[str, Image]]] = []
        for cell in cells:
            if not lines or lines[-1][0][0] != cell[0]:
                lines.append([])
            lines[-1].append(cell)
        return _beside(lines)
    height = max(len(cell) for _, cell in cells)
    columns = columns or _columns(len(cells), height / side)
    return [list(cells[k : k + columns]) for k in range(0, len(cells), columns)]


def _beside(lines: list[list[tuple[str, Image]]]) -> list[list[tuple[str, Image]]]:
    """Puts short lines of two items beside each other while the sheet is higher than wide."""
    widest = max(map(len, lines))
    room = max(widest, round(np.sqrt(sum(map(len, lines)) * 1.6)))
    joined: list[list[tuple[str, Image]]] = []
    for line in lines:
        if joined and len(joined[-1]) + len(line) <= room:
            joined[-1] = joined[-1] + line
        else:
            joined.append(line)
    return joined


def _line(line: Sequence[tuple[str, Image]], side: int, width: int) -> Image:
    """One line of the sheet, (h, width, 3); a thin rule stands between two items."""
    height = max(len(cell) for _, cell in line)
    drawn = canvas(height + _GAP, width)
    for k, (item, cell) in enumerate(line):
        left = _GAP + k * (side + _GAP)
        drawn[: len(cell), left : left + side] = cell
        if k and item != line[k - 1][0]:
            drawn[:height, left - _GAP // 2 - 1 : left - _GAP // 2 + 1] = 150
    return drawn


def _columns(cells: int, shape: float) -> int:
    """So many that the sheet is about 1.6 times as wide as high, with few places left empty."""
    ideal = max(1.0, np.sqrt(1.6 * cells * shape))
    near = range(max(1, round(ideal * 0.75)), max(1, round(ideal * 1.25)) + 1)
    return min(min(near, key=lambda n: (-cells % n, abs(n - ideal))), cells)


def write_sheet(manifest: Manifest, path: Path, side: int = 256, *, pairs: bool = False) -> Sheet:
    """Writes `draw_sheet` as .png or .jpg.

    Raises:
        UsageError: another suffix.
        DataError: no image can be opened.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"a sheet is .png or .jpg, not {path.name!r}")
    sheet = draw_sheet(manifest, side, pairs=pairs)
    write_image(path, sheet.image)
    return sheet
