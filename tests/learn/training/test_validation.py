from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hemline.learn.model import RerankOutput
from hemline.learn.training.validation import ranks, reranked, summary


def slow_rank(street: np.ndarray, shop: np.ndarray, wanted: int, items: np.ndarray) -> int:
    distance = {}
    for vector, item in zip(shop, items, strict=True):
        d = float(((street - vector) ** 2).sum())
        distance[item] = min(d, distance.get(item, np.inf))
    return sum(d <= distance[wanted] + 1e-9 for d in distance.values())


def unit(count: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.standard_normal((count, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float64)


def test_ranks_agree_with_a_loop_over_products() -> None:
    rng = np.random.default_rng(0)
    items = rng.integers(0, 12, 40)
    items[:12] = np.arange(12)
    shop, street = unit(40, rng), unit(25, rng)
    wanted = rng.integers(0, 12, 25)
    found = ranks(*(torch.from_numpy(a) for a in (street, shop, wanted, items)))
    expected = [slow_rank(s, shop, w, items) for s, w in zip(street, wanted, strict=True)]
    assert found.tolist() == expected


def test_a_constant_embedding_finds_nothing() -> None:
    same = torch.ones(4, 3) / 3**0.5
    rank = ranks(same, same, torch.arange(4), torch.arange(4))
    assert rank.tolist() == [4, 4, 4, 4]


def test_summary_counts_shares() -> None:
    figures = summary(torch.tensor([1, 2, 6, 40]))
    assert figures["recall@1"] == 0.25
    assert figures["recall@5"] == 0.5
    assert figures["recall@20"] == 0.75
    assert figures["recall@50"] == 1.0
    assert abs(figures["mrr"] - (1 + 1 / 2 + 1 / 6 + 1 / 40) / 4) < 1e-12


class Reverse(nn.Module):
    """Re-ranks by how little the context looks like the query."""

    def rerank(self, local: torch.Tensor, contexts: torch.Tensor) -> RerankOutput:
        return RerankOutput(contexts @ local.mean(dim=1), torch.zeros(len(contexts), 1))


def test_reranking_orders_the_first_ones_and_leaves_the_rest() -> None:
    rng = np.random.default_rng(1)
    shop = torch.from_numpy(unit(10, rng))
    street = torch.from_numpy(unit(6, rng))
    items = torch.arange(10) % 5
    wanted = torch.tensor([0, 1, 2, 3, 4, 0])
    local = [street[:4, :, None], street[4:, :, None]]
    model = Reverse()
    found = reranked(model, street, local, shop, shop, wanted, items, top=4)  # type: ignore[arg-type]
    first = ranks(street, shop, wanted, items)
    for q in range(6):
        order = sorted(range(10), key=lambda g: -float(street[q] @ shop[g]))[:4]
        near = sorted(order, key=lambda g: float(street[q] @ shop[g]))
        products = list(dict.fromkeys(int(items[g]) for g in near))
        own = int(wanted[q])
        expected = products.index(own) + 1 if own in products else int(first[q])
        assert int(found[q]) == expected
