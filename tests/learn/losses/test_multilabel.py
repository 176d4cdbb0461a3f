"""Tags as labels against the sums written out."""

from __future__ import annotations

import math

import torch

from hemline.learn.losses.multilabel import (
    known_values,
    multilabel_loss,
    name_numbers,
    prior_logits,
)

VOCABULARY = ("collar=polo", "colour=red", "collar=round", "colour=blue")


def test_names_are_numbered_as_they_come() -> None:
    assert name_numbers(VOCABULARY).tolist() == [0, 1, 0, 1]
    assert name_numbers(()).tolist() == []


def test_a_name_without_a_value_says_nothing() -> None:
    tags = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]])
    known = known_values(tags, name_numbers(VOCABULARY))
    assert known.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]]


def test_a_guess_is_one_of_the_values_of_a_name() -> None:
    names = name_numbers((*VOCABULARY, "colour=green", "sleeve=long"))
    chance = prior_logits(names).sigmoid()
    assert torch.allclose(chance[:5], torch.tensor([1 / 2, 1 / 3, 1 / 2, 1 / 3, 1 / 3]))
    assert float(chance[5]) == 0.5  # the only value: known only where it is there


def test_the_loss_is_the_mean_over_what_is_known() -> None:
    scores = torch.tensor([[2.0, -1.0, 0.5, 9.0]], requires_grad=True)
    tags = torch.tensor([[1.0, 0, 0, 0]])
    known = known_values(tags, name_numbers(VOCABULARY))
    wanted = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(0.5))) / 2
    loss = multilabel_loss(scores, tags, known)
    assert math.isclose(float(loss.detach()), wanted, rel_tol=1e-6)
    loss.backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == scores.grad[0, 3] == 0
    nothing = multilabel_loss(scores, torch.zeros(1, 4), torch.zeros(1, 4))
    assert float(nothing.detach()) == 0.0
