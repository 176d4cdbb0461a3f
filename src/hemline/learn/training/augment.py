"""Random augmentation of a square training image and its landmarks.

All geometry is one homography, so an image is resampled once and landmarks follow exactly. Every
strength is 0 by default: the papers train without augmentation.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from hemline.types import FloatArray, Image

Matrix = npt.NDArray[np.float64]
#: (left, right) pairs of the eight landmarks swap in a mirrored image.
MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)


class Augmentation(BaseModel):
    """Random changes of training images. Probabilities and strengths are shares.

    Attributes:
        domains: which images are changed.
        crop: smallest share of the area that a random crop keeps; 1 keeps all.
        aspect: largest relative change of a crop's sides, 0.33 is 3:4 to 4:3.
        flip: probability of a mirrored image.
        rotation: largest angle, degrees.
        perspective: largest shift of a corner, share of the side.
        brightness, contrast, saturation: largest relative change.
        hue: largest shift, share of the colour circle.
        grey: probability of a grey image.
        blur: probability of a Gaussian blur of up to 2 % of the side.
        noise: largest standard deviation of pixel noise, share of the range.
        erase: probability that a rectangle of 2 to 25 % of the area is filled with noise.
        virtual_products: probability that a pair becomes another product: the same strong change of
            hue and channels on both images, with a new item number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: Literal["both", "street", "shop"] = "both"
    crop: float = Field(default=1.0, gt=0, le=1)
    aspect: float = Field(default=0.0, ge=0, le=2)
    flip: float = Field(default=0.0, ge=0, le=1)
    rotation: float = Field(default=0.0, ge=0, le=180)
    perspective: float = Field(default=0.0, ge=0, le=0.4)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)
    grey: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=0.0, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1)
    virtual_products: float = Field(default=0.0, ge=0, le=1)

    @property
    def moves(self) -> bool:
        """Whether any geometry changes."""
        return bool(self.crop < 1 or self.aspect or self.flip or self.rotation or self.perspective)


def _bytes(pixels: Any) -> Image:
    return np.asarray(pixels, np.uint8)


class Recolouring(NamedTuple):
    """A strong change of colour shared by a street photo and its shop image.

    Attributes:
        order: of the channels.
        turn: shift of the hue, in OpenCV's half degrees.
        inverted: whether lightness is inverted.
    """

    order: tuple[int, int, int]
    turn: int
    inverted: bool


def draw_recolouring(rng: np.random.Generator) -> Recolouring:
    """A random recolouring."""
    order = rng.permutation(3)
    return Recolouring(
        (int(order[0]), int(order[1]), int(order[2])),
        int(rng.integers(15, 166)),
        bool(rng.random() < 0.15),
    )


def recolour(image: Image, change: Recolouring) -> Image:
    """(H, W, 3) uint8 → the image as of another product."""
    swapped = np.ascontiguousarray(image[..., list(change.order)])
    hls = _bytes(cv2.cvtColor(swapped, cv2.COLOR_RGB2HLS))
    hls[..., 0] = (hls[..., 0].astype(np.int16) + change.turn) % 180
    if change.inverted:
        hls[..., 1] = 255 - hls[..., 1]
    return _bytes(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB))


def draw_homography(
    spec: Augmentation, source: int, target: int, rng: np.random.Generator
) -> tuple[Matrix, bool]:
    """(3, 3) map from ``source`` to ``target`` pixels a side, and whether it mirrors."""
    area = rng.uniform(spec.crop, 1.0)
    stretch = np.exp(rng.uniform(-1, 1) * np.log1p(spec.aspect)) ** 0.5
    width = min(1.0, np.sqrt(area) * stretch)
    height = min(1.0, np.sqrt(area) / stretch)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    corners = np.array(
        [
            [left, top],
            [left + width, top],
            [left + width, top + height],
            [left, top + height],
        ]
    )
    angle = np.deg2rad(rng.uniform(-spec.rotation, spec.rotation))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = corners.mean(axis=0)
    corners = (corners - centre) @ turn.T + centre
    corners += rng.uniform(-spec.perspective, spec.perspective, (4, 2))
    mirrored = bool(rng.random() < spec.flip)
    if mirrored:
        corners = corners[[1, 0, 3, 2]]
    goal = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * target
    matrix = cv2.getPerspectiveTransform((corners * source).astype(np.float32), goal)
    return np.asarray(matrix, np.float64), mirrored


def warp(image: Image, matrix: Matrix, target: int) -> Image:
    """(S, S, 3) → (target, target, 3); pixel centres lie at half numbers, edges are repeated."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    back = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    return _bytes(
        cv2.warpPerspective(
            image,
            back @ matrix @ half,
            (target, target),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def move_landmarks(points: FloatArray, matrix: Matrix, mirrored: bool, size: int) -> FloatArray:
    """(8, 3) x, y, visibility through ``matrix``; a point outside the square becomes absent."""
    homogeneous = np.concatenate([points[:, :2], np.ones((8, 1), np.float32)], axis=1) @ matrix.T
    moved = points.copy()
    moved[:, :2] = homogeneous[:, :2] / homogeneous[:, 2:]
    outside = ((moved[:, :2] < 0) | (moved[:, :2] >= size)).any(axis=1)
    moved[outside | (points[:, 2] == 0)] = 0
    return np.asarray(moved[list(MIRRORED)] if mirrored else moved, np.float32)


def colour(image: Image, spec: Augmentation, rng: np.random.Generator) -> Image:
    """(H, W, 3) uint8 → the image with light, colours and sharpness changed."""
    draws = rng.uniform(-1, 1, 4)
    chances = rng.random(3)
    if spec.hue:
        hsv = _bytes(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
        turn = round(draws[3] * spec.hue * 180)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + turn) % 180
        image = _bytes(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    if spec.brightness or spec.contrast or spec.saturation or chances[0] < spec.grey:
        pixels = image.astype(np.float32)
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        share = 0.0 if chances[0] < spec.grey else 1 + draws[2] * spec.saturation
        pixels = grey[..., None] * np.float32(1 - share) + pixels * np.float32(share)
        gain = np.float32((1 + draws[1] * spec.contrast) * (1 + draws[0] * spec.brightness))
        middle = np.float32(grey.mean() * (1 + draws[0] * spec.brightness))
        pixels = (pixels - grey.mean()) * gain + middle
        image = np.clip(pixels, 0, 255).astype(np.uint8)
    if chances[1] < spec.blur:
        sigma = rng.uniform(0.4, 0.02 * image.shape[0] + 0.5)
        image = _bytes(cv2.GaussianBlur(image, (0, 0), sigma))
    if spec.noise:
        sigma = rng.uniform(0, spec.noise) * 255
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(sigma)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if chances[2] < spec.erase:
        image = _erase(image, rng)
    return image


def _erase(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    area = rng.uniform(0.02, 0.25)
    ratio = np.exp(rng.uniform(-1, 1))
    high = min(height, max(1, round(height * np.sqrt(area * ratio))))
    wide = min(width, max(1, round(width * np.sqrt(area / ratio))))
    top, left = rng.integers(0, height - high + 1), rng.integers(0, width - wide + 1)
    erased = image.copy()
    noise = rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)
    erased[top : top + high, left : left + wide] = noise
    return erased


def augment(
    image: Image,
    landmarks: FloatArray | None,
    spec: Augmentation,
    size: int,
    rng: np.random.Generator,
    change: Recolouring | None = None,
) -> tuple[Image, FloatArray | None]:
    """(S, S, 3) square and (8, 3) landmarks in its pixels → both at ``size`` pixels, changed.

    Args:
        change: the recolouring of a virtual product, applied first.
    """
    if change is not None:
        image = recolour(image, change)
    if spec.moves or image.shape[0] != size:
        matrix, mirrored = draw_homography(spec, image.shape[0], size, rng)
        image = warp(image, matrix, size)
        if landmarks is not None:
            landmarks = move_landmarks(landmarks, matrix, mirrored, size)
    return colour(image, spec, rng), landmarks
