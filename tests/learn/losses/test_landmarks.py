"""The losses of landmarks against sums by hand."""

from __future__ import annotations

import math

import pytest
import torch

from hemline.learn.losses.landmarks import location_loss, visibility_loss

LANDMARKS = torch.tensor([[[10.0, 30.0, 2.0], [50.0, 6.0, 2.0], [20.0, 20.0, 1.0], [0, 0, 0]]])


def test_only_visible_locations_count() -> None:
    where = torch.tensor([[[0.2, 0.3], [0.5, 0.16], [0.9, 0.9], [0.9, 0.9]]])
    wanted = ((0.1**2 + 0.0) + (0.0 + 0.1**2)) / 2
    assert float(location_loss(where, LANDMARKS, 100)) == pytest.approx(wanted, rel=1e-5)
    hidden = LANDMARKS * torch.tensor([1.0, 1.0, 0.0])
    assert float(location_loss(where, hidden, 100)) == 0.0


def test_visibility_has_three_kinds() -> None:
    scores = torch.zeros(1, 4, 3)
    scores[0, 0, 2] = 1.0
    first = -math.log(math.e / (math.e + 2))
    assert float(visibility_loss(scores, LANDMARKS)) == pytest.approx((first + 3 * math.log(3)) / 4)
