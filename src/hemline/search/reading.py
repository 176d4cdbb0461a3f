"""Reads a request's photos: decodes them, finds their garments, makes the inputs of the tower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np

from hemline.catalog.pointer import Live
from hemline.data.bounded import reduced
from hemline.data.images import Reduced
from hemline.data.preprocess import PreparedImage
from hemline.limits import MOST_GARMENTS
from hemline.runtime.detector import BundleDetector, best_garment, garment_boxes, margined
from hemline.search.clock import Clock
from hemline.search.photo import SearchedPhoto, prepare, reduction
from hemline.types import Box, Detection, Photo, SearchRequest
from hemline.work import present


class PhotoReader:
    """Makes the tower's inputs of photos; safe to use from several threads."""

    def __init__(self, threads: int | None, max_pixels: int) -> None:
        """
        Args:
            threads: of the detector; None leaves it to ONNX Runtime.
            max_pixels: of a photo; larger ones are refused.
        """
        self._threads, self._max_pixels = threads, max_pixels
        self._detector: BundleDetector | None = None

    def detector(self, live: Live) -> BundleDetector:
        """The detector of the bundle of one state of the catalogue.

        Raises:
            NoDetectorError: the bundle has none.
        """
        detector = self._detector
        if detector is None or detector.bundle is not live.bundle:
            detector = self._detector = BundleDetector(live.bundle, self._threads)
        return detector

    def read(
        self, live: Live, clock: Clock, request: SearchRequest
    ) -> tuple[list[PreparedImage], SearchedPhoto]:
        """The photos of a request, and with ``every`` their garments, as inputs of the tower.

        Whole photos are large: never are two of one request in memory.

        Returns:
            The inputs, and what the answer says of the photo; of several photos no box and no
            detections.

        Raises:
            UsageError: nothing of a box lies inside its photo.
            ImageError: a photo can't be opened.
            NoDetectorError: ``detect`` or ``every``, and the bundle has no detector.
        """
        spec, many = live.bundle.info.preprocessing, len(request.photos) > 1
        present().hold(len(request.photos) * 3 * spec.size**2)
        prepared: list[PreparedImage] = []
        photos: list[SearchedPhoto] = []
        for number, given in enumerate(request.photos, 1):
            box = request.boxes[number - 1] if request.boxes else None
            found: tuple[Detection, ...] = ()
            parts: list[Box] = []
            detect = request.detect and box is None
            most = partial(reduction, spec, box, detect or request.every)
            with self._opened(given, number if many else 0, clock, most) as opened:
                if detect or request.every:
                    image = opened.image
                    with clock.step("detect"):
                        found = self.detector(live).sure(image)
                    if detect:
                        best = best_garment(found, image.shape[1], image.shape[0])
                        box = None if best is None else margined(best, image)
                    if request.every:
                        parts = garment_boxes(found, image, MOST_GARMENTS)
                        present().hold(len(parts) * 3 * spec.size**2)
                with clock.step("decode"):
                    ready, photo = prepare(opened, box, found, spec)
                    more = [prepare(opened, part, found, spec)[0] for part in parts]
            prepared += [ready, *more]
            photos.append(photo)
        first = photos[0]
        return prepared, first._replace(box=None, detections=()) if many else first

    def read_each(
        self, live: Live, clock: Clock, photo: Photo
    ) -> list[tuple[PreparedImage, SearchedPhoto]]:
        """The garments of a photo without shoes and bags, best score first; or the whole photo.

        Raises:
            ImageError, NoDetectorError: as `read`.
        """
        spec = live.bundle.info.preprocessing
        searched: list[tuple[PreparedImage, SearchedPhoto]] = []
        with self._opened(photo, 0, clock) as opened:
            with clock.step("detect"):
                found = self.detector(live).sure(opened.image)
            boxes: list[Box | None] = [*garment_boxes(found, opened.image)]
            for box in boxes or [None]:
                with clock.step("decode"):
                    searched.append(prepare(opened, box, found, spec))
        return searched

    @contextmanager
    def _opened(
        self,
        photo: Photo,
        number: int,
        clock: Clock,
        reduction: Callable[[int, int], float] = lambda width, height: 1.0,
    ) -> Iterator[Reduced]:
        """A photo, in memory until the end of the block."""
        if isinstance(photo, np.ndarray):
            yield Reduced.whole(photo)
            return
        name = _name(photo, number)
        with ExitStack() as stack:
            with clock.step("decode"):
                read = stack.enter_context(reduced(photo, self._max_pixels, name, reduction))
            yield read


def _name(photo: Photo, number: int) -> str:
    """What errors call a photo: bytes by their number, a file by its path."""
    if not isinstance(photo, bytes):
        return ""
    return f"photo {number}" if number else "the photo"
