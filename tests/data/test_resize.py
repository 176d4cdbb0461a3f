"""Resizing gives OpenCV's numbers, up to one step of 255: towers were trained on them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hemline.data import resize as resize_module
from hemline.data.resize import resize


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((256, 256), (128, 128)),
        ((341, 256), (128, 128)),
        ((300, 201), (299, 200)),
        ((900, 700), (224, 160)),
        ((40, 30), (224, 224)),
        ((1, 1), (8, 5)),
        ((8, 5), (1, 1)),
        ((306, 240), (85, 308)),  # one axis grows, fewer pixels
        ((225, 121), (153, 153)),
        ((50, 400), (224, 224)),  # one axis shrinks, more pixels
        ((700, 20), (300, 20)),
        ((20, 30), (500, 600)),
        ((3000, 1), (64, 64)),  # strips
        ((2000, 5), (30, 50)),
    ],
)
def test_the_numbers_are_opencvs(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = noise(*source, 3)
    shrinking = source[0] * source[1] > target[0] * target[1]
    way = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    wanted = cv2.resize(image, target[::-1], interpolation=way).astype(int)
    found = resize(image, *target)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.shape == (*target, 3)
    assert np.abs(found - wanted).max() <= 1


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    """Slow reference: every pixel split into as many parts as the target has pixels."""
    image = noise(7, 5, 3)
    parts = image.repeat(3, axis=0).repeat(2, axis=1).astype(float)
    wanted = parts.reshape(3, 7, 2, 5, 3).mean(axis=(1, 3))
    assert np.abs(resize(image, 3, 2) - wanted).max() <= 0.5


def test_flat_images_stay_flat() -> None:
    for value in (0, 1, 254, 255):
        image = np.full((301, 77, 3), value, np.uint8)
        for size in ((128, 128), (600, 500), (224, 30)):
            assert (resize(image, *size) == value).all()


def test_weights_of_very_wide_images_are_not_kept() -> None:
    before = resize_module._spread.cache_info().currsize
    assert resize(np.full((2, 9000, 3), 77, np.uint8), 1, 64).tolist() == [[[77] * 3] * 64]
    assert resize_module._spread.cache_info().currsize == before


def test_the_same_size_is_the_same_image() -> None:
    image = noise(20, 30, 3)
    assert resize(image, 20, 30) is image


def test_parts_of_an_image_are_resized() -> None:
    """A view that isn't contiguous, as a crop is."""
    image = noise(300, 300, 3)
    part = image[10:290:2, 5:200]
    assert np.array_equal(resize(part, 64, 64), resize(part.copy(), 64, 64))
