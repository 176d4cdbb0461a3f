"""Bilinear pooling against the sums written out."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.sketch_by_fft import sketch_by_fft
from hemline.learn.layers.bilinear import CompactBilinear, FullBilinear, count_sketch, signed_root


def pair(first: int = 5, second: int = 3, locations: int = 7) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, first, locations, generator=draw, dtype=torch.float64),
        torch.randn(2, second, locations, generator=draw, dtype=torch.float64),
    )


def slow_sketch(layer: CompactBilinear, first: Tensor, second: Tensor) -> Tensor:
    """Every product of two channels at every location, added where the paper puts it."""
    out = torch.zeros(len(first), layer.size, dtype=first.dtype)
    locations = first.shape[2]
    for row in range(len(first)):
        for place in range(locations):
            for i in range(first.shape[1]):
                for j in range(second.shape[1]):
                    bucket = int(layer.first_buckets[i] + layer.second_buckets[j]) % layer.size
                    sign = float(layer.first_signs[i] * layer.second_signs[j])
                    value = first[row, i, place] * second[row, j, place]
                    out[row, bucket] += sign * value / locations
    return out


def test_the_count_sketch_adds_signed_numbers_into_buckets() -> None:
    vector = torch.tensor([[1.0, 2.0, 4.0]])
    sketch = count_sketch(vector, torch.tensor([1, 0, 1]), torch.tensor([1.0, -1.0, -1.0]), 3)
    assert sketch.tolist() == [[-2.0, -3.0, 0.0]]


def test_both_ways_to_the_sketch_are_the_slow_one() -> None:
    torch.manual_seed(3)
    layer = CompactBilinear(5, 3, 11).double()
    first, second = pair()
    wanted = slow_sketch(layer, first, second)
    torch.testing.assert_close(layer(first, second), wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(sketch_by_fft(layer, first, second), wanted, atol=1e-12, rtol=0)


def test_the_two_ways_agree_at_the_size_of_the_paper() -> None:
    torch.manual_seed(4)
    layer = CompactBilinear(1536, 256, 8192)
    first, second = torch.rand(1, 1536, 16), torch.rand(1, 256, 16)
    fast, slow = layer(first, second), sketch_by_fft(layer, first, second)
    assert float((fast - slow).abs().max()) < 1e-5 * float(slow.abs().max())


def test_the_sketch_keeps_inner_products_on_average() -> None:
    first, second = pair(6, 6, 1)
    wanted = (first[0].T @ first[1]) * (second[0].T @ second[1])
    found = []
    for seed in range(400):
        torch.manual_seed(seed)
        rows = CompactBilinear(6, 6, 64).double()(first, second)
        found.append(float(rows[0] @ rows[1]))
    mean = torch.tensor(found).mean()
    spread = torch.tensor(found).std() / 20
    assert abs(float(mean - wanted)) < 4 * float(spread)


def test_the_full_product_is_the_mean_of_outer_products() -> None:
    first, second = pair()
    wanted = torch.stack([first[:, :, p, None] * second[:, None, :, p] for p in range(7)]).mean(0)
    torch.testing.assert_close(FullBilinear(5, 3)(first, second), wanted.flatten(1))
    assert FullBilinear(5, 3).size == 15


def test_the_signed_root_has_a_gradient_at_nothing() -> None:
    numbers = torch.tensor([-4.0, 0.0, 9.0], requires_grad=True)
    root = signed_root(numbers)
    torch.testing.assert_close(root.detach(), torch.tensor([-2.0, 0.0, 3.0]))
    root.sum().backward()
    assert numbers.grad is not None
    assert bool(numbers.grad.isfinite().all())
