"""Querybank normalisation without PyTorch: shop images that resemble every photo lose that.

The formulas, their sources and the two numbers that embeddings get are those of
`hemline.learn.layers.querybank`, which trained models carry in their graphs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.types import FloatArray

#: Numbers that an embedding gets.
FURTHER = 2
_LEAST = 1e-3  # of ``bound``


class Querybank(NamedTuple):
    """A bank of photos, and how their similarity lowers the scores of shop images.

    Attributes:
        photos: (K, D) float32, of length 1.
        share: of the hubness that is taken off, 0-1.
        sharpness: of the softmax; at a low one all photos count, at a high one the nearest.
        centre, bound: mean hubness of the shop images of the fitting, and the most that one's may
            differ from it.
    """

    photos: FloatArray
    share: float
    sharpness: float
    centre: float
    bound: float

    @classmethod
    def of(cls, photos: FloatArray, goods: FloatArray, share: float, sharpness: float) -> Querybank:
        """From embeddings of length 1: photos (K, D), and shop images (M, D), M >= 1."""
        bank = cls(np.asarray(photos, np.float32), share, sharpness, 0.0, 1.0)
        hubness = bank.hubness(goods)
        centre = float(hubness.mean())
        bound = max(float(np.abs(hubness - centre).max()), _LEAST)
        return bank._replace(centre=centre, bound=bound)

    def hubness(self, goods: FloatArray) -> npt.NDArray[np.float64]:
        """Shop images (B, D) of length 1 → (B,)."""
        near = self.sharpness * (goods @ self.photos.T).astype(np.float64)
        most = near.max(axis=1)
        near = most + np.log(np.exp(near - most[:, None]).mean(axis=1))
        return np.asarray(self.share / self.sharpness * near, np.float64)

    def street(self, photos: FloatArray) -> FloatArray:
        """(B, D) of length 1 → (B, D + 2) of length 1."""
        return self._with(photos, np.full(len(photos), self.bound**0.5), np.zeros(len(photos)))

    def shop(self, goods: FloatArray) -> FloatArray:
        """(B, D) of length 1 → (B, D + 2) of length 1."""
        # Beyond the bound are images unlike those of the fitting.
        over = (self.hubness(goods) - self.centre).clip(-self.bound, self.bound)
        rest = np.sqrt((self.bound - over**2 / self.bound).clip(min=0))
        return self._with(goods, -over / self.bound**0.5, rest)

    def _with(self, embedding: FloatArray, first: Any, second: Any) -> FloatArray:
        both = np.concatenate([embedding, first[:, None], second[:, None]], axis=1)
        return np.asarray(both / (1.0 + self.bound) ** 0.5, np.float32)
