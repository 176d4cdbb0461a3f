from __future__ import annotations

import numpy as np

from hemline.data.boxes import overlaps
from hemline.learn.detection.darn.patches import LEVELS, Scene, discretised, draw_patches, jittered

TRUTHS = np.array([[20.0, 10, 60, 70], [70, 40, 100, 100]])
NONE = np.empty((0, 4))


def test_targets_are_the_overlap_with_the_nearest_truth() -> None:
    boxes = np.array([[20.0, 10, 60, 70], [20, 10, 60, 40], [75, 40, 100, 100], [0, 0, 9, 9]])
    overlap, nearest = Scene(TRUTHS, NONE).targets(boxes)
    np.testing.assert_allclose(overlap, [1, 0.5, 25 / 30, 0])
    assert nearest[:3].tolist() == [0, 0, 1]
    assert Scene(NONE, NONE).targets(boxes)[0].tolist() == [0, 0, 0, 0]


def test_what_lies_on_a_hidden_garment_teaches_nothing() -> None:
    hidden = np.array([[0.0, 80, 20, 110]])
    overlap, _ = Scene(TRUTHS, hidden).targets(np.array([[0.0, 80, 20, 105], [20, 10, 60, 70]]))
    assert np.isnan(overlap[0])
    assert overlap[1] == 1


def test_levels_are_tenths() -> None:
    assert discretised(np.array([0.0, 0.04, 0.06, 0.55, 0.96])).tolist() == [0, 0, 0.1, 0.6, 1]


def test_jittered_truths_stay_in_the_picture_and_fill_the_levels() -> None:
    boxes = jittered(TRUTHS, 200, 110, 120, np.random.default_rng(0))
    assert boxes.shape == (400, 4)
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= 110).all()
    assert (boxes[:, 3] <= 120).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    near = overlaps(boxes, TRUTHS).max(axis=1)
    counts, _ = np.histogram(near, bins=np.linspace(0.3, 1, 8))
    assert (counts > 5).all()


def test_patches_are_drawn_evenly_over_the_levels() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 80, (500, 2))
    proposals = np.concatenate([low, low + rng.uniform(5, 40, (500, 2))], axis=1)
    hidden = np.array([[0.0, 80, 20, 110]])
    scene = Scene(TRUTHS, hidden)
    boxes = draw_patches(scene, proposals, 110, 120, 5, rng)
    overlap, _ = scene.targets(boxes)
    assert not np.isnan(overlap).any()
    counts = np.bincount(np.round(overlap * LEVELS).astype(int), minlength=11)
    assert (counts <= 5).all()
    assert (counts[[0, 1, 5, 7, 9]] == 5).all()
    assert len(draw_patches(Scene(NONE, NONE), proposals, 110, 120, 5, rng)) == 5
