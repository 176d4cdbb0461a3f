"""The interface of ranking losses, and the registry of all losses.

A module of `hemline.learn.losses`, or of a plug-in (docs/plugins.md), declares ``LOSSES``: name →
`LossSpec`, or a plain function of (B, M) distances, (B,) street items and (M,) shop items. A model
whose configuration has a setting ``loss`` looks its value up there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator
from torch import Tensor, nn

from hemline.errors import nearest
from hemline.learn.mining import Negatives
from hemline.learn.model import Batch, ShopOutput, Stage, StreetOutput
from hemline.registry import Registry

#: What a loss is computed from.
Reads = Literal["distances", "embeddings", "labels"]


class RankingInputs(NamedTuple):
    """What a ranking loss may read of a batch.

    Attributes:
        distances: (B, M) Euclidean, street rows to shop rows.
        street: (B, D) unit embeddings.
        shop: (M, D) unit embeddings.
        street_items: (B,) integer item numbers.
        shop_items: (M,) integer item numbers.
        margin: of the stage, in units of the distance.
    """

    distances: Tensor
    street: Tensor
    shop: Tensor
    street_items: Tensor
    shop_items: Tensor
    margin: float = 0.3

    @classmethod
    def of(
        cls, distances: Tensor, street: StreetOutput, shop: ShopOutput, batch: Batch, stage: Stage
    ) -> RankingInputs:
        """The inputs of a model's loss for a batch it has encoded."""
        embeddings = (street.embedding, shop.embedding)
        return cls(distances, *embeddings, batch.street_items, batch.shop_items, stage.margin)


@dataclass(frozen=True, slots=True)
class RankingOptions:
    """Settings of a model that its ranking loss takes; each loss reads those that concern it.

    Attributes:
        dim: D of the embeddings.
        temperature: of a softmax.
        negatives, negatives_count: how negatives are mined, see `hemline.learn.mining`.
        squared: compare squared distances.
    """

    dim: int
    temperature: float = 0.07
    negatives: Negatives = "random"
    negatives_count: int = 4
    squared: bool = False


class RankingLoss(nn.Module, ABC):
    """A loss that ranks the shop images of a photo's item before those of other items."""

    @abstractmethod
    def forward(self, inputs: RankingInputs) -> Tensor:
        """() the loss of a batch."""

    def expect(self, items: Tensor) -> None:
        """Called once before the training with the (N,) item numbers it will show."""


class FunctionLoss(RankingLoss):
    """A plain function of distances, street items and shop items as a ranking loss."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: RankingInputs) -> Tensor:
        return self.function(inputs.distances, inputs.street_items, inputs.shop_items)


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A registered loss; its module's docstring names the paper.

    Attributes:
        function: the pure function over tensors.
        reads: what it is computed from; ``embeddings`` losses know nothing of attention.
        build: makes the `RankingLoss`; None for losses of attributes and landmarks.
    """

    function: Callable[..., Tensor]
    reads: Reads
    build: Callable[[RankingOptions], RankingLoss] | None = None

    def __call__(self, *inputs: Any) -> Tensor:
        return self.function(*inputs)


LOSSES: Registry[LossSpec | Callable[..., Tensor]] = Registry(
    "hemline.learn.losses", "LOSSES", "loss", group="hemline.losses"
)


def loss_spec(name: str) -> LossSpec:
    """The registered loss; raises UsageError if there is none of that name."""
    loss = LOSSES[name]
    if isinstance(loss, LossSpec):
        return loss
    return LossSpec(loss, "distances", lambda _: FunctionLoss(loss))


def ranking_losses(*reads: Reads) -> tuple[str, ...]:
    """Names of the registered ranking losses, of those that read one of ``reads`` if given."""
    specs = {name: loss_spec(name) for name in LOSSES}
    return tuple(n for n, s in specs.items() if s.build and (not reads or s.reads in reads))


def build_loss(name: str, options: RankingOptions) -> RankingLoss:
    """The ranking loss of that name.

    Raises:
        UsageError: no such loss.
        ValueError: a loss that doesn't rank.
    """
    spec = loss_spec(name)
    if spec.build is None:
        raise ValueError(f"the loss {name!r} ranks nothing")
    return spec.build(options)


def _known(name: str) -> str:
    if name not in ranking_losses():
        raise ValueError(f"no loss {name!r}. {nearest(name, ranking_losses())}")
    return name


def _of_distances(name: str) -> str:
    known = ranking_losses("distances")
    if _known(name) not in known:
        raise ValueError(f"the loss {name!r} does not read distances; {', '.join(known)} do")
    return name


#: Types of a setting ``loss``: any ranking loss, or one that reads distances alone.
LossName = Annotated[str, AfterValidator(_known)]
DistanceLossName = Annotated[str, AfterValidator(_of_distances)]
