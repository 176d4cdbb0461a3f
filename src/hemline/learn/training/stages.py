"""Stages of training: a model's published `Stage` and the recipe's changes, resolved into one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from hemline.errors import TrainingError, UsageError, nearest
from hemline.learn.model import RetrievalModel, Stage
from hemline.learn.recipe import EarlyStop, StageRecipe


@dataclass(frozen=True, slots=True)
class ResolvedStage(Stage):
    """A stage with all its settings.

    Attributes:
        schedule: of the learning rate: ``step``, ``cosine`` or ``constant``.
        warmup: epochs over which the rate rises to ``lr``.
        clip: largest norm of the gradient, 0 for no limit.
        lr_scale: prefix of parameter names, in which ``*`` stands for anything (``*.conv_dw``) →
            factor of the rate; 0 freezes them.
        frozen_norms: keep all batch normalisation in evaluation mode.
        patience: epochs without a better validation before the stage ends; 0 never ends it early.
        validate_every: epochs between validations; the last epoch is always validated.
    """

    schedule: str = "step"
    warmup: float = 0.0
    clip: float = 0.0
    lr_scale: dict[str, float] = field(default_factory=dict)
    frozen_norms: bool = False
    patience: int = 0
    validate_every: int = 1

    def lr_factor(self, epoch: float) -> float:
        """Factor of the rate at a moment of the stage, in epochs from its start."""
        if epoch < self.warmup:
            return (epoch + 1e-3) / self.warmup
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "cosine":
            share = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        return float(self.lr_decay ** (int(epoch) // self.lr_step))

    def scale_of(self, name: str) -> float:
        """The factor of a parameter's rate, by the longest prefix of its name."""
        scales = [(len(p), s) for p, s in self.lr_scale.items() if _is_under(name, p)]
        return max(scales)[1] if scales else 1.0


def resolve_stages(
    stages: Iterable[Stage], changes: Mapping[str, StageRecipe], early_stop: EarlyStop | None = None
) -> list[ResolvedStage]:
    """The stages to run: the model's, changed by ``all`` and then by name, without skipped ones.

    Names are compared without regard to case.

    Raises:
        UsageError: a change names no stage of the model, or no stage is left.
    """
    stages = list(stages)
    names = [stage.name for stage in stages]
    own = {name.lower(): change for name, change in changes.items()}
    for name in changes:
        if name.lower() not in ("all", *(known.lower() for known in names)):
            raise UsageError(f"the model has no stage {name!r}. {nearest(name, ['all', *names])}")
    early_stop = early_stop or EarlyStop()
    resolved = []
    for stage in stages:
        values: dict[str, Any] = {}
        for part in (own.get("all"), own.get(stage.name.lower())):
            if part is not None:
                values |= {name: getattr(part, name) for name in part.model_fields_set}
        skip = values.pop("skip", False)
        options = {**stage.options, **values.pop("options", {})}
        published = {f.name: getattr(stage, f.name) for f in fields(stage)}
        given = {name: value for name, value in values.items() if value is not None}
        result = ResolvedStage(
            **{**published, **given, "options": options},
            patience=early_stop.patience,
            validate_every=early_stop.every,
        )
        if not skip and (result.epochs > 0 or result.fits):
            resolved.append(result)
    if not resolved:
        raise UsageError("the recipe leaves out every stage; nothing would be trained")
    return resolved


def begin_stage(model: RetrievalModel, stage: ResolvedStage) -> None:
    """Starts a stage: its frozen part gets no gradient and stays in evaluation mode.

    Parameters whose rate the recipe sets to 0 get no gradient either, which saves its time.

    Raises:
        TrainingError: no parameter of the model would learn.
    """
    learned = len(model.begin_stage(stage))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and stage.scale_of(name) == 0:
            parameter.requires_grad_(False)
            learned -= 1
    if learned <= 0:
        heads = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
        raise TrainingError(
            f"the stage {stage.name!r} trains {', '.join(stage.trains) or 'nothing'}, which names "
            f"no parameter of the model; its parts are {', '.join(heads)}"
        )


def set_modes(model: nn.Module, stage: ResolvedStage) -> None:
    """Training mode; batch normalisation in evaluation mode where the recipe freezes it."""
    model.train()
    if stage.frozen_norms:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def build_optimizer(model: nn.Module, stage: ResolvedStage) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW without decay of biases and norms, over what learns."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        undecayed = stage.optimizer == "adamw" and parameter.ndim < 2
        key = (stage.scale_of(name), 0.0 if undecayed else stage.weight_decay)
        groups.setdefault(key, []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "lr": stage.lr * scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=stage.lr, momentum=stage.momentum)
    if stage.optimizer == "adamw":
        return torch.optim.AdamW(listed, lr=stage.lr)
    raise UsageError(
        f"no optimizer {stage.optimizer!r}. {nearest(stage.optimizer, ['sgd', 'adamw'])}"
    )


def _is_under(name: str, prefix: str) -> bool:
    prefix = prefix.rstrip(".")
    return prefix == "" or fnmatchcase(name, prefix) or fnmatchcase(name, f"{prefix}.*")
