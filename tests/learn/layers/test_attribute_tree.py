from __future__ import annotations

import pytest
import torch

from hemline.errors import UsageError
from hemline.learn.layers.attribute_tree import AttributeTree, group_attributes

VOCABULARY = ("category=shirt", "category=skirt", "colour=a=b", "plain")


def test_values_are_grouped_by_name() -> None:
    assert group_attributes(VOCABULARY) == {"category": (0, 1), "colour": (2,), "plain": (3,)}
    assert group_attributes(VOCABULARY, ["colour"]) == {"colour": (2,)}
    assert group_attributes(("b=1", "a=1", "b=2"))["b"] == (0, 2)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no attribute 'color'.*colour"):
        group_attributes(VOCABULARY, ["color"])


def test_each_branch_is_its_own() -> None:
    tree = AttributeTree(6, 5, group_attributes(VOCABULARY))
    scores = tree(torch.randn(3, 6))
    assert [tuple(s.shape) for s in scores] == [(3, 2), (3, 1), (3, 1)]
    scores[0].sum().backward()
    touched = {n.split(".")[1] for n, p in tree.named_parameters() if p.grad is not None}
    assert touched == {"0"}
