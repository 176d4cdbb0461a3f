from __future__ import annotations

import ast
import doctest
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_reciprocal_rank

from hemline.errors import UsageError
from hemline.ranking import merge, metrics, tags
from hemline.ranking.metrics import (
    MISS,
    average_precision,
    image_ranks,
    item_distances,
    item_ranks,
    mean_average_precision,
    mean_reciprocal_rank,
    ndcg_at_k,
    recall_at_k,
    recalls_at,
    reciprocal_ranks,
)


def slow_rank(distances: np.ndarray, items: list[int], right: set[int]) -> int:
    """Walk down the ranking, wrong pictures first at a tie, counting distinct items."""
    order = sorted(range(len(items)), key=lambda g: (distances[g], items[g] in right))
    seen: list[int] = []
    for g in order:
        if not np.isfinite(distances[g]):
            break
        if items[g] in right:
            return len(seen) + 1
        if items[g] not in seen:
            seen.append(items[g])
    return MISS


@pytest.mark.parametrize("seed", range(5))
def test_item_ranks_walk_down_distinct_items(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = rng.integers(0, 9, 40)
    distances = rng.integers(0, 12, (30, 40)).astype(float)  # many ties
    distances[rng.random(distances.shape) < 0.1] = np.inf
    relevant = [
        frozenset(rng.choice(9, rng.integers(0, 3), replace=False).tolist()) for _ in range(30)
    ]
    best = item_distances(distances, items, 9)
    found = item_ranks(best, relevant)
    wanted = [slow_rank(distances[q], items.tolist(), set(relevant[q])) for q in range(30)]
    assert found.tolist() == wanted
    assert MISS in wanted


def test_recall_does_not_divide_by_the_number_of_right_answers() -> None:
    best = np.array([[0.1, 0.2, 0.3, 0.4]])
    assert recall_at_k(item_ranks(best, [frozenset({0, 3})]), 1) == 1.0


def test_a_tie_is_told_against_the_model() -> None:
    best = np.zeros((1, 5))
    assert item_ranks(best, [frozenset({2})]).tolist() == [5]


def test_a_query_without_a_match_is_a_miss_and_does_not_crash() -> None:
    ranks = item_ranks(np.array([[0.1, 0.2]]), [frozenset()])
    assert ranks.tolist() == [MISS]
    assert recall_at_k(ranks, 50) == 0.0
    assert reciprocal_ranks(ranks).tolist() == [0.0]


def test_hit_rate_and_reciprocal_rank_agree_with_torchmetrics() -> None:
    rng = np.random.default_rng(3)
    best = rng.random((50, 30))
    relevant = [frozenset({int(rng.integers(30))}) for _ in range(50)]
    ranks = item_ranks(best, relevant)
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


def test_k_counts_from_one() -> None:
    with pytest.raises(UsageError, match="from 1"):
        recall_at_k(np.array([1]), 0)


@pytest.mark.parametrize("seed", range(5))
def test_image_ranks_count_images_with_wrong_ones_first_at_a_tie(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 9, (40, 15)).astype(float)
    distances[rng.random(distances.shape) < 0.2] = np.inf
    relevant = rng.random(distances.shape) < 0.15
    wanted = []
    for far, right in zip(distances, relevant, strict=True):
        order = sorted(range(15), key=lambda g: (far[g], right[g]))
        found = [place for place, g in enumerate(order, 1) if right[g] and np.isfinite(far[g])]
        wanted.append(found[0] if found else MISS)
    assert image_ranks(distances, relevant).tolist() == wanted
    assert MISS in wanted


def test_means_over_queries() -> None:
    rng = np.random.default_rng(7)
    distances, relevant = rng.random((9, 20)), rng.random((9, 20)) < 0.3
    each = [average_precision(*row) for row in zip(distances, relevant, strict=True)]
    assert mean_average_precision(distances, relevant) == pytest.approx(np.mean(each))
    ranks = np.array([1, 2, 6, 40])
    assert mean_reciprocal_rank(ranks) == pytest.approx((1 + 1 / 2 + 1 / 6 + 1 / 40) / 4)
    assert recalls_at(ranks) == {
        "recall@1": 0.25, "recall@5": 0.5, "recall@20": 0.75, "recall@50": 1.0,
    }  # fmt: skip
    none = np.zeros(0, np.int64)
    assert recall_at_k(none, 1) == mean_reciprocal_rank(none) == 0.0
    assert mean_average_precision(np.zeros((0, 3)), np.zeros((0, 3), bool)) == 0.0


@pytest.mark.parametrize("module", [metrics, merge, tags])
def test_the_examples_run(module: ModuleType) -> None:
    found = doctest.testmod(module, extraglobs={"np": np})
    assert found.attempted > 0
    assert found.failed == 0


def test_the_public_names() -> None:
    assert all(getattr(metrics, name).__doc__ for name in metrics.__all__)


def test_the_core_is_written_once() -> None:
    """No other module defines a function of the retrieval core anew."""
    package = Path(metrics.__file__).parents[1]
    core = {path: _functions(path) for path in (package / "ranking").glob("*.py")}
    names = set().union(*core.values())
    assert {"average_precision", "merge_reranked", "multi_hot", "fuse_embeddings"} <= names
    others = {
        str(path): names & _functions(path) for path in package.rglob("*.py") if path not in core
    }
    assert not {path: again for path, again in others.items() if again}


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in found if not name.startswith("_")}
