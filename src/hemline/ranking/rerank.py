"""The second look: the first hits again, each seen by the query through that candidate's own eyes.

YNet (section 4.1): the first search uses the query's evenly averaged embedding; its top candidates
are then ordered by the distance to the query's embedding pooled by context attention.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hemline.encoding import Encoder
from hemline.types import FloatArray


class Scores(NamedTuple):
    """score (N,) of every candidate; weights (K, L) of the first K, which were re-ranked."""

    score: FloatArray
    weights: FloatArray | None


def similarity(distance: FloatArray) -> FloatArray:
    """Cosine of unit vectors (K,) from their Euclidean distance: 1 - d²/2."""
    return np.asarray(1.0 - np.square(distance) / 2.0, np.float32)


def rescore(encoder: Encoder, local: FloatArray, contexts: FloatArray, first: FloatArray) -> Scores:
    """Scores that fall over both parts: K re-ranked candidates, then all others.

    Args:
        encoder: one that re-ranks.
        local: (C, L) local features of the query.
        contexts: (K, C) embedding × norm of the first K candidates.
        first: (N,) similarities of the first search, falling, N >= K.

    Returns:
        The re-ranked have the cosine of their distance. The others keep their first similarity,
        shifted down, if need be, so that none of them passes the last of the re-ranked.
    """
    seen = encoder.rerank(local, contexts)
    return _joined(similarity(seen.distance), first, seen.weights)


def rescore_together(
    encoder: Encoder, local: FloatArray, contexts: FloatArray, first: FloatArray, fusion: str
) -> Scores:
    """`rescore` for several photos of one product, local (Q, C, L).

    Each photo looks for itself; a candidate has the ``mean`` or the ``max`` of what they see. The
    weights of several photos aren't one picture's, so there are none.
    """
    if len(local) == 1:
        return rescore(encoder, local[0], contexts, first)
    seen = np.stack([similarity(encoder.rerank(one, contexts).distance) for one in local])
    again = seen.mean(axis=0) if fusion == "mean" else seen.max(axis=0)
    return _joined(np.asarray(again, np.float32), first, None)


def _joined(again: FloatArray, first: FloatArray, weights: FloatArray | None) -> Scores:
    again = np.where(np.isnan(again), first[: len(again)], again)  # rows that have just left
    rest = np.asarray(first[len(again) :], np.float32)
    if len(again) and len(rest):
        rest = rest - max(np.float32(0.0), rest.max() - again.min())
    return Scores(np.concatenate([again, rest]), weights)
