"""What a run keeps on the disk: its progress, its checkpoints and its metrics.

Checkpoints are safetensors, never pickles. Everything that decides the next number is either in
``last.safetensors`` or a function of (seed, stage, epoch), so that a run that was killed continues
with the same numbers (on the CPU).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from hemline.data.manifest import Manifest
from hemline.errors import TrainingError
from hemline.files import write_durable
from hemline.learn import checkpoint
from hemline.learn.training.settings import RunSettings


@dataclass(slots=True)
class Progress:
    """How far a run is: the state in ``last.safetensors``.

    Attributes:
        stage: index of the current stage.
        epoch: finished epochs of it.
        batch: finished batches of the next epoch.
        done: whether the stage is finished.
        history: a row per epoch: stage, epoch, lr, losses, seconds, validation's figures.
        sums: of the losses over the finished batches of the current epoch.
        ema_steps: updates of the stage's moving average of the weights.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    done: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    ema_steps: int = 0

    def rows(self, stage: str) -> list[dict[str, Any]]:
        """The epochs of one stage."""
        return [row for row in self.history if row["stage"] == stage]


class RunFolder:
    """The files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"

    def info(self) -> dict[str, Any] | None:
        """``run.json``, or None where the run hasn't started."""
        file = self.path / checkpoint.RUN_FILE
        if not file.is_file():
            return None
        info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return info

    def begin(self, recipe: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Writes ``recipe.json`` and ``run.json``."""
        checkpoint.write_json(self.path / checkpoint.RECIPE_FILE, recipe)
        self.write_info(info)

    def write_info(self, info: Mapping[str, Any]) -> None:
        checkpoint.write_json(self.path / checkpoint.RUN_FILE, info)

    def read(self) -> tuple[Progress, dict[str, Tensor]]:
        """The last checkpoint; a new `Progress` and no tensors where there is none.

        Raises:
            TrainingError: it is damaged, or of an earlier version's detector.
        """
        last = self.checkpoints / checkpoint.LAST_FILE
        if not last.is_file():
            return Progress(), {}
        tensors, state = checkpoint.load(last)
        if "stage" not in state:
            raise TrainingError(
                f"the unfinished run {self.path} was started by an earlier version and can't be "
                "resumed; train it again in another folder"
            )
        known = {f.name for f in fields(Progress)}
        return Progress(**{name: v for name, v in state.items() if name in known}), tensors

    def save_last(self, tensors: Mapping[str, Tensor], progress: Progress) -> None:
        checkpoint.save(self.checkpoints / checkpoint.LAST_FILE, tensors, asdict(progress))

    def save_best(self, name: str, model: nn.Module, state: Mapping[str, Any]) -> None:
        """The best weights of a stage, with the figures of their epoch."""
        tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
        checkpoint.save(self.checkpoints / name, tensors, state)

    def load_best(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return checkpoint.load(self.checkpoints / name)

    def write_metrics(self, history: list[dict[str, Any]]) -> None:
        """``metrics.csv``: a line per epoch."""
        columns = list(dict.fromkeys(name for row in history for name in row))
        lines = [",".join(columns)]
        lines += [",".join(str(row.get(name, "")) for name in columns) for row in history]
        write_durable(self.path / checkpoint.METRICS_FILE, "\n".join(lines) + "\n")


def refuse_another(folder: Path, recipe: RunSettings, manifest: Manifest) -> None:
    """Raises TrainingError if the folder holds a run of another recipe, or on other data."""
    written, info = folder / checkpoint.RECIPE_FILE, RunFolder(folder).info()
    if not written.is_file() or info is None:
        return
    try:
        old = type(recipe).model_validate_json(written.read_text(encoding="utf-8"))
    except ValidationError:
        raise TrainingError(
            f"{folder} is a run of another kind of recipe than {recipe.name}; name another folder"
        ) from None
    before, now = _flat(old.deciding()), _flat(recipe.deciding())
    different = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    if different:
        name = different[0]
        raise TrainingError(
            f"{folder} is a run of another recipe: {name} was {before.get(name)!r}, now "
            f"{now.get(name)!r}"
            + (f", and {len(different) - 1} more" if len(different) > 1 else "")
            + "; name another folder"
        )
    if info["data"]["fingerprint"] != manifest.fingerprint():
        raise TrainingError(f"{folder} is a run on other data; name another folder")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state by parameter name: ``optim.PARAMETER.PART``."""
    names: dict[Tensor, str] = {p: n for n, p in model.named_parameters()}
    return {
        f"optim.{names[parameter]}.{part}": value
        for parameter, state in optimizer.state.items()
        for part, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Reverses `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        if name.startswith("optim."):
            parameter_name, _, part = name.removeprefix("optim.").rpartition(".")
            parameter = parameters[parameter_name]
            moved = value if part == "step" else value.to(parameter.device)
            optimizer.state[parameter][part] = moved


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under ``prefix``, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
