"""What every recipe of a training run has: where and how fast it computes, its seed, its start."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Settings that change how fast a result is reached, not the result.
_SPEED = ("summary", "devices", "threads", "tensorboard", "checkpoint_minutes")
_DATA_SPEED = ("workers", "cache_mb")


class RecipePart(BaseModel):
    """A group of recipe keys: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(RecipePart):
    """Settings common to all recipes.

    Attributes:
        name: of the recipe.
        summary: one line.
        start: the folder of a finished run whose weights are taken over; None starts from scratch.
        ema: decay of the exponential moving average of the weights, which is then validated and
            kept; 0 for none.
        seed: of every random draw.
        precision: ``auto`` is bfloat16 on an accelerator that has it, else float32.
        devices: number of accelerators, 0 for all there are.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        threads: CPU threads, 0 for torch's default.
        channels_last: memory order of 4-D tensors.
        tensorboard: also write a TensorBoard log.
        checkpoint_minutes: minutes between checkpoints inside an epoch.
    """

    name: str
    summary: str = ""
    start: str | None = None
    ema: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    devices: int = Field(default=0, ge=0)
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = Field(default=0, ge=0)
    channels_last: bool = True
    tensorboard: bool = False
    checkpoint_minutes: float = Field(default=10.0, ge=0)

    def resolved(self) -> dict[str, Any]:
        """All values as JSON; parsing them again gives this recipe."""
        return self.model_dump(mode="json")

    def deciding(self) -> dict[str, Any]:
        """The values that decide the result, without those that only change the speed."""
        values = {k: v for k, v in self.model_dump(mode="json").items() if k not in _SPEED}
        data = values.get("data", {})
        return {**values, "data": {k: v for k, v in data.items() if k not in _DATA_SPEED}}
