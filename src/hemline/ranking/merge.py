"""Merging of re-ranked hits with the rest of the first search, and images into items.

YNet (Ji et al., ACM MM 2017, §4.1): the first search uses the query's evenly averaged embedding;
its first `RERANK_TOP` images are reordered by the re-ranker's distance, and all others stay
behind them in their order. Search, evaluation and training's validation use these functions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: How many images of the first search are re-ranked, unless a bundle or a caller chooses.
RERANK_TOP = 256

#: (number of the query, places (K,) of images in the gallery) → re-ranked distances (K,).
Reranker = Callable[[int, Ints], Floats]


def nearest_images(distances: Floats, count: int) -> Ints:
    """Places of the ``count`` nearest of (G,) distances, nearest first, ties in their order.

    Images at inf are not searched and left out.
    """
    count = min(count, len(distances))
    if count == 0:
        return np.zeros(0, np.int64)
    last = np.partition(distances, count - 1)[count - 1]
    some = np.flatnonzero(distances <= last)
    some = some[np.isfinite(distances[some])]
    order: Ints = some[np.argsort(distances[some], kind="stable")][:count]
    return order


def merge_reranked(first: Floats, top: Ints, reranked: Floats, margin: float = 0.0) -> Floats:
    """Scores (N,) after re-ranking; higher is better.

    Args:
        first: (N,) scores of the first search.
        top: (K,) places of the re-ranked in ``first``; none of the others scores higher there.
        reranked: (K,) their new scores.
        margin: least distance of the others to the last of the re-ranked.

    Returns:
        ``reranked`` at ``top``. The others keep their score, shifted down together, if need be, so
        that none of them passes the last of the re-ranked.
    """
    rest = np.delete(first, top)
    over = first.dtype.type(0.0)
    if len(top) and len(rest):
        over = max(over, rest.max() - reranked.min() + margin)
    merged = first - over
    merged[top] = reranked
    return merged


def rerank_distances(
    distances: Floats, rerank: Reranker, depth: int = RERANK_TOP, start: int = 0
) -> Doubles:
    """(Q, G) distances of the first search → (Q, G) distances whose order is the re-ranked one.

    The ``depth`` nearest images of each query get the re-ranker's distance; all others lie behind.
    ``start`` is the number of the first query.

    Raises:
        UsageError: a re-ranked distance isn't finite.
    """
    merged = np.array(distances, np.float64)
    for query, row in enumerate(merged):
        top = nearest_images(row, depth)
        again = np.asarray(rerank(start + query, top), np.float64) if len(top) else np.zeros(0)
        if not np.isfinite(again).all():
            raise UsageError("a re-ranked distance is NaN or infinity; the model is broken")
        # A margin, for an image at the same distance would count as ahead (`metrics`).
        np.negative(merge_reranked(-row, top, -again, margin=1.0), out=row)
    return merged


def first_of_each(codes: npt.NDArray[np.integer]) -> Ints:
    """Places of the first occurrence of each code (N,), rising: the best image of each item.

    >>> first_of_each(np.array([7, 7, 3, 7, 1]))
    array([0, 2, 4])
    """
    return np.sort(np.unique(codes, return_index=True)[1]).astype(np.int64)
