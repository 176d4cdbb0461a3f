"""One stage of a task as a Lightning module, and the callback that validates and saves it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from hemline.errors import TrainingError
from hemline.learn.training.stages import build_optimizer, set_modes
from hemline.learn.training.state import (
    Progress,
    RunFolder,
    optimizer_tensors,
    restore_optimizer,
    with_prefix,
)
from hemline.learn.training.task import Say, Task


class WeightAverage(ModelEmaV3):
    """timm's exponential moving average of weights and buffers (Polyak and Juditsky, 1992).

    The first steps use a smaller decay, (1 + n) / (10 + n), so that the start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, decay)
        self.requires_grad_(False)

    def get_decay(self, step: int | None = None) -> float:
        """The decay of update ``step``, from 1."""
        return self.decay if step is None else min(self.decay, (1 + step) / (10 + step))


class StageModule(lightning.LightningModule):
    """Trains one stage from ``progress`` on.

    Args:
        task: with the stage begun.
        progress: is updated in place.
        tensors: of ``last.safetensors``, or empty at the start of a stage.
    """

    def __init__(self, task: Task, progress: Progress, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.task, self.progress = task, progress
        self.stage = task.stages[progress.stage]
        self.model = task.model
        self.ema = WeightAverage(task.model, task.recipe.ema) if task.recipe.ema else None
        if not tensors:
            progress.ema_steps = 0
        self.batches: Sequence[Any] = ()
        self.sums: dict[str, Tensor | float] = {}
        self._tensors = tensors

    @property
    def validated(self) -> nn.Module:
        """The weights that are validated and kept: the moving average where there is one."""
        return self.model if self.ema is None else self.ema.module

    def next_epoch(self) -> None:
        """Draws the batches of the current epoch."""
        self.batches = self.task.batches(
            self.progress.stage, self.progress.epoch, self.global_rank, self.trainer.world_size
        )

    # Lightning's hooks, in the order in which they are called

    def setup(self, stage: str) -> None:
        self.next_epoch()

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.model, self.stage)
        schedule = LambdaLR(optimizer, self._lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _lr_factor(self, step: int) -> float:
        # From the progress, not from `step`, which counts from 0 again in a run that is continued.
        share = self.progress.batch / max(len(self.batches), 1)
        return self.stage.lr_factor(self.progress.epoch + share)

    def train_dataloader(self) -> DataLoader[Any]:
        recipe: Any = self.task.recipe
        return DataLoader(
            self.task.dataset(self.batches[self.progress.batch :]),
            batch_size=None,
            num_workers=recipe.data.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator().manual_seed(0),
        )

    def on_train_start(self) -> None:
        restore_optimizer(self.trainer.optimizers[0], self.model, self._tensors)
        if self.ema is not None and (average := with_prefix(self._tensors, "ema.")):
            self.ema.module.load_state_dict(average)

    def on_train_epoch_start(self) -> None:
        progress = self.progress
        set_modes(self.model, self.stage)
        self.sums = dict(progress.sums) if progress.batch else {}
        if progress.batch and "rng" in self._tensors:
            torch.set_rng_state(self._tensors["rng"])
        else:
            # The same in all processes: a loss that draws negatives is one number.
            drawn = (self.task.recipe.seed, progress.stage, progress.epoch, 0)
            torch.manual_seed(hash(drawn) % 2**63)
        self._tensors = {}

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        return None if batch is None else self.task.to_device(batch, device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        if batch is None:
            if self.trainer.world_size > 1:  # the others would wait for this one
                raise TrainingError(
                    "fewer than two pairs of a process's part of a batch can be read; take the "
                    "rows that `hemline data check` names out, or use fewer processes"
                )
            return None
        losses = self.task.loss(batch, self.stage)
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        if self.trainer.progress_bar_callback is not None or self.logger is not None:
            self.log("loss", losses["total"].detach(), prog_bar=True, logger=True)
        return losses["total"]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Called after each step, before callbacks save it."""
        self.progress.batch += 1  # before the schedule reads it
        scheduler.step()
        if self.ema is not None:
            self.progress.ema_steps += 1
            self.ema.update(self.model, self.progress.ema_steps)

    def _mean(self, value: Tensor | float) -> float:
        own = torch.as_tensor(value, device=self.device)
        return float(self.trainer.strategy.reduce(own, reduce_op="mean"))

    def mean_losses(self) -> dict[str, float]:
        """Of the epoch and all processes; raises TrainingError if one isn't finite."""
        losses = {name: self._mean(v) / len(self.batches) for name, v in self.sums.items()}
        if not all(math.isfinite(value) for value in losses.values()):
            raise TrainingError(
                f"the loss is not finite in epoch {self.progress.epoch + 1} of stage "
                f"{self.stage.name}; lower its learning rate: "
                f"stages.{self.stage.name}.lr={self.stage.lr / 10:g}"
            )
        return losses


class Recorder(lightning.Callback):
    """Validates after an epoch, and writes checkpoints and metrics, in the first process only."""

    def __init__(self, folder: RunFolder, say: Say, first: bool) -> None:
        self.folder, self.say, self.first = folder, say, first
        self._began = self._saved = time.monotonic()

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        self._began = self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        minutes = (time.monotonic() - self._saved) / 60
        inside = module.progress.batch < len(module.batches)
        if inside and minutes >= module.task.recipe.checkpoint_minutes:
            module.progress.sums = {name: float(value) for name, value in module.sums.items()}
            self.save(module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        losses = module.mean_losses()
        figures: dict[str, float] = {}
        stage, epoch = module.stage, module.progress.epoch + 1
        if epoch % stage.validate_every == 0 or epoch == stage.epochs:
            if self.first:
                figures = module.task.validate(module.validated, module.device, epoch)
            figures = trainer.strategy.broadcast(figures)
        module.progress.epoch, module.progress.batch, module.progress.sums = epoch, 0, {}
        row = {
            "stage": stage.name,
            "epoch": epoch,
            "lr": stage.lr * stage.lr_factor(epoch - 1),
            "seconds": round(time.monotonic() - self._began, 2),
            **{f"loss.{name}": value for name, value in losses.items()},
            **figures,
        }
        self.record(module, row)
        trainer.strategy.barrier()  # the other processes read what the first one wrote
        if module.progress.done:
            trainer.should_stop = True
        else:
            module.next_epoch()
        if module.logger is not None:
            module.log_dict({k: v for k, v in figures.items() if "@" in k}, logger=True)

    def fitted(self, module: StageModule, device: torch.device) -> None:
        """Records what a stage's `fit` gave as epoch 0."""
        self._began = time.monotonic()
        figures = module.task.validate(module.model, device, 0)
        seconds = round(time.monotonic() - self._began, 2)
        row = {"stage": module.stage.name, "epoch": 0, "lr": 0.0, "seconds": seconds, **figures}
        self.record(module, row, save=module.stage.epochs == 0)

    def record(self, module: StageModule, row: dict[str, Any], *, save: bool = True) -> None:
        """Adds an epoch to the history, keeps its weights if they are the best, and saves."""
        task, progress, stage = module.task, module.progress, module.stage
        earlier = [s for r in progress.rows(stage.name) if (s := task.score(r, stage)) is not None]
        score = task.score(row, stage)
        better = score is not None and all(score > other for other in earlier)
        progress.history.append(row)
        progress.done = row["epoch"] >= stage.epochs or _is_over(module)
        if better and self.first:
            best = task.best_file(progress.stage)
            self.folder.save_best(best, module.validated, task.best_state(row))
        if save:
            self.save(module)
        self.say(task.line(row, stage) + (", best so far" if better else ""))

    def save(self, module: StageModule) -> None:
        """Writes ``last.safetensors`` and the metrics."""
        self._saved = time.monotonic()
        if not self.first:
            return
        tensors = {f"model.{name}": value for name, value in module.model.state_dict().items()}
        if not module.progress.done:
            tensors |= optimizer_tensors(module.trainer.optimizers[0], module.model)
            if module.ema is not None:
                average = module.ema.module.state_dict()
                tensors |= {f"ema.{name}": value for name, value in average.items()}
            tensors["rng"] = torch.get_rng_state()
        self.folder.save_last(tensors, module.progress)
        module.task.write_history(self.folder, module.progress.history)


def _is_over(module: StageModule) -> bool:
    """Whether the stage's patience is over."""
    stage, task = module.stage, module.task
    rows = [r for r in module.progress.rows(stage.name) if task.score(r, stage) is not None]
    if not stage.patience or not rows:
        return False
    best = max(rows, key=lambda row: task.score(row, stage) or ())
    return bool(module.progress.epoch - int(best["epoch"]) >= stage.patience)
