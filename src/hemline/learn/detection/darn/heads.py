"""The linear heads of the paper's detector: how well a region fits a garment, and where to move it.

DARN, section 4.2: support vector regression of the overlap (IoU), against R-CNN's support vector
machine; R-CNN, appendix C: ridge regression of the box. All three read the same features.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC, LinearSVR

from hemline.learn.detection.darn.boxes import Floats
from hemline.types import FloatArray

Kind = Literal["svr", "svm"]
#: R-CNN's: the SVM takes regions below for background and leaves out those between.
BACKGROUND = 0.3
#: The SVM takes regions from this overlap on for garments (the discretised 1: truths and boxes
#: that almost fit them).
GARMENT = 0.95
#: Regions from this overlap on train the box regression (R-CNN's 0.6).
NEAR = 0.6


class Heads(NamedTuple):
    """Linear functions of standardised features (N, C).

    Attributes:
        mean, scale: (C,) of the features.
        score_weight, score_bias: (C,), (): of the overlap, or of the margin.
        box_weight, box_bias: (4, C), (4,): of dx, dy, dw, dh.
        kind: ``svr`` scores an overlap, ``svm`` a margin.
    """

    mean: FloatArray
    scale: FloatArray
    score_weight: FloatArray
    score_bias: FloatArray
    box_weight: FloatArray
    box_bias: FloatArray
    kind: Kind

    def raw(self, features: FloatArray) -> Floats:
        """(N,) overlap or margin."""
        plain = (features - self.mean) / self.scale
        return np.asarray(plain @ self.score_weight + self.score_bias, np.float64)

    def scores(self, features: FloatArray) -> Floats:
        """(N,) in [0, 1], in the order of `raw`: the overlap, or the margin's logistic."""
        raw = self.raw(features)
        if self.kind == "svm":
            return np.asarray(1 / (1 + np.exp(-np.clip(raw, -30, 30))))
        # Beyond 0 and 1 the order is kept, so that the best of several sure ones stays the best.
        squeezed = np.where(raw > 0.9, 0.9 + 0.1 * (1 - np.exp(-(raw - 0.9) / 0.1)), raw)
        return np.asarray(np.where(raw < 0.1, 0.1 * np.exp((raw - 0.1) / 0.1), squeezed))

    def offsets(self, features: FloatArray) -> Floats:
        """(N, 4)."""
        plain = (features - self.mean) / self.scale
        return np.asarray(plain @ self.box_weight.T + self.box_bias, np.float64)


def fit_heads(
    features: FloatArray,
    overlap: Floats,
    offsets: Floats,
    kind: Kind,
    cost: float,
    ridge: float,
    seed: int = 0,
) -> Heads:
    """Fits both heads.

    Args:
        features: (N, C) of patches.
        overlap: (N,) with the nearest truth, discretised.
        offsets: (N, 4) to it; read where the overlap is at least `NEAR`.
        kind: what the score is.
        cost: C of the support vectors.
        ridge: of the box regression.
    """
    mean = features.mean(axis=0)
    scale = features.std(axis=0) + 1e-3 * float(features.std()) + 1e-9
    plain = (features - mean) / scale
    if kind == "svr":
        model = LinearSVR(
            C=cost,
            epsilon=0.05,
            loss="squared_epsilon_insensitive",
            dual=False,
            random_state=seed,
        ).fit(plain, overlap)
    else:
        used = (overlap < BACKGROUND) | (overlap >= GARMENT)
        model = LinearSVC(C=cost, dual=False, class_weight="balanced", random_state=seed).fit(
            plain[used], overlap[used] >= GARMENT
        )
    near = overlap >= NEAR
    mover = Ridge(alpha=ridge).fit(plain[near], offsets[near])
    return Heads(
        _single(mean),
        _single(scale),
        _single(np.ravel(model.coef_)),
        _single(np.ravel(model.intercept_)[0]),
        _single(mover.coef_),
        _single(mover.intercept_),
        kind,
    )


def _single(values: npt.ArrayLike) -> FloatArray:
    return np.array(values, np.float32, order="C")
