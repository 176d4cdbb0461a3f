"""Every measure against public implementations, on thousands of random rankings.

Rankings have ties, images that are not searched, queries without a right image, rankings of right
images alone and of one image. trec_eval, torchmetrics and pytorch-metric-learning break ties by
order, so they are given hemline's: the wrong image first. A library that isn't installed skips its
test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from hemline.ranking.metrics import (
    MISS,
    average_precision,
    average_precision_at_k,
    hits_at_k,
    image_ranks,
    item_distances,
    item_ranks,
    ndcg_at_k,
    precision_at_k,
    ranks_of_right,
    reciprocal_ranks,
)

KS = (1, 3, 5, 10, 1000)


class Ranking(NamedTuple):
    """Distances (G,), which images are right (G,), and (≤ G,) rightness in hemline's order."""

    distances: np.ndarray
    relevant: np.ndarray
    order: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Ranks of the right images."""
        return ranks_of_right(self.distances, self.relevant, 1000)

    @property
    def total(self) -> int:
        return int(self.relevant.sum())


def rankings(count: int, seed: int, lost: bool = True) -> Iterator[Ranking]:
    """``lost``: whether some images are not searched."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        size = int(rng.integers(1, 40))
        grain = int(rng.choice([2, 8, 1_000_000]))  # from all alike to no tie
        distances = rng.integers(0, grain, size).astype(float)
        relevant = rng.random(size) < rng.choice([0.0, 0.1, 0.5, 1.0])
        if lost and number % 3 == 0:
            distances[rng.random(size) < 0.3] = np.inf
        order = np.lexsort((relevant, distances))
        yield Ranking(distances, relevant, relevant[order[np.isfinite(distances[order])]])


def test_the_rankings_have_what_is_hard() -> None:
    every = list(rankings(3000, 0))
    assert sum(not r.relevant.any() for r in every) > 500
    assert sum(r.relevant.all() for r in every) > 500
    assert sum(len(np.unique(r.distances)) < len(r.distances) for r in every) > 1000
    assert sum(len(r.distances) == 1 for r in every) > 20
    assert sum(len(r.order) == 0 for r in every) > 5


def test_trec_eval_gives_the_same() -> None:
    """Recall at k as success, precision, AP (to the end and cut), reciprocal rank."""
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier isn't installed")
    every = list(rankings(3000, 1))
    asked: dict[str, dict[str, int]] = {}
    for q, one in enumerate(every):  # image i0 … are the right ones
        right = np.arange(len(one.relevant)) < one.total
        asked[str(q)] = {f"i{n}": int(r) for n, r in enumerate(right)}
    run: dict[str, dict[str, float]] = {}
    for q, one in enumerate(every):
        names = {True: iter(range(one.total)), False: iter(range(one.total, 99))}
        places = [next(names[bool(right)]) for right in one.order]
        run[str(q)] = {f"i{n}": -float(place) for place, n in enumerate(places)}
    cuts = ",".join(map(str, KS))
    judge = pytrec_eval.RelevanceEvaluator(
        asked, {"map", "recip_rank", f"success.{cuts}", f"P.{cuts}", f"map_cut.{cuts}"}
    )
    theirs: dict[str, Any] = judge.evaluate(run)
    compared = 0
    for q, one in enumerate(every):
        found = theirs.get(str(q))
        if found is None or one.total == 0:  # trec_eval leaves such queries out
            assert not len(one.right)
            continue
        compared += 1
        ranks = image_ranks(one.distances[None], one.relevant[None])
        assert reciprocal_ranks(ranks)[0] == pytest.approx(found["recip_rank"])
        assert average_precision_at_k(one.right, one.total, 1000) == pytest.approx(found["map"])
        for k in KS:
            assert hits_at_k(ranks, k)[0] == found[f"success_{k}"]
            assert precision_at_k(one.right, k) == pytest.approx(found[f"P_{k}"])
            # trec_eval divides by the number of right ones, also where it is above k.
            whole = found[f"map_cut_{k}"] * one.total / min(k, one.total)
            assert average_precision_at_k(one.right, one.total, k) == pytest.approx(whole)
    assert compared > 1500


def test_scikit_learn_gives_the_same() -> None:
    """AP with its own ties, and NDCG with DARN's gains of graded relevance."""
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn isn't installed")
    rng = np.random.default_rng(3)
    for one in rankings(2000, 2, lost=False):
        if one.total:
            wanted = sklearn.average_precision_score(one.relevant, -one.distances)
            assert average_precision(one.distances, one.relevant) == pytest.approx(wanted)
        size = len(one.distances)
        gains = rng.integers(0, 5, size) / 4 * rng.integers(0, 2)
        order = rng.permutation(size)
        if size > 1:
            places = np.empty(size)
            places[order] = np.arange(size)
            for k in (1, 5, 20):
                wanted = sklearn.ndcg_score([np.exp2(gains) - 1], [-places], k=k)
                assert ndcg_at_k(gains[order], gains, k) == pytest.approx(wanted)


@pytest.mark.learn
def test_torchmetrics_gives_the_same() -> None:
    retrieval = pytest.importorskip(
        "torchmetrics.functional.retrieval", reason="torchmetrics isn't installed"
    )
    import torch

    for one in rankings(1000, 4, lost=False):
        scores = torch.arange(len(one.order), 0, -1, dtype=torch.float64)
        target = torch.from_numpy(one.order)
        ranks = image_ranks(one.distances[None], one.relevant[None])
        reciprocal = float(retrieval.retrieval_reciprocal_rank(scores, target))
        assert reciprocal_ranks(ranks)[0] == pytest.approx(reciprocal)
        whole = float(retrieval.retrieval_average_precision(scores, target))
        assert average_precision_at_k(one.right, one.total, 1000) == pytest.approx(whole)
        for k in (1, 5):
            assert hits_at_k(ranks, k)[0] == float(
                retrieval.retrieval_hit_rate(scores, target, top_k=k)
            )
            assert precision_at_k(one.right, k) == pytest.approx(
                float(retrieval.retrieval_precision(scores, target, top_k=k))
            )


@pytest.mark.learn
@pytest.mark.parametrize("seed", range(3))
def test_pytorch_metric_learning_gives_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand queries: precision@1, MAP@R, reciprocal rank."""
    # It would replace FAISS' own methods by ones that take tensors, in the whole process.
    monkeypatch.setitem(sys.modules, "faiss.contrib.torch_utils", ModuleType("torch_utils"))
    calculator = pytest.importorskip(
        "pytorch_metric_learning.utils.accuracy_calculator",
        reason="pytorch-metric-learning isn't installed",
    )
    import torch

    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(1000, 4)), rng.normal(size=(60, 4))
    asked, labels = rng.integers(0, 9, 1000), rng.integers(0, 8, 60)  # 8 is in no gallery
    far = np.linalg.norm(queries[:, None] - gallery[None], axis=2)
    order = torch.from_numpy(np.argsort(far, axis=1))

    def nearest(*_: object) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(np.sort(far, axis=1)), order

    judge = calculator.AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision_at_r", "mean_reciprocal_rank"),
        k=len(gallery), device=torch.device("cpu"), knn_func=nearest,
    )  # fmt: skip
    found = judge.get_accuracy(
        torch.from_numpy(queries), torch.from_numpy(asked),
        torch.from_numpy(gallery), torch.from_numpy(labels),
    )  # fmt: skip
    relevant = asked[:, None] == labels[None]
    has = relevant.any(axis=1)  # the library leaves the others out
    assert not has.all()
    right = [ranks_of_right(*row, 1000) for row in zip(far[has], relevant[has], strict=True)]
    ranks = image_ranks(far[has], relevant[has])
    at_r = [average_precision_at_k(r, len(r), len(r)) for r in right]
    assert found["precision_at_1"] == pytest.approx(np.mean([precision_at_k(r, 1) for r in right]))
    assert found["mean_reciprocal_rank"] == pytest.approx(reciprocal_ranks(ranks).mean())
    assert found["mean_average_precision_at_r"] == pytest.approx(np.mean(at_r))


def test_item_ranks_are_image_ranks_of_the_items_best_images() -> None:
    """Which ties items to the measures that the libraries have."""
    rng = np.random.default_rng(6)
    for one in rankings(2000, 7):
        items = rng.integers(0, 6, len(one.distances))
        right = frozenset(np.flatnonzero(rng.random(6) < 0.4).tolist())
        best = item_distances(one.distances[None], items, 6)
        wanted = image_ranks(best, np.isin(np.arange(6), sorted(right))[None])
        assert item_ranks(best, [right]).tolist() == wanted.tolist()
        assert bool(wanted[0] == MISS) == (not np.isfinite(best[0, sorted(right)]).any())
