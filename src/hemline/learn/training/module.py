"""One stage of training as a Lightning module: batches in, checkpoints and figures out.

Every random draw is a function of (seed, stage, epoch) or lies in the checkpoint, so that a
training which was killed goes on with the same numbers (on the CPU).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hemline.errors import TrainingError
from hemline.learn import checkpoint
from hemline.learn.model import Batch, RetrievalModel, Stage
from hemline.learn.recipe import Recipe, StageRecipe
from hemline.learn.training.batches import PairDataset, RawBatch, to_batch
from hemline.learn.training.ema import WeightMean
from hemline.learn.training.sampler import Pair
from hemline.learn.training.schedule import optimiser, rate, set_modes
from hemline.learn.training.validation import Validation


@dataclass(slots=True)
class Progress:
    """Where a run is: what ``last.safetensors`` keeps beside the tensors.

    Attributes:
        stage: number of the stage in force.
        epoch: epochs of it that are done.
        batch: batches of the next epoch that are done.
        done: the stage is over.
        finished: all stages are.
        history: a row for each epoch: stage, epoch, lr, losses, seconds, validation's figures.
        sums: of the losses over the batches of the epoch under way.
        ema_steps: of the running mean of the weights.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    done: bool = False
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    ema_steps: int = 0

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class StageTraining(lightning.LightningModule):
    """Trains one stage from ``progress`` on.

    Args:
        model: with the stage in force.
        stage, change: what is trained, and how.
        recipe: of the run.
        batches: (stage, epoch, rank, world) → the batches of pairs of one process.
        dataset: batches of pairs → a data set of raw batches.
        validation: run after an epoch.
        folder: of the run.
        progress: is moved on.
        resumed: tensors of ``last.safetensors``, or empty at the start of a stage.
        say: takes one line about each epoch.
    """

    def __init__(
        self,
        model: RetrievalModel,
        stage: Stage,
        change: StageRecipe,
        recipe: Recipe,
        batches: Callable[[int, int, int, int], list[list[Pair]]],
        dataset: Callable[[list[list[Pair]]], PairDataset],
        validation: Validation,
        folder: Path,
        progress: Progress,
        resumed: dict[str, Tensor],
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.model = model
        self.stage, self.change, self.recipe = stage, change, recipe
        self.batches, self.dataset, self.validation = batches, dataset, validation
        self.folder, self.place, self.resumed, self.say = folder, progress, resumed, say
        self.ema = WeightMean(model, recipe.ema) if recipe.ema else None
        self.count = 1
        self._sums: dict[str, Tensor | float] = {}
        self._began = self._saved = time.monotonic()

    def fitted(self, device: torch.device) -> None:
        """Validates and keeps what the stage's `fit` gave, as epoch 0."""
        self._began = time.monotonic()
        self.model.to(device)
        if self.ema is not None:
            self.ema = WeightMean(self.model, self.recipe.ema)
        figures = self.validation(self.model, device, self.model.reranks)
        seconds = round(time.monotonic() - self._began, 2)
        row = {"stage": self.stage.name, "epoch": 0, "lr": 0.0, "seconds": seconds, **figures}
        self.place.history.append(row)
        self.place.done = self.stage.epochs == 0
        self._save_best(row)
        if self.place.done:
            self.save()
        self.say(_line(row, self.stage.epochs, True))

    # ---- Lightning's hooks, in the order in which they are called

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser(self.model, self.stage, self.change)

    def train_dataloader(self) -> DataLoader[RawBatch | None]:
        batches = self.batches(
            self.place.stage, self.place.epoch, self.global_rank, self.trainer.world_size
        )
        self.count = len(batches)
        return DataLoader(
            self.dataset(batches[self.place.batch :]),
            batch_size=None,
            num_workers=self.recipe.data.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator().manual_seed(0),
        )

    def on_train_start(self) -> None:
        if not self.resumed:
            return
        names = {p: n for n, p in self.model.named_parameters()}
        used = self.trainer.optimizers[0]
        for group in used.param_groups:
            for parameter in group["params"]:
                prefix = f"optim.{names[parameter]}."
                found = {
                    k[len(prefix) :]: v for k, v in self.resumed.items() if k.startswith(prefix)
                }
                if found:
                    used.state[parameter] = {
                        k: v if k == "step" else v.to(parameter.device) for k, v in found.items()
                    }
        if self.ema is not None:
            mean = {k[4:]: v for k, v in self.resumed.items() if k.startswith("ema.")}
            if mean:
                self.ema.load(mean, self.place.ema_steps)

    def on_train_epoch_start(self) -> None:
        place = self.place
        set_modes(self.model, self.change)
        self._began = self._saved = time.monotonic()
        self._sums = dict(place.sums) if place.batch else {}
        if place.batch and "rng" in self.resumed:
            torch.set_rng_state(self.resumed["rng"])
        else:
            torch.manual_seed(
                hash((self.recipe.seed, place.stage, place.epoch, self.global_rank)) % 2**63
            )
        self.resumed = {}

    def transfer_batch_to_device(
        self, batch: RawBatch | None, device: torch.device, dataloader_idx: int
    ) -> Batch | None:
        if batch is None:
            return None
        return to_batch(batch, self.model.preprocessing, device, self.recipe.channels_last)

    def on_train_batch_start(self, batch: Batch | None, batch_idx: int) -> int | None:
        moment = self.place.epoch + self.place.batch / max(self.count, 1)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate(self.stage, self.change, moment) * group["scale"]
        return None

    def training_step(self, batch: Batch | None, batch_idx: int) -> Tensor | None:
        if batch is None:
            return None
        losses = self.model.loss(batch, self.stage)
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        self.log("loss", losses["total"].detach(), prog_bar=True, logger=True)
        return losses["total"]

    def on_train_batch_end(self, outputs: Any, batch: Batch | None, batch_idx: int) -> None:
        if self.ema is not None:
            self.ema.update(self.model)
        self.place.batch += 1
        minutes = (time.monotonic() - self._saved) / 60
        if minutes >= self.recipe.checkpoint_minutes and self.place.batch < self.count:
            self.save()

    def on_train_epoch_end(self) -> None:
        place = self.place
        losses = {name: float(value) / self.count for name, value in self._sums.items()}
        if not all(torch.isfinite(torch.tensor(value)) for value in losses.values()):
            raise TrainingError(
                f"the loss is no number any more in epoch {place.epoch + 1} of stage "
                f"{self.stage.name}; lower its learning rate: "
                f"stages.{self.stage.name}.lr={self.stage.lr / 10:g}"
            )
        figures = self._validate(place.epoch + 1)
        row: dict[str, Any] = {
            "stage": self.stage.name,
            "epoch": place.epoch + 1,
            "lr": rate(self.stage, self.change, place.epoch),
            "seconds": round(time.monotonic() - self._began, 2),
            **{f"loss.{name}": value for name, value in losses.items()},
            **figures,
        }
        better = bool(figures) and key(row, self.recipe, self.stage) > max(
            (key(r, self.recipe, self.stage) for r in self._own_rows()),
            default=(-math.inf, -math.inf),
        )
        place.history.append(row)
        place.epoch += 1
        place.batch, place.sums = 0, {}
        place.done = place.epoch >= self.stage.epochs or self._patience_is_over()
        if better:
            self._save_best(row)
        self.save()
        self.trainer.strategy.barrier()  # what the first process wrote is there for all
        if place.done:
            self.trainer.should_stop = True
        self.say(_line(row, self.stage.epochs, better))
        if self.logger is not None:
            self.log_dict({k: v for k, v in figures.items() if "@" in k}, logger=True)

    # ---- ours

    def save(self) -> None:
        """Writes ``last.safetensors`` and ``metrics.csv``, in the first process only."""
        self._saved = time.monotonic()
        place = self.place
        if self.ema is not None:
            place.ema_steps = self.ema.steps
        if place.batch:
            place.sums = {name: float(value) for name, value in self._sums.items()}
        if self.global_rank:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        names: dict[Tensor, str] = {p: n for n, p in self.model.named_parameters()}
        if not place.done:
            for parameter, state in self.trainer.optimizers[0].state.items():
                for part, value in state.items():
                    if isinstance(value, Tensor):
                        tensors[f"optim.{names[parameter]}.{part}"] = value
            if self.ema is not None:
                tensors |= {f"ema.{name}": value for name, value in self.ema.mean.items()}
            tensors["rng"] = torch.get_rng_state()
        checkpoint.save(self.folder / "checkpoints" / checkpoint.LAST_FILE, tensors, place.state())
        write_metrics(self.folder / checkpoint.METRICS_FILE, place.history)

    def _validate(self, epoch: int) -> dict[str, float]:
        early = self.recipe.early_stop
        if epoch % early.every and epoch < self.stage.epochs:
            return {}
        figures: dict[str, float] = {}
        if self.global_rank == 0:
            if self.ema is not None:
                with self.ema.applied(self.model):
                    figures = self.validation(self.model, self.device, self.model.reranks)
            else:
                figures = self.validation(self.model, self.device, self.model.reranks)
        figures = self.trainer.strategy.broadcast(figures)
        return figures

    def _save_best(self, row: dict[str, Any]) -> None:
        if self.global_rank:
            return
        state = self.ema.mean if self.ema is not None else self.model.state_dict()
        checkpoint.save(
            self.folder / "checkpoints" / best_name(self.place.stage, self.stage.name),
            {f"model.{name}": value for name, value in state.items()},
            {"stage": self.stage.name, "epoch": row["epoch"], "figures": row},
        )

    def _own_rows(self) -> list[dict[str, Any]]:
        return [
            row
            for row in self.place.history
            if row["stage"] == self.stage.name and self.recipe.early_stop.metric in row
        ]

    def _patience_is_over(self) -> bool:
        patience, rows = self.recipe.early_stop.patience, self._own_rows()
        if not patience or not rows:
            return False
        best = max(rows, key=lambda row: key(row, self.recipe, self.stage))
        return self.place.epoch - int(best["epoch"]) >= patience


def key(row: dict[str, Any], recipe: Recipe, stage: Stage) -> tuple[float, float]:
    """What a better epoch has more of: the stage's own figure where there is one, else the
    recipe's."""
    metric = stage.metric if stage.metric in row else recipe.early_stop.metric
    sign = -1.0 if metric.endswith("error") else 1.0
    return sign * float(row[metric]), float(row["mrr"])


def best_name(number: int, stage: str) -> str:
    """File of a stage's best checkpoint: ``1-YNet-best.safetensors``."""
    return f"{number + 1}-{stage}-{checkpoint.BEST_FILE}"


def write_metrics(path: Path, history: list[dict[str, Any]]) -> None:
    """CSV, a line for each epoch, in one step."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    lines = [",".join(columns)]
    lines += [",".join(str(row.get(name, "")) for name in columns) for row in history]
    checkpoint.write_bytes(path, ("\n".join(lines) + "\n").encode())


def _line(row: dict[str, Any], epochs: int, better: bool) -> str:
    names = ("recall@1", "recall@5", "recall@20", "attribute_map", "landmark_error")
    shown = [f"{name} {row[name]:.3f}" for name in names if name in row]
    loss = [f"loss {row['loss.total']:.4f}"] if "loss.total" in row else ["fitted"]
    words = [f"{row['stage']} {row['epoch']}/{epochs}", *loss, *shown]
    return ", ".join(words) + f", {row['seconds']:.0f} s" + (", best so far" if better else "")
