"""The protocols of encoders and detectors, which checkpoints (PyTorch) and bundles implement.

Evaluation, the catalogue and the engine use only these protocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hemline.data.preprocess import ImageInput
from hemline.types import Detection, FloatArray, Image


class StreetEncoding(NamedTuple):
    """embedding (B, D), L2-normalised; local (B, C, L) where the model re-ranks, else None."""

    embedding: FloatArray
    local: FloatArray | None


class ShopEncoding(NamedTuple):
    """embedding (B, D); norm (B,) before normalisation; attention (B, L) where tags attend."""

    embedding: FloatArray
    norm: FloatArray
    attention: FloatArray | None


class RerankResult(NamedTuple):
    """distance (K,) to each candidate; attention (K, L) over the query's locations."""

    distance: FloatArray
    attention: FloatArray


class Encoder(Protocol):
    """Two towers and, in some models, a re-ranker, over upright (H, W, 3) uint8 RGB images."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def embedding_dim(self) -> int: ...
    @property
    def reranks(self) -> bool: ...

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding: ...

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding: ...

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        """local (C, L), contexts (K, C) = embedding × norm of each candidate."""
        ...


class Detector(Protocol):
    """Finds the garments in upright (H, W, 3) uint8 RGB images of any size."""

    @property
    def name(self) -> str: ...

    def detect(self, images: Sequence[Image]) -> list[tuple[Detection, ...]]:
        """The garments of each image, best score first; boxes lie within the image."""
        ...
