"""Distances between embeddings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hemline.errors import UsageError

Floats = npt.NDArray[np.floating]


def euclidean_distances(
    queries: Floats, gallery: Floats, squares: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """(Q, D), (G, D) → (Q, G) Euclidean distances.

    ``squares`` are the gallery's `squared_lengths`, where they are known.

    Raises:
        UsageError: the dimensions differ, or an embedding isn't finite (it would never lose a
            comparison, and so be counted as a hit).
    """
    if queries.shape[1:] != gallery.shape[1:]:
        raise UsageError(
            f"embeddings of {queries.shape[1:]} and {gallery.shape[1:]} can't be compared"
        )
    q, g = np.asarray(queries, np.float32), np.asarray(gallery, np.float32)
    theirs = squared_lengths(g) if squares is None else squares
    square = squared_lengths(q)[:, None] - 2.0 * (q @ g.T) + theirs[None, :]
    distances: npt.NDArray[np.float32] = np.sqrt(np.maximum(square, 0.0), dtype=np.float32)
    return distances


def squared_lengths(embeddings: Floats) -> npt.NDArray[np.float32]:
    """(N, D) → (N,).

    Raises:
        UsageError: an embedding isn't finite.
    """
    if not np.isfinite(embeddings).all():
        raise UsageError(
            "an embedding holds NaN or infinity; the model is broken, nothing is measured"
        )
    rows = np.asarray(embeddings, np.float32)
    squares: npt.NDArray[np.float32] = (rows * rows).sum(1)
    return squares


def cosine_of_distance(distance: Floats) -> npt.NDArray[np.float32]:
    """Cosine of unit vectors from their Euclidean distance, of any shape: 1 - d²/2."""
    return np.asarray(1.0 - np.square(distance) / 2.0, np.float32)


def block_rows(gallery: int) -> int:
    """How many queries to rank at once, so that a queries × ``gallery`` matrix stays small."""
    return max(1, min(512, 2**24 // max(1, gallery)))
