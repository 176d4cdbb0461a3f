"""Shapes and words lie where they are asked for, and never leave the image."""

from __future__ import annotations

import numpy as np
import pytest

from hemline.types import Box
from hemline.views.drawing import boxed, canvas, clipped, disc, fill, frame, label, width_of, write

RED = (200, 0, 0)


def changed(image: np.ndarray) -> np.ndarray:
    """The rows and columns that aren't paper, (N, 2)."""
    return np.argwhere((image != canvas(*image.shape[:2])).any(axis=2))


def test_shapes() -> None:
    image = canvas(40, 60)
    fill(image, (10, 5), (12, 9), RED)
    assert changed(image).min(axis=0).tolist() == [5, 10]
    assert changed(image).max(axis=0).tolist() == [9, 12]
    image = canvas(40, 60)
    frame(image, (10, 5), (30, 25), RED, 3)
    assert changed(image).min(axis=0).tolist() == [4, 9]
    assert changed(image).max(axis=0).tolist() == [26, 31]
    assert (image[15, 20] == canvas(1, 1)[0, 0]).all(), "it is hollow"
    image = canvas(40, 60)
    disc(image, (30, 20), 5, RED)
    assert image[20, 30].tolist() == list(RED)
    assert abs(len(changed(image)) - np.pi * 5.5**2) < 12
    disc(image, (30, 20), 8, (0, 0, 200), 2)
    assert image[20, 38].tolist() == [0, 0, 200]
    assert image[20, 30].tolist() == list(RED)


@pytest.mark.parametrize("at", [(-200, 10), (-3, -3), (58, 38), (30, 20), (500, 500), (10, -90)])
def test_what_lies_outside_is_cut_off(at: tuple[int, int]) -> None:
    image = canvas(40, 60)
    x, y = at
    fill(image, at, (x + 9, y + 9), RED)
    frame(image, at, (x + 9, y + 9), RED, 2)
    disc(image, at, 4, RED)
    write(image, "words", at, 12, RED, halo=True)
    write(image, "", at, 12, RED)
    whole = canvas(640, 660)
    fill(whole, (x + 300, y + 300), (x + 309, y + 309), RED)
    cut = canvas(40, 60)
    fill(cut, at, (x + 9, y + 9), RED)
    assert np.array_equal(cut, whole[300:340, 300:360])
    label(image, "words", at, RED, 12)
    assert (image == RED).all(axis=2).any(), "a label is moved into the image"


def test_words_keep_to_their_width() -> None:
    text = "a blue dress with stripes, 89.90 €"
    for width in (5, 40, 90, 400):
        short = clipped(text, width, 12)
        assert width_of(short, 12) <= width
        image = canvas(30, 420)
        write(image, short, (10, 20), 12, RED)
        if len(changed(image)):
            assert changed(image)[:, 1].max() <= 10 + width + 1
            assert changed(image)[:, 1].min() >= 9


def test_a_box_is_drawn_on_a_copy() -> None:
    image = canvas(50, 50)
    assert boxed(image, None) is image
    assert len(changed(boxed(image, Box(10, 10, 40, 40)))) > 100
    assert len(changed(image)) == 0
