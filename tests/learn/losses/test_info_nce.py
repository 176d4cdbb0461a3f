from __future__ import annotations

import math

import pytest
import torch

from hemline.learn.losses.info_nce import info_nce_loss

STREET = torch.tensor([1, 2, 1])
SHOP = torch.tensor([1, 2, 1, 3])


def one_way(distances: list[list[float]], rows: list[int], columns: list[int]) -> float:
    losses = []
    for i, row in enumerate(distances):
        powers = [math.exp((1 - d * d / 2) / 0.2) for d in row]
        negatives = sum(p for p, item in zip(powers, columns, strict=True) if item != rows[i])
        losses += [
            -math.log(p / (p + negatives))
            for p, item in zip(powers, columns, strict=True)
            if item == rows[i]
        ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("symmetric", [False, True])
def test_against_loops(symmetric: bool) -> None:
    distances = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = one_way(distances.tolist(), STREET.tolist(), SHOP.tolist())
    if symmetric:
        back = one_way(distances.T.tolist(), SHOP.tolist(), STREET.tolist())
        wanted = (wanted + back) / 2
    loss = info_nce_loss(distances, STREET, SHOP, 0.2, symmetric)
    assert float(loss) == pytest.approx(wanted, abs=1e-12)


def test_one_positive_each_is_cross_entropy() -> None:
    street, shop = torch.nn.functional.normalize(torch.randn(2, 6, 8).double(), dim=2)
    items = torch.arange(6)
    ours = info_nce_loss(torch.cdist(street, shop), items, items, 0.1, symmetric=False)
    theirs = torch.nn.functional.cross_entropy(street @ shop.T / 0.1, items)
    torch.testing.assert_close(ours, theirs)


def test_gradient() -> None:
    distances = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: info_nce_loss(d, STREET, SHOP, 0.2), (distances,))


@pytest.mark.parametrize("shop", [[1, 1, 1], [4, 5, 6]])
def test_no_negatives_or_no_positives_stay_finite(shop: list[int]) -> None:
    distances = torch.rand(3, 3, requires_grad=True)
    loss = info_nce_loss(distances, torch.tensor([1, 1, 1]), torch.tensor(shop))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert distances.grad is not None
    assert distances.grad.isfinite().all()
