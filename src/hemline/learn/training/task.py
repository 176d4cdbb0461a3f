"""What the training engine is given: a model, its stages, its batches, its loss, its validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from hemline.learn.training.settings import RunSettings
from hemline.learn.training.stages import ResolvedStage
from hemline.learn.training.state import Progress, RunFolder

Say = Callable[[str], None]


def silent(text: str) -> None:
    """A `Say` that shows nothing."""


class Task(ABC):
    """One kind of training; `hemline.learn.training.engine` runs it.

    Attributes:
        recipe: of the run.
        model: on the CPU, untrained or with the weights that the recipe starts from.
        stages: in order.
        info: model and data in ``run.json``; ``info["data"]["fingerprint"]`` is the
            manifest's.
    """

    recipe: RunSettings
    model: nn.Module
    stages: Sequence[ResolvedStage]
    info: dict[str, Any]

    def begin(self, stage: ResolvedStage) -> None:  # noqa: B027
        """Freezes what the stage doesn't train; nothing by default."""

    def fit(self, device: torch.device) -> None:  # noqa: B027
        """Computes in closed form what a stage with ``fits`` is for; nothing by default."""

    def write_record(self, folder: Path) -> None:  # noqa: B027
        """Writes what is trained on into the run's folder; nothing by default."""

    @abstractmethod
    def batches(self, stage: int, epoch: int, rank: int, world: int) -> Sequence[Any]:
        """The batches of one process in an epoch: a function of the seed and these numbers."""

    @abstractmethod
    def dataset(self, batches: Sequence[Any]) -> Dataset[Any]:
        """Reads a batch per item; a batch that can't be read is None."""

    @abstractmethod
    def to_device(self, raw: Any, device: torch.device) -> Any:
        """An item of `dataset` → what `loss` takes."""

    @abstractmethod
    def loss(self, batch: Any, stage: ResolvedStage) -> dict[str, Tensor]:
        """Named scalar losses; ``total`` is minimised."""

    @abstractmethod
    def validate(self, model: nn.Module, device: torch.device, epoch: int) -> dict[str, float]:
        """Figures of ``model`` (the moving average where there is one) after ``epoch`` epochs."""

    @abstractmethod
    def score(self, row: dict[str, Any], stage: ResolvedStage) -> tuple[float, ...] | None:
        """What a better epoch has more of; None for an epoch that wasn't validated."""

    @abstractmethod
    def best_file(self, stage: int) -> str:
        """File name of a stage's best checkpoint."""

    @abstractmethod
    def line(self, row: dict[str, Any], stage: ResolvedStage) -> str:
        """One line for people about an epoch."""

    def best_state(self, row: dict[str, Any]) -> dict[str, Any]:
        """The state stored with the best weights and in ``run.json``."""
        return {"stage": row["stage"], "epoch": row["epoch"], "figures": row}

    def position(self, progress: Progress) -> str:
        """Where a run continues, for people."""
        return f"epoch {progress.epoch} of stage {self.stages[progress.stage].name}"

    def write_history(self, folder: RunFolder, history: list[dict[str, Any]]) -> None:
        folder.write_metrics(history)
