from __future__ import annotations

import numpy as np
import pytest

from hemline.data.boxes import overlaps, suppress
from hemline.learn.detection.darn.boxes import (
    as_boxes,
    moved,
    offsets,
)
from hemline.types import Box


def some(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 12, (count, 2))
    return np.concatenate([low, low + rng.integers(1, 9, (count, 2))], axis=1).astype(float)


def slow_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """By counting pixels."""
    grid = np.zeros((2, 24, 24), bool)
    for layer, box in enumerate((a, b)):
        x1, y1, x2, y2 = box.astype(int)
        grid[layer, y1:y2, x1:x2] = True
    return float((grid[0] & grid[1]).sum() / (grid[0] | grid[1]).sum())


def slow_suppress(boxes: np.ndarray, scores: np.ndarray, most: float) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda r: -scores[r]):
        if all(slow_overlap(boxes[row], boxes[other]) <= most for other in kept):
            kept.append(row)
    return kept


def test_overlap_by_counting_pixels() -> None:
    first, second = some(9, 0), some(7, 1)
    found = overlaps(first, second)
    for row, a in enumerate(first):
        for column, b in enumerate(second):
            assert found[row, column] == pytest.approx(slow_overlap(a, b))


@pytest.mark.parametrize("most", [0.1, 0.3, 0.7])
def test_suppression_against_the_slow_one(most: float) -> None:
    boxes, scores = some(40, 2), np.random.default_rng(3).random(40)
    assert suppress(boxes, scores, np.zeros(40), most).tolist() == slow_suppress(
        boxes, scores, most
    )


def test_nothing_stays_nothing() -> None:
    none = as_boxes([])
    assert none.shape == (0, 4)
    assert suppress(none, np.empty(0), np.empty(0), 0.5).shape == (0,)
    assert overlaps(none, some(3, 0)).shape == (0, 3)
    assert as_boxes([Box(1, 2, 3, 4)]).tolist() == [[1, 2, 3, 4]]


def test_offsets_lead_from_box_to_goal() -> None:
    larger = np.array([0, 0, 4, 4])
    boxes, goals = some(20, 4) + larger, some(20, 5) + larger
    np.testing.assert_allclose(moved(boxes, offsets(boxes, goals), 40, 40), goals, atol=1e-9)


def test_a_moved_box_stays_in_the_picture_and_keeps_a_pixel() -> None:
    boxes = np.array([[0.0, 0, 10, 10]] * 3)
    by = np.array([[5.0, 0, 0, 0], [-5, -5, 0, 0], [0, 0, 9, 9]])
    found = moved(boxes, by, 20, 16)
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] <= [20, 16]).all()
    assert (found[:, 2:] - found[:, :2] >= 1).all()
