from __future__ import annotations

import numpy as np
import pytest

from hemline.learn.training.augment import (
    MIRRORED,
    Augmentation,
    augment,
    draw_homography,
    draw_recolouring,
    move_landmarks,
    recolour,
    warp,
)
from hemline.types import LANDMARKS

SIZE = 40
PICTURE = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
STRONG = Augmentation(
    crop=0.5,
    aspect=0.3,
    flip=0.5,
    rotation=20,
    perspective=0.05,
    brightness=0.3,
    contrast=0.3,
    saturation=0.5,
    hue=0.1,
    grey=0.2,
    blur=0.5,
    noise=0.05,
    erase=0.5,
)
#: Not a change by itself; ``virtual_products`` is drawn by the data set, for both sides of a pair.
OTHERS = {"domains", "aspect", "virtual_products"}


def test_nothing_is_done_by_default() -> None:
    image, points = augment(PICTURE, None, Augmentation(), SIZE, np.random.default_rng(1))
    assert np.array_equal(image, PICTURE)
    assert points is None


def test_the_same_generator_gives_the_same_picture() -> None:
    first = augment(PICTURE, None, STRONG, SIZE, np.random.default_rng(1))[0]
    again = augment(PICTURE, None, STRONG, SIZE, np.random.default_rng(1))[0]
    other = augment(PICTURE, None, STRONG, SIZE, np.random.default_rng(2))[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", sorted(set(Augmentation.model_fields) - OTHERS))
def test_each_strength_changes_the_picture(name: str) -> None:
    strength = {"crop": 0.3, "rotation": 40.0, "perspective": 0.2, "hue": 0.5}.get(name, 0.9)
    spec = Augmentation(**{name: strength})
    image = augment(PICTURE, None, spec, SIZE, np.random.default_rng(3))[0]
    assert image.shape == PICTURE.shape
    assert image.dtype == np.uint8
    assert not np.array_equal(image, PICTURE)


def test_flip_mirrors_exactly_and_swaps_left_and_right() -> None:
    points = np.stack([[3.0 + k, 5.0, 2.0] for k in range(8)]).astype(np.float32)
    spec = Augmentation(flip=1.0)
    image, moved = augment(PICTURE, points, spec, SIZE, np.random.default_rng(0))
    assert np.array_equal(image, PICTURE[:, ::-1])
    assert moved is not None
    expected = points[list(MIRRORED)].copy()
    expected[:, 0] = SIZE - expected[:, 0]
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    for k, partner in enumerate(MIRRORED):
        swapped = LANDMARKS[k].replace("left", "?").replace("right", "left").replace("?", "right")
        assert LANDMARKS[partner] == swapped


@pytest.mark.parametrize("seed", range(5))
def test_a_landmark_stays_on_its_pixel(seed: int) -> None:
    """A bright blob at the landmark is found again where the landmark says."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(15, 25, 2)
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1) + 0.5
    blob = np.exp(-((grid - at) ** 2).sum(axis=-1) / 8)
    image = np.repeat((blob * 255).astype(np.uint8)[..., None], 3, axis=2)
    points = np.zeros((8, 3), np.float32)
    points[0] = [*at, 2]
    spec = Augmentation(crop=0.6, rotation=20, perspective=0.05, flip=0.5)
    matrix, mirrored = draw_homography(spec, SIZE, 64, rng)
    light = warp(image, matrix, 64)[..., 0].astype(np.float64)
    moved = move_landmarks(points, matrix, mirrored, 64)
    place = moved[1 if mirrored else 0]
    if place[2] == 0:
        pytest.fail("the landmark left the picture; choose another seed")
    weight = light**2
    centre = np.arange(64) + 0.5
    found = (weight.sum(axis=0) @ centre, weight.sum(axis=1) @ centre) / weight.sum()
    np.testing.assert_allclose(found, place[:2], atol=1.0)


def test_landmarks_that_leave_the_picture_become_absent() -> None:
    points = np.full((8, 3), 2.0, np.float32)
    shift = np.array([[1, 0, -10], [0, 1, 0], [0, 0, 1]], np.float64)
    assert not move_landmarks(points, shift, False, SIZE).any()


def test_recolouring_is_another_product_but_the_same_for_both_pictures() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    change = draw_recolouring(np.random.default_rng(0))
    first, second = recolour(red, change), recolour(red[:2], change)
    assert np.array_equal(first[:2], second)
    assert np.abs(first.astype(int) - red).max() > 60
