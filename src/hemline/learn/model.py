"""The contract of every model: two encoders, an optional re-ranker, training stages and a loss.

A module of `hemline.learn.models` declares ``MODELS``: name → `ModelSpec`. Recipes, commands,
export and the contract tests find it there. docs/models/README.md has a complete small model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing
from hemline.errors import UsageError, nearest
from hemline.learn.model_config import ModelConfig, first_wrong
from hemline.registry import Registry


class StreetOutput(NamedTuple):
    """Output of the street encoder for (B, 3, H, W) images.

    Attributes:
        embedding: (B, D), L2-normalised.
        local: (B, C, L) local features where the model re-ranks, else None.
    """

    embedding: Tensor
    local: Tensor | None = None

    @classmethod
    def of(cls, vectors: Tensor, local: Tensor | None = None) -> StreetOutput:
        """The output for (B, D) vectors of any length."""
        return cls(functional.normalize(vectors, dim=1), local)


class ShopOutput(NamedTuple):
    """Output of the shop encoder for (B, 3, H, W) images and their (B, T) tags.

    Attributes:
        embedding: (B, D), L2-normalised.
        norm: (B,) length before normalisation; embedding × norm is the context of re-ranking.
        attention: (B, L) over locations where tags attend, rows sum to 1, else None.
    """

    embedding: Tensor
    norm: Tensor
    attention: Tensor | None = None

    @classmethod
    def of(cls, vectors: Tensor, attention: Tensor | None = None) -> ShopOutput:
        """The output for (B, D) vectors of any length."""
        norm = torch.linalg.vector_norm(vectors, dim=1)
        return cls(functional.normalize(vectors, dim=1), norm, attention)


class RerankOutput(NamedTuple):
    """distance (K,) of the query to each candidate, attention (K, L) over the query's locations."""

    distance: Tensor
    attention: Tensor


class Prediction(NamedTuple):
    """What a model predicts of (B, 3, H, W) images besides their embedding.

    Attributes:
        attributes: (B, T) scores of the tags, higher is likelier, or None.
        landmarks: (B, 8, 2) x, y in pixels of the square image, or None.
    """

    attributes: Tensor | None = None
    landmarks: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of training (YNet → TagYNet → CtxYNet).

    Attributes:
        name: of the stage.
        trains: prefixes of the names of trained parameters; all others are frozen (and their
            modules in evaluation mode).
        epochs, lr, lr_step, lr_decay, momentum, weight_decay: of SGD by default; ``lr`` is
            multiplied by ``lr_decay`` every ``lr_step`` epochs.
        margin: of the ranking loss, in units of the distance.
        optimizer: ``sgd`` or ``adamw``.
        fits: `RetrievalModel.fit` is called with the training images before the first epoch, for
            what is computed in closed form (a whitening, a PCA); such a stage may have no epochs.
        metric: the validation metric that selects the stage's epoch, instead of the recipe's: a
            stage that pre-trains attributes is selected by ``attribute_map``. Less is better of a
            metric whose name ends in ``error``.
        options: further settings that the model's ``loss`` reads.
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
    """Images that a model is fitted to: images (B, 3, H, W), items (B,), tags (B, T).

    ``groups`` (B,) numbers each image's value of the column ``data.batch_by``, where it is set.
    """

    images: Tensor
    items: Tensor
    tags: Tensor
    groups: Tensor | None = None


@dataclass(slots=True)
class Batch:
    """Street images and shop images of a training step, each encoded once.

    Attributes:
        street: (B, 3, H, W), normalised.
        shop: (M, 3, H, W), normalised; row i < B shows the item of street row i.
        tags: (M, T) multi-hot of the shop rows.
        street_items: (B,) integer item numbers.
        shop_items: (M,) integer item numbers.
        street_tags: (B, T) multi-hot labels (for attribute losses), or None.
        landmarks: (B + M, 8, 3) x, y in pixels of the square image and visibility, or None.
        known: (B + M, T) of 0 and 1, the tags that a row is labelled for, or None where the data
            doesn't say.
    """

    street: Tensor
    shop: Tensor
    tags: Tensor
    street_items: Tensor
    shop_items: Tensor
    street_tags: Tensor | None = None
    landmarks: Tensor | None = None
    known: Tensor | None = None

    def images(self) -> Tensor:
        """(B + M, 3, H, W) street rows, then shop rows."""
        return torch.cat([self.street, self.shop])

    def items(self) -> Tensor:
        """(B + M,) item numbers of `images`."""
        return torch.cat([self.street_items, self.shop_items])

    def labels(self) -> Tensor:
        """(B + M, T) tags of `images`; zeros for street rows that have none of their own."""
        own = self.street_tags
        if own is None:
            own = self.tags.new_zeros(len(self.street), self.tags.shape[1])
        return torch.cat([own, self.tags])

    def to(self, device: torch.device) -> Batch:
        values = (getattr(self, name) for name in self.__slots__)
        moved: list[Any] = [v if v is None else v.to(device, non_blocking=True) for v in values]
        return Batch(*moved)


class RetrievalModel(nn.Module, ABC):
    """Base of every model.

    A trainer calls ``begin_stage(stage)`` once for each stage and gives the optimiser the
    parameters that it returns; ``train()`` then keeps the frozen part in evaluation mode.

    ``torch.onnx.export(..., dynamo=True)`` must export each encoder and ``rerank``, with
    ``dynamic_shapes`` for B and K (an example batch of 2 or more, or 1 is taken for fixed).

    Attributes:
        embedding_dim: D.
        uses_tags: whether ``encode_shop`` reads its tags (in the current stage).
        reranks: whether ``rerank`` exists and ``encode_street`` gives local features (in the
            current stage).
        preprocessing: how an image becomes its input.
        tag_count: T.
        grid: (H, W) of the locations, H × W = L, or None where there are none.
        freeze_bn: whether batch normalisation stays in evaluation mode while training.
        stage: the name of the current stage, or empty where stages change nothing.
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
        """(B, M) distances that training ranks by; Euclidean unless a model overrides it."""
        # Without the matrix product, which loses the digits of small distances.
        return torch.cdist(
            street.embedding, shop.embedding, compute_mode="donot_use_mm_for_euclid_dist"
        )

    def fit(self, street: Iterable[Fitting], shop: Iterable[Fitting]) -> None:
        """Computes in closed form what a stage with ``fits`` trains, from unaugmented images.

        Args:
            street, shop: every training image of the domain once, in batches.
        """
        raise TypeError(f"{type(self).__name__} has nothing to fit")

    def predict(self, images: Tensor, street: bool) -> Prediction:
        """Attributes and landmarks, where the model learns them.

        Args:
            images: (B, 3, H, W), normalised.
            street: whether they are of the street domain.
        """
        return Prediction()

    def expect_items(self, items: Tensor) -> None:
        """Called once, before the first stage, with the (N,) item numbers of the training."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The published stages in order."""

    @abstractmethod
    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Scalar losses of a batch by name; ``total`` is minimised, the others are logged."""

    def set_stage(self, name: str) -> None:
        """Makes a stage of ``stages()`` the current one, without freezing anything.

        Raises:
            UsageError: no such stage.
        """
        names = [stage.name for stage in self.stages()]
        if name not in names:
            raise UsageError(f"no stage {name!r}. {nearest(name, names)}")

    def begin_stage(self, stage: Stage) -> list[nn.Parameter]:
        """Makes a stage the current one, freezes all other parameters, and returns its own.

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
        """As torch's, but modules that the stage freezes, and frozen batch normalisation, stay in
        evaluation mode."""
        super().train(mode)
        stage = self._training_stage
        for name, module in self.named_modules():
            frozen = stage is not None and name != "" and not stage.reaches(name)
            if frozen or (self.freeze_bn and isinstance(module, nn.modules.batchnorm._BatchNorm)):
                module.training = False
        return self


class StagedModel(RetrievalModel):
    """A model whose computation depends on its stage.

    The current stage is part of the state: a checkpoint of an early stage is read back as one.
    A subclass calls ``init_stages`` at the end of its ``__init__``.
    """

    stage_index: Tensor
    stage_names: tuple[str, ...]

    def init_stages(self, names: Sequence[str]) -> None:
        """Names the stages in order, as ``stages()`` has them; the last one becomes current."""
        self.stage_names = tuple(names)
        self.register_buffer("stage_index", torch.tensor(0))
        self.register_load_state_dict_post_hook(_stage_from_state)  # type: ignore[no-untyped-call]
        self.set_stage(self.stage_names[-1])

    def set_stage(self, name: str) -> None:
        super().set_stage(name)
        self.stage = name
        self.stage_index.fill_(self.stage_names.index(name))
        self.enter_stage(name)

    @abstractmethod
    def enter_stage(self, name: str) -> None:
        """Sets ``uses_tags``, ``reranks`` and whatever else depends on the stage."""

    def check_stage(self, stage: Stage) -> None:
        """Raises ValueError unless the stage is the current one."""
        if stage.name != self.stage:
            raise ValueError(f"stage {self.stage} is in force, not {stage.name}: call begin_stage")


def _stage_from_state(model: nn.Module, _: object) -> None:
    assert isinstance(model, StagedModel)
    index = int(model.stage_index)
    if not 0 <= index < len(model.stage_names):
        raise UsageError(
            f"the checkpoint is of stage {index + 1}, this model has {len(model.stage_names)}; "
            "build the model that it was trained as"
        )
    model.set_stage(model.stage_names[index])


def weighted(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The result of ``loss``: the losses, detached, and ``total``, their weighted sum.

    A loss without a weight has weight 1.
    """
    total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
    return {**{name: loss.detach() for name, loss in losses.items()}, "total": total}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A registered model.

    ``hemline models`` reads the fields that it shows from the source, without PyTorch, so they are
    written as literals or module constants.

    Attributes:
        name: the public name.
        paper, year, link: where it was published.
        config: its `ModelConfig` class.
        build: (config, tag_vocabulary) → the model, initialised but untrained.
        needs: labels it trains from (``items``, ``tags``, ``landmarks``).
        summary: one line.
        tiny: settings for tests that run in a second.
        earlier: values of settings that runs had before their defaults were changed; of a run that
            doesn't say what it was trained with.
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
    earlier: dict[str, Any] = field(default_factory=dict)

    def configure(self, values: Mapping[str, Any]) -> Any:
        """The model's checked configuration, an instance of ``config``.

        Raises:
            UsageError: an unknown key (the nearest known one is named) or a wrong value.
        """
        try:
            return self.config.model_validate(dict(values))
        except ValidationError as error:
            raise UsageError(f"{self.name}: {first_wrong(self.config, error)}") from None


MODELS: Registry[ModelSpec] = Registry(
    "hemline.learn.models", "MODELS", "model", group="hemline.models"
)
