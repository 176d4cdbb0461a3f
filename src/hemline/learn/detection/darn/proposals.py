"""Proposals: boxes that may contain a garment, by selective search.

J. Uijlings et al., "Selective Search for Object Recognition", IJCV 104(2), 2013, as OpenCV contrib
has it (fast mode); DARN, section 4.2, discards "unsuitable candidates … by constraining the range
of size and aspect ratio".
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from hemline.data.boxes import suppress
from hemline.learn.detection.darn.boxes import Floats
from hemline.types import Image


class ProposalSettings(BaseModel):
    """How boxes are proposed.

    Attributes:
        side: longer side in pixels that an image is first reduced to; never enlarged.
        base, step, sigma: of the fast mode: the coarseness of its first segments, the step between
            them, and the blur before.
        smallest: least width and height, as shares of the image's.
        area: least area, as a share of the image's.
        aspect: least and largest width / height.
        alike: of boxes that overlap by more than this, one stays.
        most: boxes per image; the largest are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int = Field(default=224, ge=32)
    base: int = Field(default=50, ge=1)
    step: int = Field(default=100, ge=1)
    sigma: float = Field(default=0.8, gt=0)
    smallest: float = Field(default=0.1, ge=0, lt=1)
    area: float = Field(default=0.02, ge=0, lt=1)
    aspect: tuple[float, float] = (0.2, 3.0)
    alike: float = Field(default=0.9, gt=0, le=1)
    most: int = Field(default=400, ge=1)


def propose(image: Image, settings: ProposalSettings) -> Floats:
    """(H, W, 3) → (N, 4) boxes in its pixels; the last one is the whole image."""
    height, width = image.shape[:2]
    whole = np.array([[0.0, 0.0, width, height]])
    scale = min(1.0, settings.side / max(height, width))
    small = cv2.resize(
        image,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    if min(small.shape[:2]) < 8:  # nothing to segment
        return whole
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(small[..., ::-1]))
    search.switchToSelectiveSearchFast(settings.base, settings.step, settings.sigma)
    found = np.asarray(search.process(), np.float64).reshape(-1, 4)
    boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    boxes *= [width / small.shape[1], height / small.shape[0]] * 2
    boxes = boxes[_suitable(boxes, width, height, settings)]
    # OpenCV shuffles them with a generator that can't be seeded: sort by size, then by position.
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    boxes = boxes[np.lexsort((*boxes.T, -area))]
    places = np.arange(len(boxes))
    order = suppress(boxes, -places, np.zeros(len(boxes)), settings.alike)
    return np.concatenate([boxes[order[: settings.most - 1]], whole])


def _suitable(
    boxes: Floats, width: int, height: int, settings: ProposalSettings
) -> npt.NDArray[np.bool_]:
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    low, most = settings.aspect
    mask: npt.NDArray[np.bool_] = (
        (wide >= settings.smallest * width)
        & (high >= settings.smallest * height)
        & (wide * high >= settings.area * width * height)
        & (wide / np.maximum(high, 1e-9) >= low)
        & (wide / np.maximum(high, 1e-9) <= most)
    )
    return mask
