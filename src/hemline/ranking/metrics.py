"""Retrieval metrics as pure functions over NumPy arrays; `hemline.metrics` is this module.

Conventions:

- A distance is smaller for a better match; ``inf`` marks an image that is not searched.
- Ranks count from 1. `MISS` is the rank of a query whose item cannot be found.
- `item_ranks` counts distinct **items** (products): an item stands where its nearest image stands.
  `image_ranks` counts images, as most papers do.
- Ties count against the model: a wrong item or image at the same distance stands ahead.

The rank-based metrics are Voorhees' (mean reciprocal rank, TREC-8, 1999) and the textbook's
(C. Manning, P. Raghavan, H. Schütze, *Introduction to Information Retrieval*, 2008, chapter 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError

__all__ = [
    "KS",
    "MISS",
    "average_precision",
    "average_precision_at_k",
    "hits_at_k",
    "image_ranks",
    "item_distances",
    "item_ranks",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "ndcg_at_k",
    "precision_at_k",
    "ranks_of_right",
    "recall_at_k",
    "recalls_at",
    "reciprocal_ranks",
]

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: The rank of an item that is not found: a miss at every k.
MISS = int(np.iinfo(np.int64).max)
#: The k of reported recalls.
KS: tuple[int, ...] = (1, 5, 20, 50)


def hits_at_k(ranks: Ints, k: int) -> npt.NDArray[np.float64]:
    """Whether each query's first match is among the first k: (Q,) ranks → (Q,) 1.0 or 0.0.

    >>> hits_at_k(np.array([1, 7, MISS]), 5)
    array([1., 0., 0.])

    Raises:
        UsageError: k is below 1.
    """
    if k < 1:
        raise UsageError(f"k counts from 1, not {k}")
    return (np.asarray(ranks) <= k).astype(np.float64)


def recall_at_k(ranks: Ints, k: int) -> float:
    """Share (0-1) of queries with a match among the first k: 1/Q · Σ [rank ≤ k]; 0 without queries.

    A query with several right items counts once; nothing is divided by their number. Papers call
    this top-k (retrieval) accuracy.

    >>> recall_at_k(np.array([1, 7, MISS, 2]), 5)
    0.5
    """
    return float(hits_at_k(ranks, k).mean()) if len(ranks) else 0.0


def recalls_at(ranks: Ints, ks: Iterable[int] = KS) -> dict[str, float]:
    """`recall_at_k` of several k, by the names of reports.

    >>> recalls_at(np.array([1, 7]), (1, 20))
    {'recall@1': 0.5, 'recall@20': 1.0}
    """
    return {f"recall@{k}": recall_at_k(ranks, k) for k in ks}


def reciprocal_ranks(ranks: Ints) -> npt.NDArray[np.float64]:
    """1 / rank of each query: (Q,) → (Q,) in 0-1; 0 for a miss."""
    ranks = np.asarray(ranks)
    return np.where(ranks == MISS, 0.0, 1.0 / ranks)


def mean_reciprocal_rank(ranks: Ints) -> float:
    """1/Q · Σ 1/rank (0-1); 0 without queries.

    >>> mean_reciprocal_rank(np.array([1, 4, MISS, MISS]))
    0.3125
    """
    return float(reciprocal_ranks(ranks).mean()) if len(ranks) else 0.0


def item_distances(distances: Floats, items: Ints, count: int) -> npt.NDArray[np.float64]:
    """Distances to images (Q, G) → distances to items (Q, I): each item's nearest image.

    Args:
        distances: (Q, G); inf for an image that is not searched.
        items: (G,) item number of each image, in 0..I-1.
        count: I.

    >>> item_distances(np.array([[0.3, 0.1, 0.2]]), np.array([1, 0, 1]), 3)
    array([[0.1, 0.2, inf]])
    """
    best = np.full((len(distances), count), np.inf)
    order = np.argsort(items, kind="stable")
    present, starts = np.unique(items[order], return_index=True)
    if len(present):
        best[:, present] = np.minimum.reduceat(distances[:, order], starts, axis=1)
    return best


def item_ranks(distances: Floats, relevant: Sequence[frozenset[int]]) -> Ints:
    """Rank (Q,) of each query's nearest right item among distinct items, from 1.

    Args:
        distances: (Q, I) to each item (`item_distances`); inf where it is not searched.
        relevant: for each query, the numbers of the right items.

    Returns:
        1 + the number of wrong items that are as near or nearer; `MISS` where no right item is
        searched.

    >>> item_ranks(np.array([[0.1, 0.2], [0.5, 0.5]]), [frozenset({0}), frozenset({1})])
    array([1, 2])
    """
    ranks = np.full(len(distances), MISS, dtype=np.int64)
    for row, right in enumerate(relevant):
        if not right:
            continue
        columns = sorted(right)
        nearest = distances[row, columns].min()
        if np.isfinite(nearest):
            ahead = np.count_nonzero(distances[row] <= nearest)
            ahead -= np.count_nonzero(distances[row, columns] <= nearest)
            ranks[row] = ahead + 1
    return ranks


def image_ranks(distances: Floats, relevant: Mask) -> Ints:
    """Rank (Q,) of each query's nearest right image among images, from 1, as papers count.

    Args:
        distances: (Q, G); inf for an image that is not searched.
        relevant: (Q, G) whether an image is right.

    >>> image_ranks(np.array([[0.1, 0.2, 0.2]]), np.array([[False, True, False]]))
    array([3])
    """
    ranks = np.full(len(distances), MISS, dtype=np.int64)
    for row, (far, right) in enumerate(zip(distances, relevant, strict=True)):
        nearest = far[right].min(initial=np.inf)
        if np.isfinite(nearest):
            as_near = np.count_nonzero(far <= nearest) - np.count_nonzero(far[right] <= nearest)
            ranks[row] = as_near + 1
    return ranks


def average_precision(distances: Floats, relevant: Mask) -> float:
    """Average precision (0-1) of one ranking: Σ precision at each right image / number of right.

    Args:
        distances: (G,), smaller first; inf for an image that is not searched, which is never found.
            For scores pass their negative.
        relevant: (G,) whether each is right.

    Returns:
        0 where nothing is relevant. Equal distances share the last place of their group, as in
        scikit-learn's ``average_precision_score``.

    >>> average_precision(np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, False, False, True]))
    0.75
    """
    total = int(np.count_nonzero(relevant))
    if total == 0:
        return 0.0
    right = np.sort(distances[relevant & np.isfinite(distances)])
    if not len(right):
        return 0.0
    near = distances[distances <= right[-1]]  # what lies behind the last changes nothing
    places = np.cumsum(np.bincount(np.searchsorted(right, near), minlength=len(right)))
    found = np.searchsorted(right, right, side="right")
    return float((found / places[found - 1]).sum() / total)


def mean_average_precision(distances: Floats, relevant: Mask) -> float:
    """Mean of `average_precision` over queries: (Q, G), (Q, G) → 0-1; 0 without queries."""
    each = [average_precision(*row) for row in zip(distances, relevant, strict=True)]
    return float(np.mean(each)) if each else 0.0


def ranks_of_right(distances: Floats, relevant: Mask, depth: int) -> Ints:
    """Ranks (R,) of the right images of one ranking among images, from 1, rising.

    Args:
        distances: (G,), smaller first; inf for an image that is not searched.
        relevant: (G,) whether each is right.
        depth: ranks behind it are left out.

    >>> ranks_of_right(np.array([0.1, 0.2, 0.2]), np.array([True, False, True]), 10)
    array([1, 3])
    """
    right = distances[relevant]
    right = np.sort(right[np.isfinite(right)])[:depth]
    if not len(right):
        return np.zeros(0, np.int64)
    near = distances[~relevant & (distances <= right[-1])]
    wrong = np.cumsum(np.bincount(np.searchsorted(right, near), minlength=len(right)))
    ranks: Ints = wrong + np.arange(1, len(right) + 1)
    return ranks[ranks <= depth]


def precision_at_k(right_ranks: Ints, k: int) -> float:
    """Share (0-1) of right images among the first k; a ranking of fewer images has wrong ones
    behind its end.

    Args:
        right_ranks: (R,) ranks of the right images (`ranks_of_right`).
        k: how many places count.

    >>> precision_at_k(np.array([1, 3, 9]), 5)
    0.4
    """
    return float(hits_at_k(right_ranks, k).sum() / k)


def average_precision_at_k(right_ranks: Ints, total: int, k: int) -> float:
    """Average precision (0-1) of the first k images: Σ precision at each right one / min(total, k).

    Args:
        right_ranks: (R,) rising ranks of the right images (`ranks_of_right`).
        total: number of right images in the gallery.
        k: how many places count.

    Returns:
        0 where nothing is relevant. Unlike `average_precision`, equal distances have a place each,
        the wrong ones first.

    >>> average_precision_at_k(np.array([1, 4]), 2, 1000)
    0.75
    """
    if k < 1:
        raise UsageError(f"k counts from 1, not {k}")
    first = np.asarray(right_ranks)[np.asarray(right_ranks) <= k]
    if total == 0 or not len(first):
        return 0.0
    return float((np.arange(1, len(first) + 1) / first).sum() / min(total, k))


def ndcg_at_k(gains: Floats, every_gain: Floats, k: int) -> float:
    """NDCG@k as in DARN (Huang et al., ICCV 2015, §5.1), 0-1; 0 where no image has any gain.

    NDCG@k = 1/Z · Σ_{j=1..k} (2^rel(j) - 1) / log(j + 1). The paper leaves Z open ("a normalization
    constant"); here it is the best possible sum over this gallery.

    Args:
        gains: (≥ k,) rel(j) of the ranked images, best first: the attributes that match the
            query's, divided by the number of the query's attributes.
        every_gain: (G,) rel of every image of the gallery, whose best order gives Z.
        k: how many places count.

    >>> ndcg_at_k(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 1)
    0.0
    """
    ideal = np.sort(np.asarray(every_gain, np.float64))[::-1][:k]
    best = _dcg(ideal)
    return _dcg(np.asarray(gains, np.float64)[:k]) / best if best > 0 else 0.0


def _dcg(gains: npt.NDArray[np.float64]) -> float:
    discount = np.log2(np.arange(2, len(gains) + 2))
    return float(((np.exp2(gains) - 1.0) / discount).sum())
