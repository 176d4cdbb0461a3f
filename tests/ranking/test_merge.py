"""Merging of re-ranked hits against plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hemline.errors import UsageError
from hemline.ranking.fusion import fuse_embeddings, fuse_lists, fuse_scores
from hemline.ranking.merge import first_of_each, merge_reranked, nearest_images, rerank_distances
from hemline.ranking.tags import multi_hot

RNG = np.random.default_rng(11)


def test_the_others_never_pass_the_last_of_the_reranked() -> None:
    first = np.linspace(0.99, 0.5, 12).astype(np.float32)
    again = RNG.random(5).astype(np.float32) / 4
    merged = merge_reranked(first, np.arange(5), again)
    np.testing.assert_array_equal(merged[:5], again)
    assert merged[5:].max() <= again.min()
    np.testing.assert_allclose(np.diff(merged[5:]), np.diff(first[5:]), atol=1e-6)
    low = merge_reranked(first - 5, np.arange(5), again)
    np.testing.assert_array_equal(low[5:], (first - 5)[5:])  # low enough already: left alone
    np.testing.assert_array_equal(merge_reranked(first, np.arange(0), first[:0]), first)


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_ordered_as_by_two_sorted_lists(seed: int) -> None:
    rng = np.random.default_rng(seed)
    far = rng.integers(0, 20, (6, 30)).astype(float)
    far[rng.random(far.shape) < 0.3] = np.inf
    new = rng.random((6, 30)) * 50
    merged = rerank_distances(far, lambda query, places: new[query, places], 8)
    for query in range(6):
        searched = [g for g in range(30) if np.isfinite(far[query, g])]
        order = sorted(searched, key=lambda g: (far[query, g], g))
        top, rest = order[:8], order[8:]
        wanted = sorted(top, key=lambda g: new[query, g]) + rest
        assert nearest_images(far[query], 8).tolist() == top
        assert nearest_images(merged[query], 30).tolist() == wanted
        assert merged[query, rest].min() > merged[query, top].max()
        assert np.isinf(merged[query, np.isinf(far[query])]).all()


def test_queries_are_numbered_from_the_start_of_their_block() -> None:
    asked: list[int] = []

    def rerank(query: int, places: np.ndarray) -> np.ndarray:
        asked.append(query)
        return np.zeros(len(places))

    rerank_distances(RNG.random((3, 4)), rerank, start=20)
    assert asked == [20, 21, 22]
    nothing = np.full((1, 4), np.inf)
    np.testing.assert_array_equal(rerank_distances(nothing, rerank), nothing)
    with pytest.raises(UsageError, match="NaN or infinity"):
        rerank_distances(RNG.random((1, 4)), lambda _, places: np.full(len(places), np.nan))


def test_first_of_each_is_the_first_in_order() -> None:
    codes = RNG.integers(0, 9, 50)
    wanted = [k for k in range(50) if codes[k] not in codes[:k]]
    assert first_of_each(codes).tolist() == wanted


def test_several_embeddings_and_lists_become_one() -> None:
    vectors = RNG.normal(size=(3, 6)).astype(np.float32)
    middle = vectors.mean(axis=0)
    np.testing.assert_allclose(fuse_embeddings(vectors), middle / np.linalg.norm(middle), rtol=1e-5)
    np.testing.assert_array_equal(fuse_embeddings(vectors[:1]), vectors[0])
    np.testing.assert_allclose(fuse_scores(vectors, "mean"), vectors.mean(axis=0))
    np.testing.assert_array_equal(fuse_scores(vectors, "max"), vectors.max(axis=0))
    ids = [RNG.permutation(20)[:9] for _ in range(3)]
    scores = [RNG.integers(0, 5, 9).astype(np.float32) for _ in range(3)]
    best: dict[int, float] = {}
    for id_, score in zip(np.concatenate(ids), np.concatenate(scores), strict=True):
        best[int(id_)] = max(best.get(int(id_), -1.0), float(score))
    wanted = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:7]
    found = fuse_lists(ids, scores, 7)
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == wanted


def test_multi_hot_rows_ignore_and_count_what_the_vocabulary_lacks() -> None:
    unknown: Counter[str] = Counter()
    hot = multi_hot([["b", "x"], [], None, ["a", "b", "b", "x"]], ["a", "b"], unknown)
    assert hot.tolist() == [[0, 1], [0, 0], [0, 0], [1, 1]]
    assert unknown == {"x": 2}
    assert multi_hot([["b"]], {"b": 1, "a": 0}).tolist() == [[0, 1]]
    assert multi_hot([], ["a"]).shape == (0, 1)
