"""Pairs made from real photos: a garment in a street scene, and other photos of it.

Two kinds, in the column ``source``:

- ``worn``: a garment framed in a street photo, and its cut-out made to look like other photos. It
  is cut out by its mask, or in photos without masks by `hemline.synthetic.framed`, in the box that
  a detector finds.
- ``dressed``: a garment cut from a photo of its own, worn by the person of a street photo, and that
  photo made to look like others. With these come pairs of a photo with itself, changed twice.

The manifests are those of the readers ``co-parsing`` and ``clothing``. Rows keep their split, so
what is kept for a test stays there: a garment is put into scenes of its own split only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from hemline.data.garments import group_of
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.masks import open_mask, read_labels
from hemline.errors import DataError, UsageError
from hemline.synthetic.alter import altered_cutout, altered_photo
from hemline.synthetic.curves import Array
from hemline.synthetic.cutout import Cutout, cut_out
from hemline.synthetic.dress import dressed
from hemline.synthetic.framed import Shapes, framed, mean_shapes
from hemline.synthetic.pair_rows import PairSettings, row_of, save
from hemline.synthetic.photos import LABELS, SUFFIXES
from hemline.synthetic.seeds import generator
from hemline.types import SPLITS, Detection, Image, Record

#: A worn garment shows at least this share of its box and of the photo.
_FILLED, _SHOWN = 0.35, 0.025
_GROUPS = {label.lower(): values[1] for label, values in LABELS.items()}
#: Scenes that are tried until one has a place for the garment.
_TRIES = 12
#: A detection of a photo without a mask counts from this score on.
_SURE = 0.5

Say = Callable[[int, int], None]


class Unmasked(NamedTuple):
    """A folder of street photos without masks, and what finds the garments of one, (H, W, 3)."""

    folder: Path
    detect: Callable[[Image], Sequence[Detection]]


def make_pairs(
    out: Path,
    street: Manifest,
    clothing: Manifest | None,
    settings: PairSettings,
    progress: Say = lambda done, total: None,
    unmasked: Unmasked | None = None,
) -> Path:
    """Makes the pictures and ``manifest.parquet`` in a new or empty folder.

    Args:
        out: the folder.
        street: of the reader ``co-parsing``.
        clothing: of the reader ``clothing``, or None for worn garments only.
        settings: see there.
        progress: called with (done, total) garments, and photos without masks.
        unmasked: further street photos, all of the split that is made; those of ``street`` are
            left out.

    Returns:
        The manifest's path.

    Raises:
        UsageError: no such split, a folder that holds something, or one without photos.
        DataError: the split has no garment, or a photo can't be read.
    """
    if settings.split not in SPLITS:
        raise UsageError(f"the split is one of {', '.join(SPLITS)}, not {settings.split!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} isn't empty: give a new folder for the pairs")
    worn, photos = _rows(street, settings.split), _rows(clothing, settings.split)
    if not worn:
        raise DataError(f"no street photo has the split {settings.split!r}: nothing to pair")
    scenes = _Scenes(street, worn)
    rows: list[dict[str, Any]] = []
    further = scenes.without_masks(unmasked.folder) if unmasked is not None else []
    total, others = len(worn) + len(photos) + len(further), settings.others
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for done, row in enumerate(worn, 1):
            rows += _worn(out, scenes, row, settings)
            progress(done, total)
        for done, row in enumerate(photos, len(worn) + 1):
            assert clothing is not None
            garment = _cut(clothing, row)
            rows += _dressed(out, scenes, clothing, row, garment, settings)
            if garment is not None and others > 0:
                rows.append(_other(out, clothing[row], garment, settings))
                others -= 1
            progress(done, total)
        if unmasked is not None and further:
            shapes = mean_shapes(scenes.masks())
            for done, path in enumerate(further, len(worn) + len(photos) + 1):
                rows += _found(out, path, unmasked.detect, shapes, settings)
                progress(done, total)
    finally:
        cv2.setNumThreads(threads)
    table = pa.Table.from_pylist(rows)
    return Manifest.from_table(table, out).write(out / "manifest.parquet")


def _rows(manifest: Manifest | None, split: str) -> list[int]:
    if manifest is None:
        return []
    return [int(row) for row in np.flatnonzero(manifest.column("split") == split)]


class _Scenes:
    """Street photos with their masks, by row of the manifest."""

    def __init__(self, manifest: Manifest, rows: list[int]) -> None:
        if "mask" not in manifest.names:
            raise DataError("the street manifest has no masks; read it by 'co-parsing'")
        self.manifest, self.rows = manifest, rows
        self.root = manifest.file(rows[0]).parent.parent
        self.labels = read_labels(self.root / "labels.txt")

    def photo(self, row: int) -> Array:
        return open_image(self.manifest.file(row))

    def mask(self, row: int) -> Array:
        return open_mask(self.root / str(self.manifest.column("mask")[row]))

    def masks(self) -> Iterator[tuple[str, Array]]:
        """Category and mask within its box of each garment of the split."""
        for row in self.rows:
            record = self.manifest[row]
            assert record.box is not None
            x1, y1, x2, y2 = (int(value) for value in record.box)
            yield record.category, (self.mask(row) == int(record.extra["label"]))[y1:y2, x1:x2]

    def without_masks(self, folder: Path) -> list[Path]:
        """The photos of a folder that are in no split of the manifest."""
        known = {self.manifest.file(row).resolve() for row in range(len(self.manifest))}
        found = [
            path
            for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
            if path.suffix.lower() in SUFFIXES and path.resolve() not in known
        ]
        if not found:
            raise UsageError(f"{folder} holds no photo ({', '.join(SUFFIXES)}) without a mask")
        return found


def _worn(out: Path, scenes: _Scenes, row: int, settings: PairSettings) -> Iterator[dict[str, Any]]:
    record = scenes.manifest[row]
    assert record.box is not None
    photo, mask = scenes.photo(row), scenes.mask(row)
    x1, y1, x2, y2 = (int(v) for v in (record.box.x1, record.box.y1, record.box.x2, record.box.y2))
    shown = mask == int(record.extra["label"])
    part = shown[y1:y2, x1:x2]
    if part.mean() < _FILLED or shown.mean() < _SHOWN:
        return
    item, tags = f"worn-{record.item_id}", record.tags
    path = str(scenes.manifest.file(row))
    yield row_of(path, item, "street", record, settings, "worn", tags, record.box)
    alpha = part.astype(np.uint8) * 255
    for view in range(settings.cutouts):
        rng = generator(settings.seed, item, view)
        picture = altered_cutout(photo[y1:y2, x1:x2], alpha, rng, settings.strength)
        path = save(out, f"worn/{record.item_id}-{view}.jpg", picture)
        yield row_of(path, item, "shop", record, settings, "worn", tags)


def _found(
    out: Path,
    path: Path,
    detect: Callable[[Image], Sequence[Detection]],
    shapes: Shapes,
    settings: PairSettings,
) -> Iterator[dict[str, Any]]:
    """As `_worn`, of the garments that the detector finds; their kind isn't known."""
    photo = open_image(path)
    for number, (box, category, score) in enumerate(detect(photo)):
        shape = shapes.get(group_of(category))
        cut = framed(photo, box, shape) if score >= _SURE and shape is not None else None
        if cut is None or cut.sum() < _SHOWN * photo[..., 0].size:
            continue
        name = f"{path.stem}-found{number}"
        record = Record(name, str(path.resolve()), name, "street", category=category, box=box)
        yield row_of(record.path, f"worn-{name}", "street", record, settings, "worn", (), box)
        x1, y1 = int(box.x1), int(box.y1)
        part = photo[y1 : y1 + cut.shape[0], x1 : x1 + cut.shape[1]]
        for view in range(settings.cutouts):
            rng = generator(settings.seed, name, view)
            alpha = cut.astype(np.uint8) * 255
            picture = altered_cutout(part, alpha, rng, settings.strength)
            made = save(out, f"worn/{name}-{view}.jpg", picture)
            yield row_of(made, f"worn-{name}", "shop", record, settings, "worn", ())


def _dressed(
    out: Path,
    scenes: _Scenes,
    clothing: Manifest,
    row: int,
    garment: Cutout | None,
    settings: PairSettings,
) -> Iterator[dict[str, Any]]:
    record = clothing[row]
    photo = open_image(clothing.file(row))
    item, tags = f"dressed-{record.item_id}", record.tags
    for view in range(settings.photos):
        rng = generator(settings.seed, item, "photo", view)
        path = save(
            out,
            f"photos/{record.item_id}-{view}.jpg",
            altered_photo(photo, rng, settings.strength),
        )
        yield row_of(path, item, "shop", record, settings, "dressed", tags)
    for view in range(settings.retakes):
        rng = generator(settings.seed, item, "retake", view)
        again = altered_photo(photo, rng, settings.strength)
        path = save(out, f"retakes/{record.item_id}-{view}.jpg", again)
        yield row_of(path, item, "street", record, settings, "retaken", tags)
    if garment is None:
        return
    group = _GROUPS[record.category]
    for view in range(settings.scenes):
        rng = generator(settings.seed, item, "scene", view)
        for _ in range(_TRIES):
            at = scenes.rows[int(rng.integers(len(scenes.rows)))]
            pair = (garment.image, garment.alpha)
            made = dressed(scenes.photo(at), scenes.mask(at), scenes.labels, pair, group, rng)
            if made is not None:
                path = save(out, f"scenes/{record.item_id}-{view}.jpg", made.image)
                yield row_of(path, item, "street", record, settings, "dressed", tags, made.box)
                break


def _cut(clothing: Manifest, row: int) -> Cutout | None:
    """The garment of a photo, or None where it is none that a person could be dressed in."""
    if clothing[row].category not in _GROUPS:
        return None
    return cut_out(open_image(clothing.file(row)))


def _other(out: Path, record: Record, garment: Cutout, settings: PairSettings) -> dict[str, Any]:
    item = f"other-{record.item_id}"
    rng = generator(settings.seed, item)
    picture = altered_cutout(garment.image, garment.alpha, rng, settings.strength)
    path = save(out, f"others/{record.item_id}.jpg", picture)
    return row_of(path, item, "shop", record, settings, "other", record.tags)
