"""What is measured, as pure functions over arrays.

Ranks count **products**, not pictures: a product stands where its best picture stands. Ties are
told against the model: a wrong product at the same distance counts as ahead of the right one. A
query whose product can't be found has the rank `NEVER`, so that it is a miss at every k.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

#: The rank of what isn't there.
NEVER = int(np.iinfo(np.int64).max)


def recall_at_k(ranks: Ints, k: int) -> float:
    """Share (0-1) of queries with a match in the first ``k`` products; ranks (Q,) from 1.

    A query with several right answers counts once: nothing is divided by their number.
    """
    return float(hits_at_k(ranks, k).mean()) if len(ranks) else 0.0


def hits_at_k(ranks: Ints, k: int) -> npt.NDArray[np.float64]:
    """(Q,) 1.0 where the query's match is in the first ``k``, else 0.0."""
    if k < 1:
        raise UsageError(f"k counts from 1, not {k}")
    return (np.asarray(ranks) <= k).astype(np.float64)


def reciprocal_ranks(ranks: Ints) -> npt.NDArray[np.float64]:
    """(Q,) 1 / rank, 0 for a miss; its mean is the mean reciprocal rank."""
    ranks = np.asarray(ranks)
    return np.where(ranks == NEVER, 0.0, 1.0 / ranks)


def product_distances(distances: Floats, items: Ints, count: int) -> npt.NDArray[np.float64]:
    """(Q, G) distances to pictures → (Q, I) to products: each one's best picture.

    Args:
        distances: (Q, G); inf for a picture that isn't searched.
        items: (G,) number of each picture's product, in 0..I-1.
        count: I.
    """
    best = np.full((len(distances), count), np.inf)
    order = np.argsort(items, kind="stable")
    present, starts = np.unique(items[order], return_index=True)
    if len(present):
        best[:, present] = np.minimum.reduceat(distances[:, order], starts, axis=1)
    return best


def product_ranks(best: Floats, relevant: Sequence[frozenset[int]]) -> Ints:
    """(Q,) place of each query's first right product among distinct products, from 1.

    Args:
        best: (Q, I) distance to each product, inf where it isn't searched.
        relevant: for each query the numbers of the right products (those of no gallery left out).

    Wrong products at the same distance stand ahead; a right product that isn't there is `NEVER`.
    """
    ranks = np.full(len(best), NEVER, dtype=np.int64)
    for row, right in enumerate(relevant):
        if not right:
            continue
        columns = sorted(right)
        nearest = best[row, columns].min()
        if np.isfinite(nearest):
            ahead = np.count_nonzero(best[row] <= nearest)
            ahead -= np.count_nonzero(best[row, columns] <= nearest)
            ranks[row] = ahead + 1
    return ranks


def picture_rank(distances: Floats, relevant: npt.NDArray[np.bool_]) -> int:
    """Place of the first right picture among pictures, from 1, as papers count; `NEVER` without.

    Args:
        distances: (G,), inf for a picture that isn't searched.
        relevant: (G,) whether each picture is right. Wrong ones at the same distance stand ahead.
    """
    nearest = distances[relevant].min(initial=np.inf)
    if not np.isfinite(nearest):
        return NEVER
    return int(np.count_nonzero((distances <= nearest) & ~relevant)) + 1


def average_precision(distances: Floats, relevant: npt.NDArray[np.bool_]) -> float:
    """Average precision of one query over pictures (0-1); 0 when nothing is relevant.

    Args:
        distances: (G,), inf for a picture that isn't searched.
        relevant: (G,) whether each picture is right.

    The mean of precision at each right picture; equal distances share the last place of their
    group, as in scikit-learn's threshold form. Its mean over queries is mAP.
    """
    total = int(relevant.sum())
    if total == 0:
        return 0.0
    right = np.sort(distances[relevant & np.isfinite(distances)])
    found = np.searchsorted(right, right, side="right")
    places = np.array([np.count_nonzero(distances <= far) for far in right], np.int64)
    return float((found / places).sum() / total)


def ndcg_at_k(gains: Floats, every_gain: Floats, k: int) -> float:
    """NDCG@k as in DARN (Huang et al., ICCV 2015, §5.1), 0-1; 0 when no picture has any gain.

    Args:
        gains: (≥ k,) rel(j) of the ranked pictures, best first: matched attributes of the query
            divided by the number of the query's attributes.
        every_gain: (G,) rel of every picture of the gallery, whose best order gives Z.
        k: how many places count.

    NDCG@k = 1/Z · Σ_{j=1..k} (2^rel(j) - 1) / log(j + 1). The paper leaves Z open ("a normalization
    constant"); here it is the best possible sum over this gallery.
    """
    ideal = np.sort(np.asarray(every_gain, np.float64))[::-1][:k]
    best = _dcg(ideal)
    return _dcg(np.asarray(gains, np.float64)[:k]) / best if best > 0 else 0.0


def _dcg(gains: npt.NDArray[np.float64]) -> float:
    discount = np.log2(np.arange(2, len(gains) + 2))
    return float(((np.exp2(gains) - 1.0) / discount).sum())


def euclidean(queries: Floats, gallery: Floats) -> npt.NDArray[np.float32]:
    """(Q, D), (G, D) → (Q, G) Euclidean distances.

    Raises:
        UsageError: the dimensions differ, or an embedding isn't finite (it would never lose a
            comparison, and so be counted as a hit).
    """
    if queries.shape[1:] != gallery.shape[1:]:
        raise UsageError(
            f"embeddings of {queries.shape[1:]} and {gallery.shape[1:]} can't be compared"
        )
    if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
        raise UsageError(
            "an embedding holds NaN or infinity; the model is broken, nothing is measured"
        )
    q, g = np.asarray(queries, np.float32), np.asarray(gallery, np.float32)
    square = (q * q).sum(1)[:, None] - 2.0 * (q @ g.T) + (g * g).sum(1)[None, :]
    distances: npt.NDArray[np.float32] = np.sqrt(np.maximum(square, 0.0), dtype=np.float32)
    return distances
