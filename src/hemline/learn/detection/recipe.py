"""The recipe of a detector: YAML like every other recipe, recognised by its key ``detector``."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from hemline.learn.detection.network import DetectorConfig
from hemline.learn.detection.samples import DetectionAugmentation
from hemline.learn.training.settings import RecipePart, RunSettings


class DetectorData(RecipePart):
    """Which rows are read, and how.

    Attributes:
        train, val: names of the splits.
        repeats: column → value → how often its images are shown in an epoch; others are shown once.
        sizes: sides of the training images, one per batch, at random; the last ``settle`` share of
            the steps uses the side of ``detector.heads``.
        settle: see above.
        validation: images that validate, at most, evenly spaced.
        moves: random changes of training images.
        workers: processes that read images; 0 reads in the training process.
    """

    train: str = "train"
    val: str = "val"
    repeats: dict[str, dict[str, Annotated[int, Field(ge=1)]]] = Field(default_factory=dict)
    sizes: tuple[int, ...] = (224, 256, 288)
    settle: float = Field(default=0.3, ge=0, le=1)
    validation: int = Field(default=320, ge=1)
    moves: DetectionAugmentation = DetectionAugmentation()
    workers: int = Field(default=0, ge=0)


class DetectorRecipe(RunSettings):
    """The training run of a detector.

    ``start`` is the run of a detector with the same network, a bundle with such a detector, or the
    name of one that ships; its weights replace the backbone's own.

    Attributes:
        detector: the network.
        data: its training data.
        batch_size: images per step.
        steps: in all.
        check: steps between two validations; the best validated weights are kept.
        lr: highest rate of AdamW, after ``warmup`` steps; it falls to zero as a cosine.
        backbone_lr: factor of the rate for the backbone.
        warmup: steps.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
    """

    detector: DetectorConfig = DetectorConfig()
    data: DetectorData = DetectorData()
    batch_size: int = Field(default=16, ge=1)
    steps: int = Field(default=1250, ge=1)
    check: int = Field(default=250, ge=1)
    lr: float = Field(default=0.002, gt=0)
    backbone_lr: float = Field(default=0.3, gt=0)
    warmup: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.02, ge=0)
    clip: float = Field(default=10.0, gt=0)
    ema: float = Field(default=0.995, ge=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"

    @property
    def checks(self) -> int:
        """How often it is validated: the epochs of the training engine."""
        return math.ceil(self.steps / self.check)
