"""Each equation against loops that can be read beside the paper."""

from __future__ import annotations

import math

import pytest
import torch

from hemline.learn.layers import attention
from hemline.learn.layers.attention import ContextAttention, TagAttention

B, M, C, L, T = 3, 2, 5, 4, 6


@pytest.fixture
def local() -> torch.Tensor:
    return torch.randn(B, C, L, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def contexts() -> torch.Tensor:
    return torch.randn(M, C, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def close(one: torch.Tensor, two: list) -> None:
    torch.testing.assert_close(one.detach(), torch.tensor(two, dtype=one.dtype))


def weighted_sum(local: torch.Tensor, b: int, weights: list[float]) -> list[float]:
    return [sum(weights[k] * float(local[b, c, k]) for k in range(L)) for c in range(C)]


def test_tag_attention_is_equations_1_to_3(local: torch.Tensor) -> None:
    layer = TagAttention(T, C).double()
    torch.nn.init.normal_(layer.weight)
    tags = torch.tensor([[1, 0, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0], [0] * T], dtype=torch.float64)
    vectors, weights = layer(local, tags)
    layer.requires_grad_(False)
    for b in range(B):
        embedded = [
            sum(float(layer.weight[t, c]) * float(tags[b, t]) for t in range(T)) for c in range(C)
        ]
        scores = [sum(float(local[b, c, k]) * embedded[c] for c in range(C)) for k in range(L)]
        close(weights[b], softmax(scores))
        close(vectors[b], weighted_sum(local, b, softmax(scores)))


def test_no_tags_look_everywhere_evenly(local: torch.Tensor) -> None:
    layer = TagAttention(T, C).double()
    vectors, weights = layer(local, torch.zeros(B, T))
    torch.testing.assert_close(weights, torch.full((B, L), 1 / L, dtype=torch.float64))
    torch.testing.assert_close(vectors, local.mean(dim=2))


def test_linear_context_attention_is_equations_4_to_6(
    local: torch.Tensor, contexts: torch.Tensor
) -> None:
    layer = ContextAttention(C, L).double()
    torch.nn.init.normal_(layer.v)
    torch.nn.init.normal_(layer.u)
    vectors, weights = layer(local, contexts)
    assert vectors.shape == (B, M, C)
    layer.requires_grad_(False)
    for b in range(B):
        for m in range(M):
            scores = [
                sum(
                    float(layer.v[c]) * float(local[b, c, k])
                    + float(layer.u[k, c]) * float(contexts[m, c])
                    for c in range(C)
                )
                for k in range(L)
            ]
            close(weights[b, m], softmax(scores))
            close(vectors[b, m], weighted_sum(local, b, softmax(scores)))


def test_inner_context_attention_is_a_scaled_cosine(
    local: torch.Tensor, contexts: torch.Tensor
) -> None:
    layer = ContextAttention(C, L, "inner").double()
    torch.nn.init.constant_(layer.scale, 3.0)
    vectors, weights = layer(local, contexts)
    for b in range(B):
        for m in range(M):
            scores = [
                3.0 * float(torch.cosine_similarity(local[b, :, k], contexts[m], dim=0))
                for k in range(L)
            ]
            close(weights[b, m], softmax(scores))
            close(vectors[b, m], weighted_sum(local, b, softmax(scores)))


@pytest.mark.parametrize("alignment", ["linear", "inner"])
def test_gradients_of_context_attention(
    alignment: attention.Alignment, local: torch.Tensor, contexts: torch.Tensor
) -> None:
    layer = ContextAttention(C, L, alignment).double()
    inputs = (local.requires_grad_(), contexts.requires_grad_())
    assert torch.autograd.gradcheck(layer, inputs)


def test_gradients_of_tag_attention(local: torch.Tensor) -> None:
    weight = torch.randn(T, C, dtype=torch.float64, requires_grad=True)
    tags = torch.randint(0, 2, (B, T)).double()

    def vectors(local: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return attention.attend(local, attention.tag_scores(local, tags, weight))[0]

    assert torch.autograd.gradcheck(vectors, (local.requires_grad_(), weight))


def test_first_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    weight = TagAttention(200, 100).weight.detach()
    assert float(weight.std()) == pytest.approx(0.008, rel=0.05)
    assert abs(float(weight.mean())) < 0.001


def test_linear_shift_depends_on_the_place_inner_on_what_is_there(
    local: torch.Tensor, contexts: torch.Tensor
) -> None:
    """Permuting locations: the inner product follows the content, the linear form does not."""
    order = torch.tensor([2, 0, 3, 1])
    for alignment, follows in (("inner", True), ("linear", False)):
        layer = ContextAttention(C, L, alignment).double()
        if alignment == "linear":
            torch.nn.init.normal_(layer.u)
        _, weights = layer(local, contexts)
        _, moved = layer(local[:, :, order], contexts)
        assert torch.allclose(weights[:, :, order], moved) == follows
