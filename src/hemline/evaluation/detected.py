"""A protocol whose boxes are those that a detector finds, in place of the annotated ones."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.protocol import Crop, Protocol
from hemline.encoding import Detector, Encoder
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, best_garment, fitting_garment, margined
from hemline.types import Image

__all__ = ["Found", "detector_for", "found"]

_BATCH = 32


class Found(NamedTuple):
    """The protocol with the boxes that were found, and on which share (0-1) of each side's pictures
    there was one; the others stay whole."""

    protocol: Protocol
    queries: float
    gallery: float


def detector_for(encoder: Encoder) -> Detector:
    """The detector of the encoder's own bundle, else of the bundle that ships.

    Raises:
        BundleError: neither has one.
    """
    bundle = getattr(encoder, "bundle", None)
    if isinstance(bundle, Bundle) and bundle.info.detector is not None:
        return BundleDetector(bundle)
    return BundleDetector(Bundle.default())


def found(protocol: Protocol, detector: Detector, workers: int = 2) -> Found:
    """Looks at every picture of the protocol, as a search and a catalogue would.

    A query photo gets its best garment (`best_garment`), for nothing is known of it. A shop picture
    gets the garment that fits its category (`fitting_garment`); with the crop ``detected-query`` it
    stays whole.
    """
    least = float(getattr(detector, "threshold", 0.0))
    manifest = protocol.manifest
    boxes = np.full((len(manifest), 4), np.nan)
    both = protocol.crop == "detected"
    queries = _fill(boxes, manifest, protocol.queries, detector, least, False, workers)
    gallery = 0.0
    if both:
        gallery = _fill(boxes, manifest, protocol.gallery, detector, least, True, workers)
    table = manifest.table
    for k, name in enumerate(("x1", "y1", "x2", "y2")):
        at = table.column_names.index(name)
        kind = table.schema.field(name).type
        column = pa.array(boxes[:, k], kind, from_pandas=True)
        table = table.set_column(at, name, column)
    cut = Manifest(table, manifest.root)
    crop: Crop = "box" if both else "query"
    return Found(replace(protocol, manifest=cut, crop=crop), queries, gallery)


def _fill(
    boxes: npt.NDArray[np.float64],
    manifest: Manifest,
    rows: npt.NDArray[np.int64],
    detector: Detector,
    least: float,
    fits: bool,
    workers: int,
) -> float:
    """Puts the boxes of some rows in their place; the share that has one."""
    asked = np.unique(rows)
    images: list[Image] = []
    places: list[int] = []

    def flush() -> None:
        for row, image, seen in zip(places, images, detector.detect(images), strict=True):
            height, width = image.shape[:2]
            one = (
                fitting_garment(seen, manifest[row].category, least)
                if fits
                else best_garment(seen, width, height, least)
            )
            if one is not None:
                boxes[row] = margined(one, image)
        images.clear()
        places.clear()

    for place, image in open_many([manifest.file(int(row)) for row in asked], workers):
        if isinstance(image, Exception):
            continue
        images.append(image)
        places.append(int(asked[place]))
        if len(images) == _BATCH:
            flush()
    flush()
    return float(np.isfinite(boxes[asked, 0]).mean()) if len(asked) else 0.0
