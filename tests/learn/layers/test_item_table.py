"""The ID classification: its loss, its growth, its state."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hemline.learn.layers.item_table import ItemClassifier


def test_the_loss_is_the_cross_entropy_of_known_items() -> None:
    torch.manual_seed(0)
    head = ItemClassifier(3)
    head.expect(torch.tensor([7, 2, 7, 40]))
    assert head.numbers.tolist() == [2, 7, 40]
    vectors = torch.randn(4, 3)
    items = torch.tensor([40, 2, 99, 7])  # 99 is a drawn product
    logits = vectors @ head.weight.T
    wanted = functional.cross_entropy(logits[[0, 1, 3]], torch.tensor([2, 0, 1]))
    torch.testing.assert_close(head.loss(vectors, items), wanted)
    none = head.loss(vectors[:1], torch.tensor([5])).detach()
    assert float(none) == 0.0


def test_what_is_expected_again_stays() -> None:
    head = ItemClassifier(3)
    head.expect(torch.arange(5))
    weight = head.weight
    head.expect(torch.arange(5))
    assert head.weight is weight
    head.expect(torch.arange(6))
    assert head.weight.shape == (6, 3)


def test_a_state_brings_its_number_along() -> None:
    head, other = ItemClassifier(3), ItemClassifier(3)
    head.expect(torch.tensor([3, 9]))
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.weight, head.weight)
    assert other.numbers.tolist() == [3, 9]


def test_without_items_there_is_no_loss() -> None:
    with pytest.raises(ValueError, match="expect"):
        ItemClassifier(3).loss(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64))
