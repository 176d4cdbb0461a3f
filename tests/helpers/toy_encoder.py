"""An encoder for tests of measurement: an embedding is a picture's mean colour, 4 locations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.types import FloatArray, Image


class ToyEncoder:
    """Mean colour, centred; re-ranks by the nearest of four quarters where asked."""

    def __init__(self, reranks: bool = False, name: str = "toy", spoil: bool = False) -> None:
        self._reranks, self._name, self._spoil = reranks, name, spoil
        self.calls = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        return f"{self._name}-{self._reranks}"

    @property
    def embedding_dim(self) -> int:
        return 3

    @property
    def reranks(self) -> bool:
        return self._reranks

    def _vectors(self, images: Sequence[Image]) -> FloatArray:
        self.calls += len(images)
        means = np.stack([image.reshape(-1, 3).mean(0) for image in images]) / 127.5 - 1.0
        if self._spoil:
            means[:] = np.nan
        length = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return (means / length).astype(np.float32)

    def encode_street(self, images: Sequence[Image]) -> StreetEncoding:
        local = None
        if self._reranks:
            quarters = [
                [
                    image[y * h : (y + 1) * h, x * w : (x + 1) * w].reshape(-1, 3).mean(0)
                    for y in (0, 1)
                    for x in (0, 1)
                ]
                for image in images
                for h, w in [(image.shape[0] // 2, image.shape[1] // 2)]
            ]
            local = (np.array(quarters, np.float32) / 127.5 - 1.0).transpose(0, 2, 1)
        return StreetEncoding(self._vectors(images), local)

    def encode_shop(self, images: Sequence[Image], tags: Sequence[Sequence[str]]) -> ShopEncoding:
        vectors = self._vectors(images)
        return ShopEncoding(vectors, np.ones(len(vectors), np.float32), None)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        unit = local / np.maximum(np.linalg.norm(local, axis=0, keepdims=True), 1e-9)
        far = np.linalg.norm(unit.T[None] - contexts[:, None], axis=2)
        weights = np.zeros_like(far, dtype=np.float32)
        weights[np.arange(len(far)), far.argmin(1)] = 1.0
        return RerankResult(far.min(1).astype(np.float32), weights)
