"""The training engine: runs the stages of a task in a run folder and continues interrupted runs."""

from __future__ import annotations

import logging
import os
import platform
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from torch import Tensor

import hemline
from hemline.data.manifest import Manifest
from hemline.errors import TrainingError
from hemline.files import file_lock
from hemline.learn import checkpoint
from hemline.learn.training.depthwise import keep_float32
from hemline.learn.training.settings import RunSettings
from hemline.learn.training.stage_module import Recorder, StageModule
from hemline.learn.training.stages import ResolvedStage
from hemline.learn.training.state import Progress, RunFolder, refuse_another
from hemline.learn.training.task import Say, Task, silent


def run(
    recipe: RunSettings,
    manifest: Manifest,
    folder: Path,
    prepare: Callable[[bool, Say], Task],
    *,
    say: Say = silent,
    bar: bool = False,
) -> dict[str, Any]:
    """Trains, continues a run, or reports that it is finished.

    Args:
        recipe: resolved.
        manifest: of the images.
        folder: of the run: a new one, or one of the same recipe and data.
        prepare: (whether the run is continued, where to report) → the task; called after the
            folder was checked.
        say: takes lines for people.
        bar: show Lightning's progress bar on standard error.

    Returns:
        The content of ``run.json``, with the ``recipe``'s name and whether it was ``resumed``.

    Raises:
        TrainingError: the folder holds another run, or the loss is not finite.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    first = is_first()
    say = say if first else silent
    files = RunFolder(folder)
    files.checkpoints.mkdir(parents=True, exist_ok=True)
    busy = TrainingError(f"another process is training in {folder}; wait for it or end it")
    with file_lock(folder / ".lock", busy) if first else nullcontext():
        refuse_another(folder, recipe, manifest)
        info = files.info()
        if info is not None and info["finished"]:
            say(f"the run {folder} is finished; nothing was left to do")
            return {**info, "recipe": recipe.name, "resumed": True}
        progress, tensors = files.read()
        resumed = bool(tensors)
        task = prepare(resumed, say)
        if resumed:
            say(f"continuing after {task.position(progress)}")
        info = {**task.info, **_circumstances(task.stages), "finished": False}
        if first:
            task.write_record(folder)
            files.begin(recipe.resolved(), info)
        if recipe.channels_last:
            task.model = task.model.to(memory_format=torch.channels_last)
        if recipe.precision == "bfloat16" and device_of(recipe).type == "cpu":
            keep_float32(task.model)
        _run_stages(task, files, progress, tensors, Recorder(files, say, first), bar)
        _, best = files.load_best(task.best_file(progress.stage))
        seconds = round(sum(row["seconds"] for row in progress.history), 1)
        epochs = len(progress.history)
        info |= {"finished": True, "best": best, "epochs": epochs, "seconds": seconds}
        if first:
            files.write_info(info)
        return {**info, "recipe": recipe.name, "resumed": resumed}


def _run_stages(
    task: Task,
    files: RunFolder,
    progress: Progress,
    tensors: dict[str, Tensor],
    recorder: Recorder,
    bar: bool,
) -> None:
    for number in range(progress.stage, len(task.stages)):
        if number > progress.stage:
            progress.stage, progress.epoch, progress.done = number, 0, False
        if not progress.done:
            _run_stage(task, files, progress, tensors, recorder, bar)
        tensors = {}


def _run_stage(
    task: Task,
    files: RunFolder,
    progress: Progress,
    tensors: dict[str, Tensor],
    recorder: Recorder,
    bar: bool,
) -> None:
    """Runs the current stage of ``progress``, from ``tensors`` where it was interrupted."""
    stage = task.stages[progress.stage]
    if tensors:
        checkpoint.restore(task.model, tensors)
    elif progress.stage:  # the best epoch of the stage before
        before, _ = files.load_best(task.best_file(progress.stage - 1))
        checkpoint.restore(task.model, before)
    task.begin(stage)
    fits = stage.fits and not tensors
    if fits:
        task.fit(device_of(task.recipe))
    module = StageModule(task, progress, tensors)
    if fits:
        recorder.fitted(module, device_of(task.recipe))
    if progress.done:
        return
    try:
        _trainer(task.recipe, stage, stage.epochs - progress.epoch, recorder, bar).fit(module)
    except SystemExit:  # Lightning's answer to an interrupt
        raise KeyboardInterrupt from None
    if not progress.done:
        raise KeyboardInterrupt


def is_first() -> bool:
    """Whether this process writes and reports, where several train together."""
    if _in_slurm():
        return os.environ.get("SLURM_PROCID", "0") == "0"
    if "RANK" in os.environ:  # torchrun's
        return os.environ["RANK"] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def processes(devices: int) -> tuple[int, int]:
    """Devices of each machine, and machines: those of torchrun or Slurm, or ``devices`` of one."""
    of = os.environ
    if "TORCHELASTIC_RUN_ID" in of or {"RANK", "LOCAL_WORLD_SIZE"} <= of.keys():
        here = int(of["LOCAL_WORLD_SIZE"])
        return here, max(1, int(of["WORLD_SIZE"]) // here)
    if _in_slurm():
        nodes = int(of.get("SLURM_NNODES", "1"))
        return max(1, int(of["SLURM_NTASKS"]) // nodes), nodes
    return devices, 1


def _in_slurm() -> bool:
    """Whether srun has started this process; in a shell of Slurm's it hasn't."""
    name = os.environ.get("SLURM_JOB_NAME")
    return "SLURM_NTASKS" in os.environ and name not in ("bash", "interactive")


def device_of(recipe: RunSettings) -> torch.device:
    """The device of the recipe's ``accelerator``; raises TrainingError if it isn't there."""
    on_gpu = torch.cuda.is_available() and recipe.accelerator != "cpu"
    if recipe.accelerator == "gpu" and not on_gpu:
        raise TrainingError(
            "the recipe needs a GPU and there is none; accelerator=auto falls back to the CPU"
        )
    return torch.device("cuda" if on_gpu else "cpu")


def _trainer(
    recipe: RunSettings, stage: ResolvedStage, epochs: int, recorder: Recorder, bar: bool
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    on_gpu = device_of(recipe).type == "cuda"
    precision: Any = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}.get(
        recipe.precision, "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    )
    devices, nodes = processes(recipe.devices or (torch.cuda.device_count() if on_gpu else 1))
    folder = str(recorder.folder.path)
    logger: Any = False
    if recipe.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        logger = TensorBoardLogger(folder, name="tensorboard", version="")
    return lightning.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp_find_unused_parameters_true" if devices * nodes > 1 else "auto",
        precision=precision,
        max_epochs=epochs,
        gradient_clip_val=stage.clip or None,
        logger=logger,
        callbacks=[recorder, *([_Bar()] if bar else [])],
        enable_progress_bar=bar,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=folder,
    )


class _Bar(TQDMProgressBar):
    """Lightning's bar, on standard error."""

    def init_train_tqdm(self) -> Tqdm:
        return Tqdm(
            desc="Training",
            disable=self.is_disabled,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            smoothing=0,
            bar_format=self.BAR_FORMAT,
        )


def _circumstances(stages: Any) -> dict[str, Any]:
    """Content of ``run.json`` besides the task's: stages, versions and machine."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "stages": [stage.name for stage in stages],
        "versions": {
            "hemline": hemline.__version__,
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": {"device": device, "cpus": os.cpu_count(), "threads": torch.get_num_threads()},
    }
