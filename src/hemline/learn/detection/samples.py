"""Training images of a detector, and their augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.utils.data import Dataset

from hemline.data.detector_outputs import Heads, layer_of
from hemline.data.garments import AnnotatedImage, Garment, kind_of
from hemline.data.images import open_image
from hemline.data.preprocess import normalise
from hemline.errors import ImageError
from hemline.learn.detection.losses import Annotations
from hemline.learn.training.augment import Augmentation, colour
from hemline.types import Box, Image

#: A garment of which less is visible, or whose box is less inside the frame, is ignored: its cells
#: are neither positive nor negative.
_SEEN, _LEFT = 0.3, 0.25
#: So is a garment whose shorter side is less than this share of the image's.
_SMALL = 0.03


class DetectionAugmentation(BaseModel):
    """Random changes of training images and their boxes.

    Attributes:
        zoom: the view's side is from 1/zoom to zoom times the image's.
        aspect: largest relative change of width to height, either way.
        flip: probability of a mirrored image.
        together: probability of a mosaic of four images.
        colour: light, colours and sharpness, as in `hemline.learn.training.augment`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    zoom: float = Field(default=1.6, ge=1, le=4)
    aspect: float = Field(default=0.3, ge=0, le=2)
    flip: float = Field(default=0.5, ge=0, le=1)
    together: float = Field(default=0.2, ge=0, le=1)
    colour: Augmentation = Augmentation(
        brightness=0.3, contrast=0.3, saturation=0.4, hue=0.05, grey=0.03, blur=0.06
    )


class DetectionDataset(Dataset[tuple[Tensor, Annotations]]):
    """Views of images: the same (image, size, seed) gives the same view."""

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        spec: Heads,
        views: Sequence[tuple[int, int, int]],
        moves: DetectionAugmentation | None,
    ) -> None:
        """``views``: (index in ``images``, side in pixels, seed) of each item; without ``moves``
        images are only resized."""
        self.images = images
        self.spec = spec
        self.views = views
        self.moves = moves
        self._layers = {name: k for k, name in enumerate(spec.layers)}
        self._kinds = {name: k for k, name in enumerate(spec.kinds)}

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, item: int) -> tuple[Tensor, Annotations]:
        """(3, S, S) and its annotations."""
        place, side, seed = self.views[item]
        rng = np.random.default_rng(seed)
        moves = self.moves
        if moves is None:
            image, garments = _view(self.images[place], side, np.eye(3), rng)
        elif rng.random() < moves.together:
            image, garments = self._mosaic(place, side, moves, rng)
        else:
            image, garments = self._transformed(place, side, moves, rng)
        if moves is not None:
            image = colour(image, moves.colour, rng)
        spec = self.spec.preprocessing.model_copy(update={"size": side})
        return torch.from_numpy(normalise(image, spec, "street")), self._annotations(garments, side)

    def _transformed(
        self, place: int, side: int, moves: DetectionAugmentation, rng: np.random.Generator
    ) -> tuple[Image, list[Garment]]:
        zoom = float(np.exp(rng.uniform(-1, 1) * np.log(moves.zoom)))
        stretch = float(np.exp(rng.uniform(-0.5, 0.5) * np.log1p(moves.aspect)))
        size = np.array((zoom * stretch, zoom / stretch))
        at = rng.random(2) * (1 - size)
        mirror = bool(rng.random() < moves.flip)
        sign = -1.0 if mirror else 1.0
        start = at[0] + size[0] if mirror else at[0]
        matrix = np.array([[sign * size[0], 0, start], [0, size[1], at[1]], [0, 0, 1.0]])
        return _view(self.images[place], side, matrix, rng)

    def _mosaic(
        self, place: int, side: int, moves: DetectionAugmentation, rng: np.random.Generator
    ) -> tuple[Image, list[Garment]]:
        """A mosaic: four images around a random centre, each resized to its part of the view."""
        cut = rng.uniform(0.35, 0.65, 2)
        view = np.zeros((side, side, 3), np.uint8)
        garments: list[Garment] = []
        others = [place, *rng.integers(0, len(self.images), 3).tolist()]
        for k, other in enumerate(others):
            low = np.array((cut[0] * (k % 2), cut[1] * (k // 2)))
            high = np.array((1.0 if k % 2 else cut[0], 1.0 if k // 2 else cut[1]))
            corner, end = (low * side).round().astype(int), (high * side).round().astype(int)
            image, own = _view(self.images[int(other)], side, np.eye(3), rng)
            size = tuple(int(v) for v in end - corner)
            view[corner[1] : end[1], corner[0] : end[0]] = cv2.resize(
                image, size, interpolation=cv2.INTER_AREA
            )
            scale = (end - corner) / side
            for garment in own:
                box = np.array(garment.box).reshape(2, 2) * scale + corner
                garments.append(garment._replace(box=Box(*box.ravel().tolist())))
        return view, garments

    def _annotations(self, garments: Sequence[Garment], side: int) -> Annotations:
        rows = [
            (
                [v / side for v in garment.box],
                self._layers[layer],
                self._kinds.get(kind_of(garment.category), -1),
                garment.visible < _SEEN
                or garment.inside < _LEFT
                or min(garment.box.width, garment.box.height) < _SMALL * side,
            )
            for garment in garments
            if (layer := layer_of(garment.category)) in self._layers
        ]
        return Annotations(
            torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4),
            torch.tensor([row[1] for row in rows], dtype=torch.long),
            torch.tensor([row[2] for row in rows], dtype=torch.long),
            torch.tensor([row[3] for row in rows], dtype=torch.bool),
        )


def _view(
    source: AnnotatedImage, side: int, matrix: np.ndarray, rng: np.random.Generator
) -> tuple[Image, list[Garment]]:
    """An image through ``matrix`` (3, 3), from shares of it to shares of the view; the area outside
    it gets the mean colour of its border, or a random one."""
    try:
        image = open_image(source.path)
    except ImageError:
        return np.full((side, side, 3), 127, np.uint8), []
    height, width = image.shape[:2]
    if np.array_equal(matrix, np.eye(3)):
        shrinking = height * width > side * side
        flag = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        view = np.asarray(cv2.resize(image, (side, side), interpolation=flag), np.uint8)
    else:
        rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).mean(axis=0)
        beyond = rim if rng.random() < 0.6 else rng.integers(0, 256, 3)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        pixels = np.diag((side, side, 1.0)) @ matrix @ np.diag((1 / width, 1 / height, 1.0))
        back = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
        if max(width * abs(pixels[0, 0]), height * pixels[1, 1]) * 1.8 < max(width, height):
            image = np.asarray(cv2.pyrDown(image), np.uint8)
            scale = np.diag((width / image.shape[1], height / image.shape[0], 1.0))
            pixels = pixels @ scale
        view = np.asarray(
            cv2.warpAffine(
                image,
                (back @ pixels @ half)[:2],
                (side, side),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=tuple(float(v) for v in beyond),
            ),
            np.uint8,
        )
    shares = np.diag((side / width, side / height, 1.0))
    through = np.diag((side, side, 1.0)) @ matrix @ np.diag((1 / side, 1 / side, 1.0)) @ shares
    return view, [g for garment in source.garments if (g := _through(garment, through, side))]


def _through(garment: Garment, matrix: np.ndarray, side: int) -> Garment | None:
    """A garment through a map of its pixels to the view's, clipped to the view; None if outside."""
    ends = np.array(garment.box).reshape(2, 2) @ matrix[:2, :2].T + matrix[:2, 2]
    low, high = ends.min(axis=0), ends.max(axis=0)
    whole = float(np.prod(high - low))
    low, high = np.clip(low, 0, side), np.clip(high, 0, side)
    left = float(np.prod(high - low))
    if left <= 0 or whole <= 0:
        return None
    box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return garment._replace(box=box, inside=garment.inside * left / whole)


def collate(items: Sequence[tuple[Tensor, Annotations]]) -> tuple[Tensor, list[Annotations]]:
    """Images (B, 3, S, S) and their annotations."""
    return torch.stack([image for image, _ in items]), [marked for _, marked in items]
