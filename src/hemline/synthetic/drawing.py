"""A finished image with its labels, and the camera that took it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from hemline.data.garments import Garment
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, apply
from hemline.synthetic.values import words
from hemline.types import LANDMARKS

#: What every drawing records, 0 when absent.
DISTURBANCES = words(
    """
    others clutter occlusion pose turn perspective scale crop mirror light cast blur noise jpeg
    """
)


@dataclass(frozen=True)
class Drawing:
    """An image and what is true of it.

    `image` (H,W,3) uint8 RGB; `box` (4,) float xyxy pixels, within the frame, of the whole product,
    hidden parts included; `landmarks` (8,3) float [x, y, v], v 2 visible, 1 occluded, 0 absent or
    out of the frame (then x = y = 0). `disturbance` holds, for each of `DISTURBANCES`: `others` and
    `clutter` are counts of things, `occlusion` and `crop` shares of the product, `turn` radians,
    `scale` the product's height over the image's, `mirror` 0 or 1, the others as `disturb` says.
    `garments` are all that are seen in the image, the product first.
    """

    image: Array
    box: Array
    landmarks: Array
    disturbance: Mapping[str, float] = field(default_factory=dict)
    garments: tuple[Garment, ...] = ()


def camera(
    focus: tuple[float, float, float, float],
    size: int,
    turn: float = 0.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    move: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """The homography (3x3) that puts the box `focus` (xyxy, figure units) into the image.

    `turn` rotates (radians), `tilt` adds perspective along x and y (share of the image), `move`
    shifts (share of the image).
    """
    x1, y1, x2, y2 = focus
    scale = size / max(x2 - x1, y2 - y1)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    rigid = np.array([[c, -s, -c * cx + s * cy], [s, c, -s * cx - c * cy], [0, 0, 1.0]])
    lens = np.array([[1.0, 0, 0], [0, 1, 0], [tilt[0] / size, tilt[1] / size, 1]])
    at = np.array([[1.0, 0, size * (0.5 + move[0])], [0, 1, size * (0.5 + move[1])], [0, 0, 1]])
    whole: Array = at @ lens @ rigid
    return whole


def labelled(
    canvas: Canvas,
    image: Array,
    marks: Mapping[str, Array],
    transform: Array,
    disturbance: Mapping[str, float],
    flip: bool = False,
) -> Drawing:
    """The drawing of a canvas's product whose landmarks are `marks` (figure units).

    With `flip` the image is mirrored, labels and all: the wearer's left stays the wearer's left.
    """
    size = image.shape[0]
    box = canvas.box()
    middle = np.array(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    points = np.zeros((8, 3), np.float32)
    for k, name in enumerate(LANDMARKS):
        if name in marks:
            pixel = apply(transform, marks[name][None])[0]
            seen = canvas.visibility(pixel, middle)
            if seen:
                points[k] = (pixel[0], pixel[1], seen)
    if flip:
        image = cv2.flip(image, 1)
        box = np.array((size - box[2], box[1], size - box[0], box[3]), np.float32)
        points[:, 0] = np.where(points[:, 2] > 0, np.maximum(size - points[:, 0], 0), 0)
        points[:, 0] = np.minimum(points[:, 0], np.nextafter(np.float32(size), np.float32(0)))
    record = {name: float(disturbance.get(name, 0.0)) for name in DISTURBANCES}
    record["occlusion"] = canvas.hidden()
    record["crop"] = canvas.outside()
    record["scale"] = float(box[3] - box[1]) / size
    return Drawing(image, box, points, record, canvas.ledger.garments(flip))
