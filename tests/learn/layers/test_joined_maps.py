"""Trained maps that are joined to fitted ones: the shares, and embeddings that stay as long."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hemline.errors import DataError
from hemline.learn.layers.domain_maps import DomainMaps
from hemline.learn.layers.joined_maps import JoinedMapConfig, JoinedMaps, shares_of

C, D, K = 12, 8, 2


def some(rows: int, length: int, seed: int) -> Tensor:
    return torch.randn(rows, length, generator=torch.Generator().manual_seed(seed))


def test_few_items_have_a_smaller_share() -> None:
    config = JoinedMapConfig(share=0.4, few=100)
    experts = torch.tensor([0] * 300 + [1] * 50)
    items = torch.cat([torch.arange(300), torch.arange(25).repeat(2)])
    shares = shares_of(experts, items, 3, config)
    assert shares.tolist() == pytest.approx([0.3, 0.08, 0.0])
    none_few = shares_of(experts, items, 3, config.model_copy(update={"few": 0}))
    assert none_few.tolist() == pytest.approx([0.4, 0.4, 0.0])


def test_before_they_are_joined_the_fitted_embeddings_stay() -> None:
    joined = JoinedMaps(C, D, K)
    fitted, x, gate = some(5, D, 1), some(5, C, 2), torch.rand(5, K)
    alone = joined(fitted, joined.street(x), gate)
    torch.testing.assert_close(alone, functional.normalize(fitted, dim=1))


def test_similarities_are_joined_by_the_experts_shares() -> None:
    """Fitted embeddings in 3 of 8 dimensions and trained ones in 4: the axes lose nothing."""
    joined = JoinedMaps(C, D, K)
    weight = functional.pad(some(4, C, 3), (0, 0, 0, D - 4))
    bias = functional.pad(some(1, 4, 4), (0, D - 4))[0]
    joined.begin(DomainMaps(weight, bias, 2 * weight, bias + 1 * (bias != 0)))
    x = some(90, C, 5), some(40, C, 6)
    alone = joined(some(90, D, 8), joined.street(x[0]), torch.ones(90, K) / K)
    torch.testing.assert_close(alone, functional.normalize(joined.street(x[0]), dim=1))
    fitted = [functional.pad(some(len(side), 3, 7), (0, D - 3)) for side in x]
    gates = [torch.tensor([[1.0, 0.0]]).repeat(len(side), 1) for side in x]
    joined.join(torch.tensor([0.3, 0.9]), x, (fitted[0], fitted[1]), (gates[0], gates[1]))
    maps = joined.street, joined.shop
    trained = [functional.normalize(own(side), dim=1) for own, side in zip(maps, x, strict=True)]
    found = [joined(own, by, gate) for own, by, gate in zip(fitted, trained, gates, strict=True)]
    assert found[0].shape == (90, D)
    torch.testing.assert_close(found[0].norm(dim=1), torch.ones(90), atol=1e-4, rtol=0)
    unit = [functional.normalize(own, dim=1) for own in fitted]
    expected = 0.7 * unit[0] @ unit[1].T + 0.3 * trained[0] @ trained[1].T
    torch.testing.assert_close(found[0] @ found[1].T, expected, atol=1e-4, rtol=0)
    half = torch.tensor([[0.5, 0.5]]).repeat(90, 1)
    mixed = joined(fitted[0], trained[0], half) @ found[1].T
    both = (0.4 * 0.7) ** 0.5 * unit[0] @ unit[1].T + (0.6 * 0.3) ** 0.5 * trained[0] @ trained[1].T
    torch.testing.assert_close(mixed, both, atol=1e-4, rtol=0)


def test_maps_that_nothing_trained_are_not_joined() -> None:
    joined, x = JoinedMaps(C, D, K), (some(5, C, 1), some(5, C, 2))
    fitted, gates = (some(5, D, 3), some(5, D, 4)), (torch.rand(5, K), torch.rand(5, K))
    with pytest.raises(DataError, match="start from a run that has trained them"):
        joined.join(torch.zeros(K), x, fitted, gates)
