"""Protocols with detected boxes in place of the annotated ones."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.data.protocol import Crop, Protocol
from hemline.encoding import Detector, Encoder
from hemline.evaluation.embed import image_batches
from hemline.runtime.bundle import Bundle
from hemline.runtime.detector import BundleDetector, best_garment, fitting_garment, margined


class DetectedBoxes(NamedTuple):
    """The protocol with the detected boxes, and on which share (0-1) of each side's images a
    garment was found; the other images stay whole."""

    protocol: Protocol
    queries: float
    gallery: float

    def told(self, asked: Protocol) -> str:
        """The choice of a crop, with how many images were cropped."""
        text = asked.choices.get("crop", asked.crop)
        sides = [(self.queries, asked.queries, "photos")]
        if asked.crop == "detected":
            sides.append((self.gallery, asked.gallery, "gallery pictures"))
        counts = [(len(np.unique(rows)), share, what) for share, rows, what in sides]
        cut = [f"{round(share * n):,} of {n:,} {what}" for n, share, what in counts]
        return f"{text} ({', '.join(cut)})"


def detector_for(encoder: Encoder) -> Detector:
    """The detector of the encoder's own bundle, else of the bundle that ships.

    Raises:
        BundleError: neither has one.
    """
    bundle = getattr(encoder, "bundle", None)
    if isinstance(bundle, Bundle) and bundle.info.detector is not None:
        return BundleDetector(bundle)
    return BundleDetector(Bundle.default())


def with_detected_boxes(protocol: Protocol, detector: Detector, workers: int = 2) -> DetectedBoxes:
    """Detects the garment of every image of the protocol, as a search and a catalogue would.

    A query photo gets its best garment (`best_garment`), for nothing is known of it. A shop image
    gets the garment that fits its category (`fitting_garment`); with the crop ``detected-query`` it
    stays whole.
    """
    manifest = protocol.manifest
    boxes = np.full((len(manifest), 4), np.nan)
    both = protocol.crop == "detected"
    queries = _detect(boxes, manifest, protocol.queries, detector, False, workers)
    gallery = _detect(boxes, manifest, protocol.gallery, detector, True, workers) if both else 0.0
    crop: Crop = "box" if both else "query"
    cut = replace(protocol, manifest=boxed(manifest, boxes), crop=crop)
    return DetectedBoxes(cut, queries, gallery)


def boxed(manifest: Manifest, boxes: npt.NDArray[np.float64]) -> Manifest:
    """The rows with other boxes (N, 4); one of NaN is none."""
    table = manifest.table
    for k, name in enumerate(("x1", "y1", "x2", "y2")):
        at = table.column_names.index(name)
        kind = table.schema.field(name).type
        column = pa.array(boxes[:, k], kind, from_pandas=True)
        table = table.set_column(at, name, column)
    return Manifest(table, manifest.root)


def _detect(
    boxes: npt.NDArray[np.float64],
    manifest: Manifest,
    rows: npt.NDArray[np.int64],
    detector: Detector,
    by_category: bool,
    workers: int,
) -> float:
    """Writes the boxes of some rows into ``boxes``; the share (0-1) that has one."""
    least = float(getattr(detector, "threshold", 0.0))
    unique = np.unique(rows)
    for images, places, _ in image_batches(manifest, unique, False, workers):
        for place, image, found in zip(places, images, detector.detect(images), strict=True):
            row, (height, width) = int(unique[place]), image.shape[:2]
            garment = (
                fitting_garment(found, manifest[row].category, least)
                if by_category
                else best_garment(found, width, height, least)
            )
            if garment is not None:
                boxes[row] = margined(garment, image)
    return float(np.isfinite(boxes[unique, 0]).mean()) if len(unique) else 0.0
