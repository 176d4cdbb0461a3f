from __future__ import annotations

import math

import pytest
import torch

from hemline.learn.losses.attributes import attribute_loss


def reference(logits: list[torch.Tensor], values: list[torch.Tensor]) -> float:
    """Row by row, attribute by attribute."""
    total = 0.0
    for scores, hot in zip(logits, values, strict=True):
        for row, wanted in zip(scores.tolist(), hot.tolist(), strict=True):
            if any(wanted):
                every = sum(math.exp(s) for s in row)
                right = sum(math.exp(s) for s, w in zip(row, wanted, strict=True) if w)
                total -= math.log(right / every)
    return total / len(logits[0])


def example() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    logits = [torch.randn(4, n, generator=draw, dtype=torch.float64) for n in (3, 5)]
    one = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 1]])
    two = torch.tensor([[0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]])
    return logits, [one, two]


def test_against_the_slow_reference() -> None:
    logits, values = example()
    loss = attribute_loss([x.float() for x in logits], values)
    assert float(loss) == pytest.approx(reference(logits, values), rel=1e-6)


def test_as_torch_has_it_where_nothing_is_missing() -> None:
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 3, 1, 2, 2, 0])
    hot = torch.nn.functional.one_hot(labels, 4)
    wanted = torch.nn.functional.cross_entropy(scores, labels)
    torch.testing.assert_close(attribute_loss([scores], [hot]), wanted)


def test_a_missing_value_gives_no_gradient() -> None:
    logits, values = example()
    leaves = [x.float().requires_grad_() for x in logits]
    attribute_loss(leaves, values).backward()
    for leaf, hot in zip(leaves, values, strict=True):
        assert leaf.grad is not None
        known = hot.any(dim=1)
        assert (leaf.grad[~known] == 0).all()
        assert (leaf.grad[known].abs().sum(dim=1) > 0).all()


def test_nothing_known_is_zero_and_has_a_gradient_of_zero() -> None:
    scores = torch.randn(3, 2, requires_grad=True)
    loss = attribute_loss([scores], [torch.zeros(3, 2)])
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad is not None
    assert (scores.grad == 0).all()


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\) for \(3, 4\)"):
        attribute_loss([torch.randn(3, 4)], [torch.zeros(3, 2)])
