"""Heat maps against their formula, cell by cell, and the way back to pixels."""

from __future__ import annotations

import math

import torch

from hemline.learn.losses.heatmap import heatmap_loss, points_of, target_maps

LANDMARKS = torch.tensor([[[10.0, 30.0, 2.0], [50.0, 6.0, 2.0], [20.0, 20.0, 1.0], [0, 0, 0]]])


def slow_map(x: float, y: float, side: int, cells: int, sigma: float) -> list[list[float]]:
    scale = cells / side
    return [
        [
            math.exp(-((c + 0.5 - x * scale) ** 2 + (r + 0.5 - y * scale) ** 2) / (2 * sigma**2))
            for c in range(cells)
        ]
        for r in range(cells)
    ]


def test_a_target_is_a_gaussian_about_its_landmark() -> None:
    maps = target_maps(LANDMARKS, 64, 16, 1.5)
    wanted = torch.tensor(slow_map(10.0, 30.0, 64, 16, 1.5))
    torch.testing.assert_close(maps[0, 0], wanted)


def test_only_visible_landmarks_count() -> None:
    heatmaps = torch.rand(2, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    errors = []
    for number in range(2):
        for point in range(2):
            x, y, _ = LANDMARKS[0, point].tolist()
            gap = heatmaps[number, 0, point] - torch.tensor(slow_map(x, y, 64, 16, 1.0))
            errors.append(float((gap**2).sum()))
    loss = heatmap_loss(heatmaps, LANDMARKS, 64)
    assert math.isclose(float(loss), sum(errors) / 4, rel_tol=1e-5)
    hidden = LANDMARKS.clone()
    hidden[..., 2] = 1
    assert float(heatmap_loss(heatmaps, hidden, 64)) == 0.0


def test_equation_2_divides_by_the_annotated_landmarks_of_each_image() -> None:
    draw = torch.Generator().manual_seed(0)
    landmarks = torch.cat([LANDMARKS, LANDMARKS, torch.zeros(1, 4, 3)])
    landmarks[1, 0, 2] = 1  # occluded: annotated, in no sum
    heatmaps = torch.rand(2, 3, 4, 16, 16, generator=draw)
    each = []
    for image, seen in ((0, (0, 1)), (1, (1,))):
        total = 0.0
        for point in seen:
            x, y, _ = landmarks[image, point].tolist()
            wanted = torch.tensor(slow_map(x, y, 64, 16, 1.0))
            total += float(((heatmaps[:, image, point] - wanted) ** 2).sum()) / 2
        each.append(total / 3)  # two visible and one occluded, or one and two
    loss = heatmap_loss(heatmaps, landmarks, 64, over="annotated")
    assert math.isclose(float(loss), sum(each) / 2, rel_tol=1e-5)  # the third has none


def test_points_come_back_from_their_maps() -> None:
    found = points_of(target_maps(LANDMARKS, 64, 16), 64)
    gap = (found[0, :3] - LANDMARKS[0, :3, :2]).abs()
    assert float(gap.max()) <= 2.0  # half a cell of 4 pixels
