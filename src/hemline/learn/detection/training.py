"""The detector's training loop: a run folder like any other, which the same command goes on with.

Every draw is a function of (seed, step), so a training that was killed goes on with the same
numbers from its last checkpoint.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import hemline
from hemline.data.manifest import Manifest
from hemline.errors import DataError, TrainingError
from hemline.learn import checkpoint
from hemline.learn.detection.losses import Losses, Marked, goals, losses
from hemline.learn.detection.network import STRIDE, Outputs
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.detection.runs import BEST, build, load_detector
from hemline.learn.detection.samples import DetectionPictures, Picture, collate, pictures_of
from hemline.learn.training.lock import locked
from hemline.learn.training.same import refuse_another

Say = Callable[[str], None]
ProgressOf = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def _quiet(text: str) -> None:
    return None


@contextmanager
def _still(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def train_detector(
    recipe: DetectorRecipe,
    manifest: Manifest,
    folder: Path,
    *,
    say: Say = _quiet,
    progress: ProgressOf = _still,
) -> dict[str, Any]:
    """Trains, or goes on training, or says that it is done.

    Args:
        recipe: resolved.
        manifest: with rows of both splits that say where garments are.
        folder: of the run; a new one, or one of the same recipe and data.
        say: takes lines for people.
        progress: shows how many steps are done.

    Returns:
        What ``run.json`` holds, with ``resumed`` and ``finished``.

    Raises:
        DataError: no rows of a split, or rows that don't say where a garment is.
        TrainingError: the folder holds another run, or the loss is no number any more.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    with locked(folder):
        refuse_another(folder, recipe, manifest)
        if (folder / checkpoint.RUN_FILE).is_file():
            info = json.loads((folder / checkpoint.RUN_FILE).read_text(encoding="utf-8"))
            if info["finished"]:
                say(f"the run {folder} is finished; nothing was left to do")
                return {**info, "resumed": True}
        return _Training(recipe, manifest, folder, say).run(progress)


def _rows(manifest: Manifest, split: str) -> list[Picture]:
    rows = np.flatnonzero(np.asarray(manifest.column("split"), dtype=np.str_) == split)
    if not len(rows):
        raise DataError(
            f"no row of the manifest has the split {split!r}; a detector needs rows of 'train' "
            "and of 'val'"
        )
    return pictures_of(manifest, rows.tolist())


class _Training:
    """One run: its network, its moving average, its optimiser and its place."""

    def __init__(self, recipe: DetectorRecipe, manifest: Manifest, folder: Path, say: Say) -> None:
        self.recipe, self.folder, self.say = recipe, folder, say
        self.learning = _rows(manifest, recipe.data.train)
        shown = _rows(manifest, recipe.data.val)
        some = np.linspace(0, len(shown) - 1, min(recipe.data.validation, len(shown)))
        self.shown = [shown[int(k)] for k in some.round()]
        on_gpu = torch.cuda.is_available() and recipe.accelerator != "cpu"
        if recipe.accelerator == "gpu" and not on_gpu:
            raise TrainingError("the recipe wants a GPU and there is none; accelerator=auto")
        self.device = torch.device("cuda" if on_gpu else "cpu")
        self.network = build(recipe).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        named = recipe.detector.weights
        if recipe.start is not None:
            self._start(Path(recipe.start))
        elif named is not None and self.network.started_from is None:
            say(f"there are no weights {named}: the detector starts from chance")
        self.average = {n: t.detach().clone() for n, t in self.network.state_dict().items()}
        self.optimizer = self._optimizer()
        self.step, self.best, self.seconds = 0, math.inf, 0.0
        self.history: list[dict[str, float]] = []
        self.info = self._info(manifest)
        last = folder / "checkpoints" / checkpoint.LAST_FILE
        self.resumed = last.is_file()
        if self.resumed:
            self._restore(last)

    def _start(self, folder: Path) -> None:
        """Takes over the weights of another run."""
        before = load_detector(folder)
        try:
            self.network.load_state_dict(before.network.state_dict())
        except RuntimeError as error:
            line = " ".join(str(error).split())
            raise TrainingError(
                f"the run {folder} doesn't fit this detector: {line[:200]}"
            ) from None
        self.network.started_from = before.info["started_from"]
        self.say(f"the weights start from the run {folder}")

    def _optimizer(self) -> torch.optim.AdamW:
        recipe = self.recipe
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, value in self.network.named_parameters():
            if value.requires_grad:
                key = (name.startswith("backbone."), value.ndim > 1)
                groups.setdefault(key, []).append(value)
        return torch.optim.AdamW(
            [
                {
                    "params": values,
                    "lr": recipe.lr * (recipe.backbone_lr if backbone else 1.0),
                    "factor": recipe.backbone_lr if backbone else 1.0,
                    "weight_decay": recipe.weight_decay if matrix else 0.0,
                }
                for (backbone, matrix), values in groups.items()
            ],
        )

    def _info(self, manifest: Manifest) -> dict[str, Any]:
        return {
            "model": "detector",
            "data": {
                "fingerprint": manifest.fingerprint(),
                "train_pictures": len(self.learning),
                "validation_pictures": len(self.shown),
                "garments": sum(len(p.garments) for p in self.learning),
            },
            "started_from": self.network.started_from,
            "versions": {
                "hemline": hemline.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "machine": {
                "device": str(self.device),
                "cpus": os.cpu_count(),
                "threads": torch.get_num_threads(),
            },
            "finished": False,
        }

    # -- places and states ---------------------------------------------------------------------

    def _save(self) -> None:
        tensors = {f"model.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"average.{n}": t for n, t in self.average.items()}
        for group, values in enumerate(self.optimizer.param_groups):
            for k, value in enumerate(values["params"]):
                for name, state in self.optimizer.state[value].items():
                    tensors[f"optimizer.{group}.{k}.{name}"] = torch.as_tensor(state)
        state = {
            "step": self.step,
            "best": self.best if math.isfinite(self.best) else None,
            "seconds": self.seconds,
            "history": self.history,
        }
        checkpoint.save(self.folder / "checkpoints" / checkpoint.LAST_FILE, tensors, state)

    def _restore(self, last: Path) -> None:
        tensors, state = checkpoint.load(last)
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]
        self.best = math.inf if state["best"] is None else state["best"]
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        try:
            self.network.load_state_dict(parts["model"])
        except RuntimeError as error:
            raise TrainingError(f"the checkpoint {last} doesn't fit: {error}") from None
        self.average = {n: t.to(self.device) for n, t in parts["average"].items()}
        for name, value in parts["optimizer"].items():
            group, k, key = name.split(".")
            own = self.optimizer.param_groups[int(group)]["params"][int(k)]
            self.optimizer.state[own][key] = value.to(own.device) if value.ndim else value
        self.say(f"going on after step {self.step}")

    # -- steps ---------------------------------------------------------------------------------

    def run(self, progress: ProgressOf) -> dict[str, Any]:
        """Steps until the last, validating and saving between."""
        recipe = self.recipe
        checkpoint.write_json(self.folder / checkpoint.RECIPE_FILE, recipe.resolved())
        checkpoint.write_json(self.folder / checkpoint.RUN_FILE, self.info)
        self.say(
            f"{recipe.name}: {len(self.learning)} pictures with {self.info['data']['garments']} "
            f"garments train the detector, {len(self.shown)} validate"
        )
        with progress("Training the detector") as advance:
            while self.step < recipe.steps:
                stop = min(recipe.steps, (self.step // recipe.check + 1) * recipe.check)
                start = time.monotonic()
                mean = self._stretch(stop, advance)
                self.seconds += time.monotonic() - start
                self._validate(mean)
        tensors, state = checkpoint.load(self.folder / "checkpoints" / BEST)
        checkpoint.save(self.folder / "checkpoints" / BEST, tensors, state)
        best = {"step": state["step"], "figures": state["figures"]}
        self.info |= {"finished": True, "best": best, "seconds": round(self.seconds, 1)}
        checkpoint.write_json(self.folder / checkpoint.RUN_FILE, self.info)
        return {**self.info, "resumed": self.resumed}

    def _views(self, start: int, stop: int) -> list[list[tuple[int, int, int]]]:
        """(picture, side, seed) of each item of the steps from ``start`` to ``stop``."""
        recipe, count = self.recipe, len(self.learning)
        final = recipe.detector.heads.preprocessing.size
        batches = []
        for step in range(start, stop):
            rng = np.random.default_rng((recipe.seed, 1, step))
            sizes = recipe.data.sizes if step < (1 - recipe.data.settle) * recipe.steps else ()
            side = int(rng.choice(sizes)) if sizes else final
            first = step * recipe.batch_size
            batch = []
            for k in range(first, first + recipe.batch_size):
                order = np.random.default_rng((recipe.seed, 2, k // count)).permutation(count)
                batch.append((int(order[k % count]), side, int(rng.integers(1 << 62))))
            batches.append(batch)
        return batches

    def _loader(
        self, pictures: list[Picture], batches: list[list[tuple[int, int, int]]], moves: bool
    ) -> DataLoader[Any]:
        flat = [view for batch in batches for view in batch]
        cuts = np.cumsum([0, *(len(batch) for batch in batches)]).tolist()
        data = DetectionPictures(
            pictures, self.recipe.detector.heads, flat, self.recipe.data.moves if moves else None
        )
        return DataLoader(
            data,
            batch_sampler=[list(range(a, b)) for a, b in itertools.pairwise(cuts)],
            collate_fn=collate,
            num_workers=self.recipe.data.workers,
        )

    def _losses(self, images: Tensor, marked: list[Marked]) -> Losses:
        spec = self.recipe.detector.heads
        images = images.to(self.device, memory_format=torch.channels_last)
        goal = goals(marked, len(spec.layers), images.shape[-1] // STRIDE)
        outputs: Outputs = self.network(images)
        return losses(outputs, type(goal)(*(part.to(self.device) for part in goal)), spec)

    def _stretch(self, stop: int, advance: Callable[[int, int], None]) -> float:
        """Trains until step ``stop``; the mean loss."""
        recipe = self.recipe
        self.network.train()
        total, start = 0.0, self.step
        for images, marked in self._loader(self.learning, self._views(start, stop), True):
            rate = self._rate(self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            loss = self._losses(images, marked).total
            if not math.isfinite(float(loss.detach())):
                raise TrainingError(f"the loss is no number at step {self.step}; try a lower lr")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
            self.optimizer.step()
            self.step += 1
            self._follow()
            total += float(loss.detach())
            advance(self.step, recipe.steps)
        return total / max(stop - start, 1)

    def _rate(self, step: int) -> float:
        recipe = self.recipe
        if step < recipe.warmup:
            return recipe.lr * (step + 1) / recipe.warmup
        done = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))

    def _follow(self) -> None:
        """The moving average takes a step; young, it follows closely."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name].copy_(value)

    def _validate(self, mean: float) -> None:
        """The average's loss on the validation pictures as they are; the best one is kept."""
        own = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        side, size = self.recipe.detector.heads.preprocessing.size, self.recipe.batch_size
        views = [(k, side, 0) for k in range(len(self.shown))]
        batches = [views[k : k + size] for k in range(0, len(views), size)]
        sums, weight = np.zeros(4), 0
        with torch.no_grad():
            for images, marked in self._loader(self.shown, batches, False):
                values = [float(v) for v in self._losses(images, marked)]
                sums += np.array(values) * len(marked)
                weight += len(marked)
        self.network.load_state_dict(own)
        names = ("loss", "score_loss", "box_loss", "kind_loss")
        figures = dict(zip(names, (sums / weight).tolist(), strict=True))
        self.history.append({"step": self.step, "train_loss": mean, **figures})
        if figures["loss"] < self.best:
            self.best = figures["loss"]
            checkpoint.save(
                self.folder / "checkpoints" / BEST,
                {f"model.{name}": value for name, value in self.average.items()},
                {"step": self.step, "figures": figures},
            )
        self._save()
        checkpoint.write_json(self.folder / "history.json", self.history)
        told = ", ".join(f"{n.replace('_', ' ')} {v:.3f}" for n, v in figures.items())
        self.say(f"step {self.step}: training loss {mean:.3f}; validation {told}")
