"""The public losses: each is registered, documented whole, and its example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest
import torch

from hemline.errors import UsageError
from hemline.learn import losses
from hemline.learn.loss import RankingInputs, RankingOptions, build_loss, loss_spec, ranking_losses
from hemline.learn.model import MODELS

FUNCTIONS = {loss_spec(name).function for name in losses.LOSSES}


def test_the_public_functions_are_the_registered_ones() -> None:
    public = {getattr(losses, name) for name in losses.__all__ if name.endswith("_loss")}
    assert public == FUNCTIONS | {losses.mined_triplet_loss}


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_each_loss_says_where_it_is_from_and_shows_how_it_is_called(name: str) -> None:
    spec = loss_spec(name)
    text = inspect.getdoc(spec.function) or ""
    assert all(part in text for part in ("Args:", "Returns:", "Raises:", "Example:"))
    assert 3 <= text.count(">>>") <= 5
    module = importlib.import_module(spec.function.__module__)
    assert "https://" in (module.__doc__ or "")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ranking_losses())
def test_each_ranking_loss_has_one_interface(name: str) -> None:
    torch.manual_seed(0)
    street, shop = torch.nn.functional.normalize(torch.randn(2, 4, 6), dim=2)
    items = torch.arange(4)
    street.requires_grad_()
    loss = build_loss(name, RankingOptions(dim=6))
    loss.expect(items)
    value = loss(RankingInputs(torch.cdist(street, shop), street, shop, items, items))
    assert value.shape == ()
    value.backward()
    assert street.grad is not None
    assert street.grad.any()


def test_a_recipe_names_a_loss_of_the_registry() -> None:
    assert {"triplet", "infonce", "proxy_anchor", "centroid"} <= set(ranking_losses())
    for name in ranking_losses():
        assert MODELS["seam"].configure({"loss": name}).loss == name
    with pytest.raises(UsageError, match="seam: loss: .*no loss 'proxy_anker'.*'proxy_anc"):
        MODELS["seam"].configure({"loss": "proxy_anker"})
    with pytest.raises(
        UsageError, match="ynet: loss: .*'centroid' does not read distances; .*triplet do"
    ):
        MODELS["ynet"].configure({"loss": "centroid"})
    with pytest.raises(ValueError, match="the loss 'heatmap' ranks nothing"):
        build_loss("heatmap", RankingOptions(dim=6))
