from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_reciprocal_rank

from hemline.errors import UsageError
from hemline.ranking.metrics import (
    NEVER,
    average_precision,
    euclidean,
    ndcg_at_k,
    product_distances,
    product_ranks,
    recall_at_k,
    reciprocal_ranks,
)


def slow_rank(distances: np.ndarray, items: list[int], right: set[int]) -> int:
    """Walk down the ranking, wrong pictures first at a tie, counting distinct products."""
    order = sorted(range(len(items)), key=lambda g: (distances[g], items[g] in right))
    seen: list[int] = []
    for g in order:
        if not np.isfinite(distances[g]):
            break
        if items[g] in right:
            return len(seen) + 1
        if items[g] not in seen:
            seen.append(items[g])
    return NEVER


@pytest.mark.parametrize("seed", range(5))
def test_product_ranks_walk_down_distinct_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = rng.integers(0, 9, 40)
    distances = rng.integers(0, 12, (30, 40)).astype(float)  # many ties
    distances[rng.random(distances.shape) < 0.1] = np.inf
    relevant = [
        frozenset(rng.choice(9, rng.integers(0, 3), replace=False).tolist()) for _ in range(30)
    ]
    best = product_distances(distances, items, 9)
    found = product_ranks(best, relevant)
    wanted = [slow_rank(distances[q], items.tolist(), set(relevant[q])) for q in range(30)]
    assert found.tolist() == wanted
    assert NEVER in wanted


def test_recall_does_not_divide_by_the_number_of_right_answers() -> None:
    best = np.array([[0.1, 0.2, 0.3, 0.4]])
    assert recall_at_k(product_ranks(best, [frozenset({0, 3})]), 1) == 1.0


def test_a_tie_is_told_against_the_model() -> None:
    best = np.zeros((1, 5))
    assert product_ranks(best, [frozenset({2})]).tolist() == [5]


def test_a_query_without_a_match_is_a_miss_and_does_not_crash() -> None:
    ranks = product_ranks(np.array([[0.1, 0.2]]), [frozenset()])
    assert ranks.tolist() == [NEVER]
    assert recall_at_k(ranks, 50) == 0.0
    assert reciprocal_ranks(ranks).tolist() == [0.0]


def test_hit_rate_and_reciprocal_rank_agree_with_torchmetrics() -> None:
    rng = np.random.default_rng(3)
    best = rng.random((50, 30))
    relevant = [frozenset({int(rng.integers(30))}) for _ in range(50)]
    ranks = product_ranks(best, relevant)
    # torchmetrics ranks positive scores only, hence 2 - distance
    for k in (1, 5, 20):
        theirs = []
        for row, right in zip(best, relevant, strict=True):
            target = torch.zeros(30, dtype=torch.bool)
            target[list(right)] = True
            theirs.append(float(retrieval_hit_rate(torch.from_numpy(2.0 - row), target, top_k=k)))
        assert recall_at_k(ranks, k) == pytest.approx(np.mean(theirs))
    target = torch.zeros(30, dtype=torch.bool)
    target[list(relevant[0])] = True
    theirs_mrr = float(retrieval_reciprocal_rank(torch.from_numpy(2.0 - best[0]), target))
    assert reciprocal_ranks(ranks)[0] == pytest.approx(theirs_mrr)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_agrees_with_scikit_learn(ties: bool) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        distances = rng.integers(0, 8, 25).astype(float) if ties else rng.random(25)
        relevant = rng.random(25) < 0.3
        relevant[0] = True
        wanted = average_precision_score(relevant, -distances)
        assert average_precision(distances, relevant) == pytest.approx(wanted)


def test_average_precision_counts_what_is_not_searched_as_lost() -> None:
    assert average_precision(np.array([0.1, np.inf]), np.array([True, True])) == 0.5
    assert average_precision(np.array([0.1, 0.2]), np.array([False, False])) == 0.0


def test_ndcg_agrees_with_scikit_learn_on_exponential_gains() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        gains = rng.integers(0, 6, 40) / 5.0
        scores = rng.random(40)
        order = np.argsort(-scores)
        wanted = ndcg_score([np.exp2(gains) - 1], [scores], k=20)
        assert ndcg_at_k(gains[order], gains, 20) == pytest.approx(wanted)


def test_ndcg_by_hand_and_without_gain() -> None:
    slow = (2**0.5 - 1) / np.log(2) + (2**1.0 - 1) / np.log(3)
    best = (2**1.0 - 1) / np.log(2) + (2**0.5 - 1) / np.log(3)
    gains = np.array([0.5, 1.0])
    assert ndcg_at_k(gains, gains, 2) == pytest.approx(slow / best)
    assert ndcg_at_k(np.zeros(3), np.zeros(3), 2) == 0.0


def test_euclidean_is_the_distance_and_refuses_what_is_not_finite() -> None:
    rng = np.random.default_rng(6)
    q, g = rng.normal(size=(7, 4)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    slow = [[np.linalg.norm(a - b) for b in g] for a in q]
    assert np.allclose(euclidean(q, g), slow, atol=1e-5)
    g[0, 0] = np.nan
    with pytest.raises(UsageError, match="NaN"):
        euclidean(q, g)
    with pytest.raises(UsageError, match="can't be compared"):
        euclidean(q, q[:, :2])


def test_k_counts_from_one() -> None:
    with pytest.raises(UsageError, match="from 1"):
        recall_at_k(np.array([1]), 0)
