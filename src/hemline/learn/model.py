"""The contract of every model: two towers, perhaps a re-ranker, a distance matrix and stages.

A module of ``hemline.learn.models`` declares ``MODELS``: a name → its `ModelSpec`. The contract
tests take every one of them in by themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from hemline.data.preprocess import Preprocessing
from hemline.registry import Registry


class StreetOutput(NamedTuple):
    """What the street tower says of (B, 3, H, W) photos.

    Attributes:
        embedding: (B, D), L2-normalised.
        local: (B, C, L) local features where the model re-ranks, else None.
    """

    embedding: Tensor
    local: Tensor | None = None


class ShopOutput(NamedTuple):
    """What the shop tower says of (B, 3, H, W) pictures and their (B, T) tags.

    Attributes:
        embedding: (B, D), L2-normalised.
        norm: (B,) length before normalisation; embedding × norm is the context of re-ranking.
        weights: (B, L) attention over locations where tags attend, else None.
    """

    embedding: Tensor
    norm: Tensor
    weights: Tensor | None = None


class RerankOutput(NamedTuple):
    """distance (K,) of the query to each candidate, weights (K, L) over the query's locations."""

    distance: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of training (YNet → TagYNet → CtxYNet).

    Attributes:
        name: of the stage.
        trains: prefixes of parameter names that learn; all others are frozen (and their modules in
            evaluation mode).
        epochs, lr, lr_step, lr_decay, momentum, weight_decay: of the stage's SGD by default;
            ``lr`` is multiplied by ``lr_decay`` every ``lr_step`` epochs.
        margin: of the ranking loss.
        options: what else the model's ``loss`` wants to know of the stage.
    """

    name: str
    trains: tuple[str, ...]
    epochs: int = 30
    lr: float = 0.01
    lr_step: int = 30
    lr_decay: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    margin: float = 0.3
    optimizer: str = "sgd"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """Street images and shop images, each forwarded once; triplets are rows of indexes.

    Attributes:
        street: (B, 3, H, W), normalised.
        shop: (M, 3, H, W), normalised; row i < B shows the item of street row i.
        tags: (M, T) multi-hot of the shop rows.
        street_items: (B,) integer item numbers.
        shop_items: (M,) integer item numbers.
        street_tags: (B, T) multi-hot labels (for attribute losses), or None.
        landmarks: (B + M, 8, 3) in the square's pixels, or None.
    """

    street: Tensor
    shop: Tensor
    tags: Tensor
    street_items: Tensor
    shop_items: Tensor
    street_tags: Tensor | None = None
    landmarks: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        moved = {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name in self.__slots__
            for value in (getattr(self, name),)
        }
        return Batch(**moved)


class ModelConfig(BaseModel):
    """Options of a model; a subclass lies beside each model, its defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RetrievalModel(nn.Module, ABC):
    """Base of every model.

    Attributes:
        embedding_dim: D.
        uses_tags: whether ``encode_shop`` reads its tags.
        reranks: whether ``rerank`` exists and ``encode_street`` gives local features.
        preprocessing: how its pictures are made.
        tag_count: T.
    """

    embedding_dim: int
    uses_tags: bool = False
    reranks: bool = False
    preprocessing: Preprocessing
    tag_count: int = 0

    @abstractmethod
    def encode_street(self, images: Tensor) -> StreetOutput:
        """(B, 3, H, W) → embedding (B, D), local (B, C, L) or None."""

    @abstractmethod
    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        """(B, 3, H, W), (B, T) → embedding (B, D), norm (B,), weights (B, L) or None."""

    def rerank(self, local: Tensor, contexts: Tensor) -> RerankOutput:
        """local (C, L), contexts (K, C) → distance (K,), weights (K, L)."""
        raise TypeError(f"{type(self).__name__} does not re-rank")

    def distances(self, street: StreetOutput, shop: ShopOutput) -> Tensor:
        """(B, M) distances that training ranks by: Euclidean unless the model says otherwise."""
        return torch.cdist(street.embedding, shop.embedding)

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The published stages in order."""

    @abstractmethod
    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Named scalar losses of a batch; ``total`` is what is minimised."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the registry holds of a model.

    Attributes:
        name: the public name.
        paper, year, link: where it was published.
        config: its `ModelConfig` class.
        build: (config, tag_vocabulary) → the model, initialised but untrained.
        needs: labels it trains from (``items``, ``tags``, ``landmarks``).
        summary: one line.
        tiny: config values for tests that run in a second.
    """

    name: str
    paper: str
    year: int
    link: str
    config: type[ModelConfig]
    build: Callable[[Any, Sequence[str]], RetrievalModel]
    needs: tuple[str, ...]
    summary: str
    tiny: dict[str, Any] = field(default_factory=dict)


MODELS: Registry[ModelSpec] = Registry("hemline.learn.models", "MODELS", "model")
