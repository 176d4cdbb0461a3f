"""The landmark-gated pooling, cell by cell."""

from __future__ import annotations

import torch

from hemline.learn.layers.landmark_pooling import LandmarkBranch, pool_at_landmarks


def test_the_window_about_a_landmark_is_pooled() -> None:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 8, 8, generator=draw)
    # The middles of the cells (row 2, column 5) and (row 6, column 1).
    where = torch.tensor([[5.5, 2.5], [1.5, 6.5]]).expand(2, 2, 2) / 8
    found = pool_at_landmarks(features, where, torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    for row in range(2):
        for point, (y, x) in enumerate([(2, 5), (6, 1)]):
            window = features[row, :, y - 1 : y + 2, x - 1 : x + 2].amax(dim=(1, 2))
            share = [[1.0, 0.5], [0.0, 1.0]][row][point]
            torch.testing.assert_close(found[row, point], window * share)


def test_outside_the_picture_there_is_nothing() -> None:
    features = -torch.ones(1, 1, 4, 4)
    corner = pool_at_landmarks(features, torch.zeros(1, 1, 2), torch.ones(1, 1))
    assert float(corner) == 0.0


def test_the_branch_says_where_and_whether() -> None:
    torch.manual_seed(0)
    where, seen = LandmarkBranch(3 * 4 * 4, 8, 8)(torch.randn(5, 3, 4, 4))
    assert where.shape == (5, 8, 2)
    assert seen.shape == (5, 8, 3)
    assert 0 < float(where.detach().min()) < float(where.detach().max()) < 1
