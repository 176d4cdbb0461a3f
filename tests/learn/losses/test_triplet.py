from __future__ import annotations

import pytest
import torch

from hemline.learn.losses.triplet import triplet_loss

TRIPLETS = torch.tensor([[0, 0, 1], [0, 0, 2], [1, 1, 0], [2, 2, 1]])


def reference(distances: torch.Tensor, margin: float, squared: bool) -> float:
    losses = []
    for anchor, positive, negative in TRIPLETS.tolist():
        to_positive, to_negative = (
            float(distances[anchor, positive]),
            float(distances[anchor, negative]),
        )
        if squared:
            to_positive, to_negative = to_positive**2, to_negative**2
        losses.append(max(0.0, to_positive - to_negative + margin))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("margin", [0.3, 0.5])
def test_equation_7(squared: bool, margin: float) -> None:
    distances = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = triplet_loss(distances, TRIPLETS, margin, squared)
    assert float(loss) == pytest.approx(reference(distances, margin, squared), abs=1e-12)


def test_as_torch_has_it_where_the_anchor_looks_the_same_beside_each() -> None:
    anchor, positive, negative = torch.nn.functional.normalize(torch.randn(3, 5, 8), dim=2)
    shop = torch.cat([positive, negative])
    rows = torch.arange(5)
    triplets = torch.stack([rows, rows, rows + 5], dim=1)
    ours = triplet_loss(torch.cdist(anchor, shop), triplets, 0.3)
    theirs = torch.nn.functional.triplet_margin_loss(anchor, positive, negative, margin=0.3)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("squared", [False, True])
def test_gradient(squared: bool) -> None:
    distances = torch.tensor(
        [[0.5, 0.9, 0.6], [0.4, 0.7, 0.2], [0.3, 0.8, 0.65]],
        dtype=torch.float64,
        requires_grad=True,
    )
    assert torch.autograd.gradcheck(lambda d: triplet_loss(d, TRIPLETS, 0.3, squared), (distances,))


def test_no_triplet_gives_zero_that_can_be_differentiated() -> None:
    distances = torch.rand(2, 2, requires_grad=True)
    loss = triplet_loss(distances, torch.empty(0, 3, dtype=torch.long), 0.3)
    loss.backward()
    assert float(loss.detach()) == 0
    assert distances.grad is not None
    assert not distances.grad.any()
