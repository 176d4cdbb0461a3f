"""A bundle's detector as an `hemline.encoding.Detector`: images in, garments out, no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hemline.bundle import DETECTOR, DetectorInfo
from hemline.data.detector_outputs import decode, layer_of
from hemline.data.garments import group_of, kind_of
from hemline.data.preprocess import prepare
from hemline.errors import NoDetectorError, UsageError
from hemline.runtime.bundle import Bundle, check_threads
from hemline.types import Box, Detection, Image

__all__ = [
    "MARGIN",
    "BundleDetector",
    "best_garment",
    "clothes",
    "fitting_garment",
    "garment_boxes",
    "grown",
    "margined",
]

#: Margin around a box before it is cropped, as a share of its sides: hems lie just outside.
MARGIN = 0.05
#: Groups that a search doesn't choose; they are detected so as not to be taken for clothes.
_NO_CLOTHES = ("footwear", "bag")


class BundleDetector:
    """Runs the detector of a bundle.

    Attributes:
        bundle: the bundle it runs.
        info: of the detector.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, batch: int = 8) -> None:
        """
        Args:
            bundle: an open bundle.
            threads: for one run of the graph; None leaves it to ONNX Runtime.
            batch: images per run.

        Raises:
            NoDetectorError: the bundle has no detector.
        """
        check_threads(threads)
        if batch < 1:
            raise UsageError(f"batch is at least 1, not {batch}")
        if bundle.info.detector is None:
            raise NoDetectorError(
                f"the bundle {bundle.info.name} in {bundle.folder} has no detector; "
                f"'hemline export DETECTOR_RUN -o {bundle.folder}' puts one in, and its catalogues "
                "stay valid"
            )
        self.bundle = bundle
        self.info: DetectorInfo = bundle.info.detector
        self._threads = threads
        self._batch = batch

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def fingerprint(self) -> str:
        return self.info.fingerprint

    @property
    def threshold(self) -> float:
        """The least score of a garment that is shown."""
        return self.info.heads.threshold

    def detect(self, images: Sequence[Image]) -> list[tuple[Detection, ...]]:
        """The garments of upright (H, W, 3) images, best score first, with boxes inside them."""
        session: Any = self.bundle.session(DETECTOR, self._threads)
        names = [port.name for port in session.get_outputs()]
        heads = self.info.heads
        found: list[tuple[Detection, ...]] = []
        for start in range(0, len(images), self._batch):
            some = images[start : start + self._batch]
            batch = np.stack([prepare(image, heads.preprocessing, "street") for image in some])
            outputs = dict(zip(names, session.run(None, {"images": batch}), strict=True))
            found += [
                decode(outputs, row, heads, image.shape[1], image.shape[0])
                for row, image in enumerate(some)
            ]
        return found

    def sure(self, image: Image) -> tuple[Detection, ...]:
        """The garments of an image whose score is at least the threshold, best score first."""
        (found,) = self.detect([image])
        return tuple(one for one in found if one.score >= self.threshold)


def clothes(detections: Sequence[Detection]) -> list[Detection]:
    """The detections without shoes and bags, in their order."""
    return [d for d in detections if group_of(d.category) not in _NO_CLOTHES]


def best_garment(
    detections: Sequence[Detection], width: int, height: int, min_score: float = 0.0
) -> Detection | None:
    """The garment that a photo of ``width × height`` pixels most likely shows, or None.

    It has the largest score × √(share of the image that its box covers), reduced with the distance
    of its centre from the middle, so that passers-by and garments cut off at the edge come behind
    the one in front. Shoes and bags are left out.
    """
    sure = [d for d in clothes(detections) if d.score >= min_score]
    return max(sure, key=lambda d: _standing(d, width, height), default=None)


def _standing(found: Detection, width: int, height: int) -> float:
    box = found.box
    share = box.width * box.height / (width * height)
    aside = abs((box.x1 + box.x2) / width - 1.0)
    return float(found.score * share**0.5 * (1.0 - 0.5 * min(aside, 1.0)))


def fitting_garment(
    detections: Sequence[Detection], category: str, min_score: float = 0.0
) -> Detection | None:
    """The garment that a shop's category names, or None.

    The best score among the garments of the category's kind, else of its layer, else of its group.
    """
    names = kind_of(category), layer_of(category), group_of(category)
    sure = [d for d in detections if d.score >= min_score]
    for word, of in zip(names, (kind_of, layer_of, group_of), strict=True):
        same = [d for d in sure if word and of(d.category) == word]
        if same:
            return max(same, key=lambda d: d.score)
    return None


def grown(box: Box, width: int, height: int, margin: float = MARGIN) -> Box:
    """A box with ``margin`` of its sides added on each side, clipped to the image."""
    aside, above = margin * box.width, margin * box.height
    return Box(box.x1 - aside, box.y1 - above, box.x2 + aside, box.y2 + above).clip(width, height)


def margined(garment: Detection, image: Image) -> Box:
    """The part of an image (H, W, 3) that is cropped for a garment: its box with the margin."""
    return grown(garment.box, image.shape[1], image.shape[0])


def garment_boxes(
    detections: Sequence[Detection], image: Image, most: int | None = None
) -> list[Box]:
    """The parts of an image (H, W, 3) that a search for its garments crops: with the margin, in the
    order of the detections, without shoes and bags; the first ``most``, None for all."""
    return [margined(garment, image) for garment in clothes(detections)[:most]]
