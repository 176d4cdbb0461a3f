"""Several photos of one item as one query (`benchmarks/several_photos.py` compares the ways).

``mean`` searches with the direction between the photos' embeddings, and a candidate has the mean of
its re-ranked scores; ``max`` searches with each photo, and a candidate has its best score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hemline.types import FloatArray

#: The ways; the first is the default.
FUSIONS: tuple[str, ...] = ("mean", "max")

Ids = npt.NDArray[np.int64]


def fuse_embeddings(embeddings: FloatArray) -> FloatArray:
    """Unit vectors (Q, D) → the unit vector (D,) of their mean; one embedding stays as it is."""
    middle = embeddings.sum(axis=0)
    length = max(np.linalg.norm(middle), 1e-12) if len(embeddings) > 1 else 1.0
    return np.asarray(middle / length, np.float32)


def fuse_scores(scores: FloatArray, fusion: str) -> FloatArray:
    """(Q, K) scores of the same candidates → (K,), by ``fusion``."""
    return np.asarray(scores.mean(axis=0) if fusion == "mean" else scores.max(axis=0), np.float32)


def fuse_lists(
    ids: Sequence[Ids], similarities: Sequence[FloatArray], k: int
) -> tuple[Ids, FloatArray]:
    """Q lists of hits → one of the first ``k``: each id once, with its greatest similarity.

    Sorted by falling similarity, then by id.
    """
    every, similarity = np.concatenate(ids), np.concatenate(similarities)
    order = np.lexsort((-similarity, every))
    first = np.ones(len(every), bool)
    first[1:] = every[order][1:] != every[order][:-1]
    best = order[first]
    best = best[np.lexsort((every[best], -similarity[best]))][:k]
    return every[best], similarity[best]
