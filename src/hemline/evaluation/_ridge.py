"""A linear classifier of many tags at once: ridge regression on 0/1 with a chosen penalty.

Least squares on class indicators gives the direction of linear discriminant analysis (Hastie,
Tibshirani, Friedman, *The Elements of Statistical Learning*, 2nd ed., §4.2-4.3); the leave-one-out
error that chooses the ridge has a closed form (§7.10.1, eq. 7.64, for a linear smoother). One
singular value decomposition serves all tags and all permutations of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Penalties, as multiples of the mean squared singular value.
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)


class Ridge:
    """Ridge regression on training samples X (N, D), for any labels of the N."""

    def __init__(self, x: npt.ArrayLike) -> None:
        x = np.asarray(x, np.float64)
        self.mean = x.mean(0)
        self.u, self.s, self.vt = _decompose(x - self.mean)
        self.scale = float(np.mean(self.s**2)) if len(self.s) else 1.0

    def weights(self, y: npt.ArrayLike) -> Floats:
        """Weights (D, T) for labels y (N, T), each column by the penalty with its least
        leave-one-out error."""
        y = np.asarray(y, np.float64)
        centred = y - y.mean(0)
        inner = self.u.T @ centred  # (R, T)
        best = np.full(y.shape[1], np.inf)
        chosen = np.zeros((len(self.s), y.shape[1]))
        squared = self.u**2
        for ridge in RIDGES:
            shrink = self.s**2 / (self.s**2 + ridge * self.scale)
            leverage = 1.0 / len(y) + squared @ shrink  # (N,)
            residual = centred - self.u @ (shrink[:, None] * inner)
            free = np.maximum(1.0 - leverage, 1e-6)
            error = ((residual / free[:, None]) ** 2).mean(0)
            better = error < best
            best[better] = error[better]
            chosen[:, better] = (shrink / self.s)[:, None] * inner[:, better]
        return np.asarray(self.vt.T @ chosen)

    def score(self, y: npt.ArrayLike, x: npt.ArrayLike) -> Floats:
        """Scores (M, T) of samples x (M, D) for labels y (N, T) of the training samples."""
        return np.asarray((np.asarray(x, np.float64) - self.mean) @ self.weights(y))


def _decompose(x: Floats) -> tuple[Floats, Floats, Floats]:
    """U (N, R), s (R,), V^T (R, D) of x (N, D), without directions of zero variance."""
    if len(x) <= 2 * x.shape[1]:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        kept = s > 1e-9 * max(float(s.max(initial=0.0)), 1e-300)
        return u[:, kept], s[kept], vt[kept]
    # Many more samples than dimensions: by x^T x, whose size doesn't grow with them.
    squares, vectors = np.linalg.eigh(x.T @ x)
    kept = squares > 1e-12 * max(float(squares.max(initial=0.0)), 1e-300)
    s = np.sqrt(squares[kept])
    return (x @ vectors[:, kept]) / s, s, vectors[:, kept].T
