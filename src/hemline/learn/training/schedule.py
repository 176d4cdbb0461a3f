"""What learns in a stage, how fast, and what stands still."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from hemline.errors import TrainingError, UsageError, nearest
from hemline.learn.model import RetrievalModel, Stage
from hemline.learn.recipe import StageRecipe

_FIELDS = (
    "epochs",
    "lr",
    "lr_step",
    "lr_decay",
    "momentum",
    "weight_decay",
    "margin",
    "optimizer",
    "trains",
)


def planned(
    stages: Iterable[Stage], changes: dict[str, StageRecipe]
) -> list[tuple[Stage, StageRecipe]]:
    """The stages to run: the model's, less those left out, changed by ``all`` and then by name.

    Names are compared without regard to case.

    Raises:
        UsageError: a change names no stage of the model.
    """
    stages = list(stages)
    names = [stage.name for stage in stages]
    own = {name.lower(): change for name, change in changes.items()}
    for name in changes:
        if name.lower() not in ("all", *(known.lower() for known in names)):
            raise UsageError(f"the model has no stage {name!r}. {nearest(name, ['all', *names])}")
    plan = []
    for stage in stages:
        values: dict[str, Any] = {}
        for part in (own.get("all"), own.get(stage.name.lower())):
            if part is not None:
                values.update({name: getattr(part, name) for name in part.model_fields_set})
        change = StageRecipe(**values)
        given = {name: values[name] for name in _FIELDS if values.get(name) is not None}
        stage = replace(stage, **given, options={**stage.options, **change.options})
        if not change.skip and (stage.epochs > 0 or stage.fits):
            plan.append((stage, change))
    if not plan:
        raise UsageError("the recipe leaves out every stage; nothing would be trained")
    return plan


def rate(stage: Stage, change: StageRecipe, epoch: float) -> float:
    """Learning rate at a moment of the stage, in epochs from its start."""
    if epoch < change.warmup:
        return stage.lr * (epoch + 1e-3) / change.warmup
    if change.schedule == "constant":
        return stage.lr
    if change.schedule == "cosine":
        share = (epoch - change.warmup) / max(stage.epochs - change.warmup, 1e-9)
        return stage.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return float(stage.lr * stage.lr_decay ** (int(epoch) // stage.lr_step))


def learns(name: str, prefix: str) -> bool:
    """Whether ``name`` is, or lies under, ``prefix``."""
    return prefix == "" or name == prefix or name.startswith(prefix.rstrip(".") + ".")


def scale_of(name: str, change: StageRecipe) -> float:
    """A parameter's factor of the rate, by the longest prefix of its name."""
    scales = [(len(p), s) for p, s in change.lr_scale.items() if learns(name, p)]
    return max(scales)[1] if scales else 1.0


def begin(model: RetrievalModel, stage: Stage, change: StageRecipe) -> None:
    """Puts a stage in force, its frozen part in evaluation mode.

    What the recipe gives a rate of 0 gets no gradient either, which saves the time of it.

    Raises:
        TrainingError: nothing of the model would learn.
    """
    learned = len(model.begin_stage(stage))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and scale_of(name, change) == 0:
            parameter.requires_grad_(False)
            learned -= 1
    if learned <= 0:
        heads = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
        raise TrainingError(
            f"the stage {stage.name!r} trains {', '.join(stage.trains) or 'nothing'}, which names "
            f"no parameter of the model; its parts are {', '.join(heads)}"
        )


def set_modes(model: RetrievalModel, change: StageRecipe) -> None:
    """Training mode as the stage has it, and batch normalisation still where the recipe says so."""
    model.train()
    if change.frozen_norms:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def optimiser(model: nn.Module, stage: Stage, change: StageRecipe) -> torch.optim.Optimizer:
    """SGD with momentum or AdamW over what learns; biases and norms aren't decayed by AdamW."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = scale_of(name, change)
        plain = stage.optimizer == "adamw" and parameter.ndim < 2
        groups.setdefault((scale, 0.0 if plain else stage.weight_decay), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "lr": stage.lr * scale, "scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=stage.lr, momentum=stage.momentum)
    if stage.optimizer == "adamw":
        return torch.optim.AdamW(listed, lr=stage.lr)
    raise UsageError(
        f"no optimizer {stage.optimizer!r}. {nearest(stage.optimizer, ['sgd', 'adamw'])}"
    )
