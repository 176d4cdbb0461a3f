"""The recipe of a detector: YAML like every other recipe, told by its key ``detector``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hemline.learn.detection.network import DetectorConfig
from hemline.learn.detection.samples import Moves

__all__ = ["DetectorRecipe"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectorData(_Part):
    """Which rows are read, and how.

    Attributes:
        train, val: names of the splits.
        sizes: sides of the training pictures, each batch has one of them; the last ``settle`` share
            of the steps has the side of ``detector.heads``.
        settle: see above.
        validation: pictures that validate, at most, spread evenly.
        moves: what is done to training pictures.
        workers: processes that read; 0 reads in the training process.
    """

    train: str = "train"
    val: str = "val"
    sizes: tuple[int, ...] = (224, 256, 288)
    settle: float = Field(default=0.3, ge=0, le=1)
    validation: int = Field(default=320, ge=1)
    moves: Moves = Moves()
    workers: int = Field(default=0, ge=0)


class DetectorRecipe(_Part):
    """A detector's training run.

    Attributes:
        name: of the recipe.
        summary: one line.
        detector: the network.
        data: what it learns from.
        start: folder of a detector's run whose weights it starts from, in place of the backbone's
            own; the two networks must be alike.
        batch_size: pictures to a step.
        steps: in all.
        check: steps between two validations; the best validated state is kept.
        lr: highest rate of AdamW, after ``warmup`` steps; it falls to zero as a cosine.
        backbone_lr: factor of the rate for the backbone.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        ema: of the weights that are validated and kept.
        seed: of everything that is drawn.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        threads: of the CPU, 0 for torch's own choice.
    """

    name: str
    summary: str = ""
    detector: DetectorConfig = DetectorConfig()
    data: DetectorData = DetectorData()
    start: str | None = None
    batch_size: int = Field(default=16, ge=1)
    steps: int = Field(default=1250, ge=1)
    check: int = Field(default=250, ge=1)
    lr: float = Field(default=0.002, gt=0)
    backbone_lr: float = Field(default=0.3, gt=0)
    warmup: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.02, ge=0)
    clip: float = Field(default=10.0, gt=0)
    ema: float = Field(default=0.995, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = Field(default=0, ge=0)

    def resolved(self) -> dict[str, Any]:
        """All values, to be written: reading them again gives this recipe."""
        return self.model_dump(mode="json")

    def deciding(self) -> dict[str, Any]:
        """What decides the result: the recipe less what only changes how fast it is reached."""
        values = self.resolved()
        for name in ("threads", "summary"):
            values.pop(name)
        values["data"].pop("workers")
        return values
