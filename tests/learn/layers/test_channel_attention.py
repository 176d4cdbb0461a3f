"""Channel attention against Eqs. 3-8 of AHBN written out."""

from __future__ import annotations

import torch

from hemline.learn.layers.channel_attention import CoAttention, weigh


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 4, 3, 3, generator=draw),
        torch.randn(2, 6, 5, 5, generator=draw),
    )


def test_co_attention_is_the_equations() -> None:
    torch.manual_seed(0)
    layer = CoAttention(4, 6, hidden=8)
    first, second = maps()
    both = torch.cat([first.flatten(2).sum(2) / 9, second.flatten(2).sum(2) / 25], dim=1)
    w1, _, w2 = layer.first
    wanted = 1 / (1 + torch.exp(-((both @ w1.weight.T).clamp(min=0) @ w2.weight.T)))
    one, two = layer(first, second)
    torch.testing.assert_close(one, wanted)
    assert two.shape == (2, 6)


def test_together_each_branch_hears_the_other_and_apart_it_does_not() -> None:
    first, second = maps()
    for together in (True, False):
        torch.manual_seed(0)
        layer = CoAttention(4, 6, hidden=8, together=together)
        one, _ = layer(first, second)
        other, _ = layer(first, 2 * second)
        assert torch.equal(one, other) != together


def test_softmax_shares_one_among_the_channels() -> None:
    one, two = CoAttention(4, 6, hidden=8, gate="softmax")(*maps())
    torch.testing.assert_close(one.sum(1), torch.ones(2))
    torch.testing.assert_close(two.sum(1), torch.ones(2))


def test_weighing_multiplies_whole_channels() -> None:
    features = torch.arange(8.0).view(1, 2, 2, 2)
    weighed = weigh(features, torch.tensor([[0.5, 2.0]]))
    assert weighed.flatten().tolist() == [0.0, 0.5, 1.0, 1.5, 8.0, 10.0, 12.0, 14.0]
