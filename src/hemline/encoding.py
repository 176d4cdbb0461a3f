"""What every encoder and every detector does, be it a checkpoint in PyTorch or a served bundle.

Evaluation, the catalogue and the engine speak to these protocols only.
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
    """embedding (B, D); norm (B,) before normalisation; weights (B, L) where tags attend."""

    embedding: FloatArray
    norm: FloatArray
    weights: FloatArray | None


class RerankResult(NamedTuple):
    """distance (K,) to each candidate; weights (K, L) over the query's locations."""

    distance: FloatArray
    weights: FloatArray


class Encoder(Protocol):
    """Two towers and perhaps a re-ranker, over upright (H, W, 3) uint8 RGB pictures."""

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
    """Finds the garments on upright (H, W, 3) uint8 RGB pictures of any size."""

    @property
    def name(self) -> str: ...

    def detect(self, images: Sequence[Image]) -> list[tuple[Detection, ...]]:
        """For each picture its garments, best score first; boxes lie within the picture."""
        ...
