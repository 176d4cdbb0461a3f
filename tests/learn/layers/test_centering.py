from __future__ import annotations

import torch

from hemline.learn.layers.centering import DomainCentering


def test_the_first_batches_count_alike_then_old_ones_fade() -> None:
    torch.manual_seed(0)
    layer = DomainCentering(3, momentum=0.25)
    batches = torch.randn(6, 2, 3, 4, 4)
    mean = torch.zeros(3)
    for number, batch in enumerate(batches, start=1):
        weight = max(1 / number, 0.25)
        mean = (1 - weight) * mean + weight * batch.mean(dim=(0, 2, 3))
        torch.testing.assert_close(layer(batch), batch - mean.view(3, 1, 1))
    torch.testing.assert_close(layer.mean, mean)
    # the first four batches by hand: a plain mean
    torch.testing.assert_close(
        0.75 * (0.75 * batches[:4].mean(dim=(0, 1, 3, 4)) + 0.25 * batches[4].mean(dim=(0, 2, 3)))
        + 0.25 * batches[5].mean(dim=(0, 2, 3)),
        mean,
    )


def test_evaluation_changes_nothing() -> None:
    layer = DomainCentering(3)
    features = torch.randn(2, 3, 4, 4)
    layer(features)
    layer.eval()
    before = layer.mean.clone()
    out = layer(torch.ones(1, 3, 2, 2))
    assert torch.equal(layer.mean, before)
    torch.testing.assert_close(out[0, :, 0, 0], 1 - before)


def test_the_mean_is_a_constant_for_the_gradient() -> None:
    layer = DomainCentering(3)
    features = torch.randn(2, 3, 2, 2, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, torch.ones_like(features))
