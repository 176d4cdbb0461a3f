"""Figures of predicted tags and landmarks against scikit-learn and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from hemline.learn.losses.multilabel import known_values, name_numbers
from hemline.learn.model import Prediction
from hemline.learn.training.labels import Labels
from hemline.ranking.metrics import average_precision
from hemline.types import LANDMARKS

NAMES = name_numbers(("a=1", "a=2", "b=1", "b=2", "b=3"))


def drawn(rows: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    tags = torch.zeros(rows, 5)
    for row in range(rows):
        if row % 3:
            tags[row, int(torch.randint(2, (), generator=draw))] = 1
        if row % 4:
            tags[row, 2 + int(torch.randint(2, (), generator=draw))] = 1  # b=3 never comes
    return torch.rand(rows, 5, generator=draw), tags


def test_average_precision_is_scikit_learns() -> None:
    scores, tags = drawn()
    for tag in range(4):
        wanted = average_precision_score(tags[:, tag].numpy(), scores[:, tag].numpy())
        found = average_precision(-scores[:, tag].numpy(), tags[:, tag].numpy() > 0)
        assert found == pytest.approx(wanted)
    tied = average_precision(np.zeros(4, np.float32), np.array([True, False, False, False]))
    assert tied == 0.25


def test_figures_of_tags_leave_out_what_is_unknown() -> None:
    scores, tags = drawn()
    labels = Labels(NAMES, 64)
    for start in range(0, 40, 16):  # in batches
        part = slice(start, start + 16)
        rows = len(tags[part])
        labels.add(Prediction(scores[part]), tags[part], torch.zeros(rows, 8, 3))
    figures = labels.figures()
    known = known_values(tags, NAMES).bool()
    each = [
        average_precision_score(tags[known[:, t], t].numpy(), scores[known[:, t], t].numpy())
        for t in range(4)
    ]
    assert figures["attribute_map"] == pytest.approx(np.mean(each))
    right = total = 0
    for row in range(40):
        for columns in (slice(0, 2), slice(2, 5)):
            if tags[row, columns].any():
                total += 1
                right += int(tags[row, columns][scores[row, columns].argmax()])
    assert figures["attribute_accuracy"] == pytest.approx(right / total)
    assert "landmark_error" not in figures


def test_the_error_of_landmarks_is_a_share_of_the_side() -> None:
    labels = Labels(NAMES, 100)
    wanted = torch.zeros(1, 8, 3)
    wanted[0, 0] = torch.tensor([10.0, 10.0, 2.0])
    wanted[0, 1] = torch.tensor([20.0, 20.0, 2.0])
    wanted[0, 2] = torch.tensor([90.0, 90.0, 1.0])  # hidden: not counted
    found = torch.zeros(1, 8, 2)
    found[0, 0] = torch.tensor([13.0, 14.0])
    found[0, 1] = torch.tensor([20.0, 20.0])
    labels.add(Prediction(None, found), torch.zeros(1, 5), wanted)
    assert labels.figures() == {"landmark_error": pytest.approx(0.025)}


def test_each_tag_and_each_landmark_has_its_own_figure() -> None:
    scores, tags = drawn()
    vocabulary = ("a=1", "a=2", "b=1", "b=2", "b=3")
    draw = torch.Generator().manual_seed(6)
    wanted = torch.rand(40, 8, 3, generator=draw) * 100
    wanted[..., 2] = torch.randint(3, (40, 8), generator=draw).float()
    wanted[:, 7, 2] = 1  # never visible
    found = torch.rand(40, 8, 2, generator=draw) * 100
    labels = Labels(NAMES, 100)
    for start in range(0, 40, 16):
        part = slice(start, start + 16)
        labels.add(Prediction(scores[part], found[part]), tags[part], wanted[part])
    report = labels.report(vocabulary)
    known = known_values(tags, NAMES).bool()
    for tag in range(4):
        rows = known[:, tag]
        own = average_precision_score(tags[rows, tag].numpy(), scores[rows, tag].numpy())
        one = report["attributes"][vocabulary[tag]]
        assert one["ap"] == pytest.approx(own)
        assert one["rows"] == int(tags[:, tag].sum())
    assert "b=3" not in report["attributes"]
    for name, some in (("a", ("a=1", "a=2")), ("b", ("b=1", "b=2"))):
        mean = np.mean([report["attributes"][tag]["ap"] for tag in some])
        assert report["attribute_types"][name] == {"map": pytest.approx(mean), "tags": 2}
    assert report["attribute_map"] == labels.figures()["attribute_map"]
    every: list[float] = []
    for number, name in enumerate(LANDMARKS[:7]):
        gaps = []
        for row in range(40):
            if wanted[row, number, 2] == 2:
                x, y = (found[row, number] - wanted[row, number, :2]).tolist()
                gaps.append((x * x + y * y) ** 0.5 / 100)
        assert report["landmarks"][name] == {
            "nme": pytest.approx(np.mean(gaps)),
            "rows": len(gaps),
        }
        every += gaps
    assert LANDMARKS[7] not in report["landmarks"]
    assert report["landmark_error"] == pytest.approx(np.mean(every))
    assert Labels(NAMES, 100).report(vocabulary) == {}
