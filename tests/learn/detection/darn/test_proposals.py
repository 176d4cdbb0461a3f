from __future__ import annotations

import numpy as np
import pytest

from hemline.data.boxes import overlaps
from hemline.learn.detection.darn.proposals import ProposalSettings, propose


def scene(size: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = np.full((size, size, 3), 230, np.uint8)
    image[size // 4 : 3 * size // 4, size // 3 : 2 * size // 3] = (180, 30, 40)
    return np.clip(image + rng.integers(-6, 7, image.shape), 0, 255).astype(np.uint8)


def test_a_plain_garment_is_proposed() -> None:
    boxes = propose(scene(), ProposalSettings())
    near = overlaps(boxes, np.array([[40.0, 30, 80, 90]]))
    assert near.max() > 0.85
    assert boxes[-1].tolist() == [0, 0, 120, 120]


def test_proposals_of_a_shrunken_picture_are_in_its_own_pixels() -> None:
    boxes = propose(scene(360), ProposalSettings(side=120))
    assert overlaps(boxes, np.array([[120.0, 90, 240, 270]])).max() > 0.8


def test_unsuitable_boxes_are_left_out() -> None:
    settings = ProposalSettings(smallest=0.2, area=0.1, aspect=(0.5, 2.0), most=9, alike=0.8)
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    boxes = propose(image, settings)[:-1]
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert len(boxes) <= 8
    assert (wide >= 24).all()
    assert (high >= 18).all()
    assert (wide * high >= 0.1 * 90 * 120).all()
    assert ((wide / high >= 0.5) & (wide / high <= 2)).all()
    near = overlaps(boxes, boxes)[~np.eye(len(boxes), dtype=bool)]
    assert near.max(initial=0) <= 0.8


def test_the_same_picture_gives_the_same_boxes() -> None:
    first, second = (propose(scene(), ProposalSettings()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (1, 1), (7, 300)])
def test_a_picture_too_thin_to_segment_is_its_own_proposal(shape: tuple[int, int]) -> None:
    boxes = propose(np.zeros((*shape, 3), np.uint8), ProposalSettings())
    assert boxes.tolist() == [[0, 0, shape[1], shape[0]]]
