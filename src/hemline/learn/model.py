"""The contract of every model: two towers, perhaps a re-ranker, a distance matrix and stages.

A module of ``hemline.learn.models`` declares ``MODELS``: a name → its `ModelSpec`. The contract
tests take every one of them in by themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from hemline.data.preprocess import Preprocessing
from hemline.errors import UsageError, nearest
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
        attention: (B, L) over locations where tags attend, rows sum to 1, else None.
    """

    embedding: Tensor
    norm: Tensor
    attention: Tensor | None = None


class RerankOutput(NamedTuple):
    """distance (K,) of the query to each candidate, attention (K, L) over its locations."""

    distance: Tensor
    attention: Tensor


class Prediction(NamedTuple):
    """What a model says of (B, 3, H, W) pictures besides their embedding, where it learns it.

    Attributes:
        attributes: (B, T) scores of the tags, higher is likelier, or None.
        landmarks: (B, 8, 2) x, y in the square's pixels, or None.
    """

    attributes: Tensor | None = None
    landmarks: Tensor | None = None


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
        fits: the model's `fit` is called with the training pictures before the first epoch, for
            what is computed in closed form (a whitening, a PCA); such a stage may have no epochs.
        metric: the validation figure that chooses its epoch, where it isn't the recipe's: a stage
            that pre-trains attributes is judged by ``attribute_map``. Of a figure whose name ends
            in ``error`` less is better.
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
    fits: bool = False
    metric: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def learns(self, name: str) -> bool:
        """Whether the parameter or module ``name`` lies under a prefix of ``trains``."""
        return any(name == p or name.startswith(f"{p}.") or p == "" for p in self.trains)

    def reaches(self, module: str) -> bool:
        """Whether the module of that name, or a part of it, learns."""
        return self.learns(module) or any(p.startswith(f"{module}.") for p in self.trains)


class Fitting(NamedTuple):
    """Pictures that a model is fitted to: images (B, 3, H, W), items (B,), tags (B, T)."""

    images: Tensor
    items: Tensor
    tags: Tensor


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

    A trainer calls ``begin_stage(stage)`` once for each stage and gives the optimiser what it
    returns; ``train()`` then keeps the frozen part in evaluation mode by itself.

    Exporting: every call below can be exported by ``torch.onnx.export(..., dynamo=True)`` with
    ``dynamic_shapes`` for B and K (an example batch of 2 or more, so that 1 isn't taken for fixed).

    Attributes:
        embedding_dim: D.
        uses_tags: whether ``encode_shop`` reads its tags (in the stage in force).
        reranks: whether ``rerank`` exists and ``encode_street`` gives local features (in the stage
            in force).
        preprocessing: how its pictures are made.
        tag_count: T.
        grid: (H, W) of the locations, H × W = L, or None where there are none.
        freeze_bn: whether batch normalisation stays in evaluation mode while training.
        stage: the name of the stage in force, or empty where stages change nothing.
    """

    embedding_dim: int
    uses_tags: bool = False
    reranks: bool = False
    preprocessing: Preprocessing
    tag_count: int = 0
    grid: tuple[int, int] | None = None
    freeze_bn: bool = False
    stage: str = ""
    _training_stage: Stage | None = None

    @abstractmethod
    def encode_street(self, images: Tensor) -> StreetOutput:
        """(B, 3, H, W) → embedding (B, D), local (B, C, L) or None."""

    @abstractmethod
    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        """(B, 3, H, W), (B, T) → embedding (B, D), norm (B,), attention (B, L) or None."""

    def rerank(self, local: Tensor, contexts: Tensor) -> RerankOutput:
        """local (C, L), contexts (K, C) → distance (K,), attention (K, L)."""
        raise TypeError(f"{type(self).__name__} does not re-rank")

    def distances(self, street: StreetOutput, shop: ShopOutput) -> Tensor:
        """(B, M) distances that training ranks by: Euclidean unless the model says otherwise."""
        return torch.cdist(street.embedding, shop.embedding)

    def fit(self, street: Iterable[Fitting], shop: Iterable[Fitting]) -> None:
        """Computes in closed form what a stage with ``fits`` is for, from pictures as they are.

        Args:
            street, shop: every training picture of the domain once, in batches.
        """
        raise TypeError(f"{type(self).__name__} has nothing to fit")

    def predict(self, images: Tensor, street: bool) -> Prediction:
        """What it says of pictures besides their embedding; nothing unless the model learns it.

        Args:
            images: (B, 3, H, W), normalised.
            street: whether they are photos of the street domain.
        """
        return Prediction()

    def expect_items(self, items: Tensor) -> None:
        """Told once, before the first stage, which (N,) item numbers training will show."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The published stages in order."""

    @abstractmethod
    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Named scalar losses of a batch; ``total`` is what is minimised."""

    def set_stage(self, name: str) -> None:
        """Puts a stage of ``stages()`` in force; a model whose stages differ in form overrides it.

        Raises:
            UsageError: no such stage.
        """
        names = [stage.name for stage in self.stages()]
        if name not in names:
            raise UsageError(f"no stage {name!r}. {nearest(name, names)}")

    def begin_stage(self, stage: Stage) -> list[nn.Parameter]:
        """Puts a stage in force, freezes all that it doesn't train, and gives what it trains.

        Call it again after loading a checkpoint: what is frozen is not part of the state.
        """
        self.set_stage(stage.name)
        self._training_stage = stage
        learned = []
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(stage.learns(name))
            if parameter.requires_grad:
                learned.append(parameter)
        self.train(self.training)
        return learned

    def train(self, mode: bool = True) -> Self:
        """As torch's, but what the stage freezes, and frozen batch normalisation, stay as in
        evaluation."""
        super().train(mode)
        stage = self._training_stage
        for name, module in self.named_modules():
            frozen = stage is not None and name != "" and not stage.reaches(name)
            if frozen or (self.freeze_bn and isinstance(module, nn.modules.batchnorm._BatchNorm)):
                module.training = False
        return self


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

    def configure(self, values: Mapping[str, Any]) -> Any:
        """The model's checked configuration, an instance of ``config``.

        Raises:
            UsageError: an unknown key (the nearest known one is named) or a wrong value.
        """
        try:
            return self.config.model_validate(dict(values))
        except ValidationError as error:
            raise UsageError(f"{self.name}: {_first_wrong(self.config, error)}") from None


def _first_wrong(config: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    where = ".".join(path)
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}" if where else first["msg"]
    for part in path[:-1]:
        inner = config.model_fields[part].annotation if part in config.model_fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            config = inner
    return f"no setting {where!r}. {nearest(path[-1], config.model_fields)}"


MODELS: Registry[ModelSpec] = Registry(
    "hemline.learn.models", "MODELS", "model", group="hemline.models"
)
