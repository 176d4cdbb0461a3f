"""The training loop: stages in order, in a run folder that the same command goes on with."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

import hemline
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing
from hemline.errors import DataError, TrainingError
from hemline.learn import checkpoint
from hemline.learn.model import MODELS, RetrievalModel
from hemline.learn.recipe import Recipe
from hemline.learn.training.batches import PairDataset
from hemline.learn.training.fitting import fit
from hemline.learn.training.images import Pictures, channel_statistics
from hemline.learn.training.lock import locked
from hemline.learn.training.module import Progress, StageTraining, best_name
from hemline.learn.training.rows import Parts, choose
from hemline.learn.training.same import refuse_another
from hemline.learn.training.sampler import Pair, PairSampler
from hemline.learn.training.schedule import begin, planned
from hemline.learn.training.validation import Validation
from hemline.ranking.tags import multi_hot

Say = Callable[[str], None]
Advance = Callable[[int, int], None]
#: What is done → where to tell ``(done, total)`` while it lasts.
ProgressOf = Callable[[str], AbstractContextManager[Advance]]


def _quiet(text: str) -> None:
    return None


@contextmanager
def _still(what: str) -> Iterator[Advance]:
    yield lambda done, total: None


def train(
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    say: Say = _quiet,
    progress: ProgressOf = _still,
    bar: bool = False,
) -> dict[str, Any]:
    """Trains, or goes on training, or says that it is done.

    Args:
        recipe: resolved.
        manifest: with training rows; validation's are carved from them where there are none.
        folder: of the run; a new one, or one of the same recipe and data.
        say: takes lines for people.
        progress: shows how many pictures are read.
        bar: show Lightning's progress bar on standard error.

    Returns:
        What ``run.json`` holds, with ``resumed`` and ``finished``.

    Raises:
        UsageError: a recipe that doesn't fit its model.
        DataError: no pairs, or no picture that can be read.
        TrainingError: the folder holds another run, or the loss is no number any more.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    first = is_first()
    say = say if first else _quiet
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    with locked(folder) if first else _unlocked():
        refuse_another(folder, recipe, manifest)
        last = folder / "checkpoints" / checkpoint.LAST_FILE
        tensors, state = checkpoint.load(last) if last.is_file() else ({}, {})
        place = Progress(**state)
        if place.finished:
            info = json.loads((folder / checkpoint.RUN_FILE).read_text(encoding="utf-8"))
            say(f"the run {folder} is finished; nothing was left to do")
            return {**info, "resumed": True}
        if state:
            say(f"going on after epoch {place.epoch} of stage {place.stage + 1}")
        return _train(recipe, manifest, folder, place, tensors, say, progress, bar, first)


def is_first() -> bool:
    """Whether this is the process that writes and speaks, where several train together."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _train(
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    place: Progress,
    tensors: dict[str, torch.Tensor],
    say: Say,
    progress: ProgressOf,
    bar: bool,
    first: bool,
) -> dict[str, Any]:
    resumed = bool(tensors)
    parts = choose(manifest, recipe.data, recipe.seed)
    if parts.carved:
        say(parts.carved)
    learning = np.concatenate([parts.street, parts.shop])
    vocabulary = manifest.select(learning).tag_vocabulary()
    model = checkpoint.build(recipe, vocabulary)
    if recipe.start is not None and not resumed:
        count = checkpoint.take_over(model, Path(recipe.start))
        say(f"{count} of {len(model.state_dict())} tensors start from the run {recipe.start}")
    plan = planned(model.stages(), recipe.stages)
    pictures, whole, shown = _pictures(recipe, manifest, model.preprocessing)
    with progress("Reading training pictures") as advance:
        pictures.fill(learning.tolist(), advance)
    if whole is not None:
        with progress("Reading them uncut") as advance:
            whole.fill(learning.tolist(), advance)
    model.preprocessing = _preprocessing(recipe, model.preprocessing, pictures, parts)
    _tell_skipped(pictures, learning.tolist(), say)
    items = np.unique(manifest.column("item_id").astype(str), return_inverse=True)[1].astype(
        np.int64
    )
    tags = multi_hot(manifest.column("tags"), vocabulary)
    with progress("Reading validation pictures") as advance:
        shown.fill([*parts.queries.tolist(), *parts.gallery.tolist()], advance)
    model.expect_items(torch.from_numpy(items[learning]))
    validation = Validation(shown, parts, items, tags, model.preprocessing, vocabulary)
    if not len(validation.queries):
        raise DataError("no picture of the validation split can be read")
    info = _info(recipe, manifest, parts, model, vocabulary, [stage.name for stage, _ in plan])
    if first:
        checkpoint.write_json(folder / checkpoint.RECIPE_FILE, recipe.resolved())
        checkpoint.write_json(folder / checkpoint.RUN_FILE, info)
    say(
        f"{recipe.name}: {len(parts.street)} photos of {info['data']['train_items']} items "
        f"train {recipe.model.name}; {len(validation.queries)} photos validate against "
        f"{len(validation.gallery)} shop pictures"
    )

    def dataset(batches: list[list[Pair]]) -> PairDataset:
        return PairDataset(
            batches,
            pictures,
            items,
            tags,
            model.preprocessing,
            recipe.data.augment,
            "landmarks" in MODELS[recipe.model.name].needs,
            whole,
        )

    def batches(stage: int, epoch: int, rank: int, world: int) -> list[list[Pair]]:
        sampler = PairSampler(
            items,
            parts.street,
            parts.shop,
            recipe.batch_size,
            by=recipe.data.epoch,
            repeats=recipe.data.repeats,
            seed=recipe.seed,
            rank=rank,
            world=world,
        )
        return sampler.epoch(stage, epoch)

    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if place.done:
        place.stage, place.epoch, place.done, tensors = place.stage + 1, 0, False, {}
    while place.stage < len(plan):
        stage, change = plan[place.stage]
        if tensors:
            checkpoint.restore(model, tensors)
        elif place.stage:
            before = best_name(place.stage - 1, plan[place.stage - 1][0].name)
            checkpoint.restore(model, checkpoint.load(folder / "checkpoints" / before)[0])
        begin(model, stage, change)
        module = StageTraining(
            model, stage, change, recipe, batches, dataset, validation, folder, place, tensors, say
        )
        if stage.fits and not tensors:
            with progress("Fitting to training pictures") as advance:
                fit(model, shown, parts, items, tags, _device(recipe), advance)
            module.fitted(_device(recipe))
        try:
            if not place.done:
                _trainer(recipe, stage.epochs - place.epoch, change.clip, folder, bar).fit(module)
        except SystemExit:  # Lightning's answer to an interrupt
            raise KeyboardInterrupt from None
        if not place.done:
            raise KeyboardInterrupt
        tensors = {}
        if place.stage == len(plan) - 1:
            break
        place.stage, place.epoch, place.done = place.stage + 1, 0, False
    place.finished = True
    best = folder / "checkpoints" / best_name(place.stage, plan[place.stage][0].name)
    _, state = checkpoint.load(best)
    info = {**info, "finished": True, "best": state, "epochs": len(place.history)}
    if first:
        checkpoint.write_json(folder / checkpoint.RUN_FILE, info)
        kept, _ = checkpoint.load(folder / "checkpoints" / checkpoint.LAST_FILE)
        checkpoint.save(folder / "checkpoints" / checkpoint.LAST_FILE, kept, place.state())
    return {**info, "resumed": resumed}


def _device(recipe: Recipe) -> torch.device:
    """Where the recipe computes; raises TrainingError if it wants what isn't there."""
    on_gpu = torch.cuda.is_available() and recipe.accelerator != "cpu"
    if recipe.accelerator == "gpu" and not on_gpu:
        raise TrainingError(
            "the recipe wants a GPU and there is none; accelerator=auto takes the CPU"
        )
    return torch.device("cuda" if on_gpu else "cpu")


def _trainer(
    recipe: Recipe, epochs: int, clip: float, folder: Path, bar: bool
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    on_gpu = torch.cuda.is_available() and recipe.accelerator != "cpu"
    if recipe.accelerator == "gpu" and not on_gpu:
        raise TrainingError(
            "the recipe wants a GPU and there is none; accelerator=auto takes a CPU"
        )
    precision: Any = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}.get(
        recipe.precision,
        "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true",
    )
    devices = recipe.devices or (torch.cuda.device_count() if on_gpu else 1)
    logger: Any = False
    if recipe.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        logger = TensorBoardLogger(str(folder), name="tensorboard", version="")
    return lightning.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=devices,
        strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
        precision=precision,
        max_epochs=epochs,
        gradient_clip_val=clip or None,
        logger=logger,
        callbacks=[_Bar()] if bar else [],
        enable_progress_bar=bar,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=str(folder),
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


def _pictures(
    recipe: Recipe, manifest: Manifest, spec: Preprocessing
) -> tuple[Pictures, Pictures | None, Pictures]:
    """Of training, the same uncut where either is taken, and of validation; those of training a
    quarter larger where crops are cut from them."""
    augment, cut = recipe.data.augment, recipe.data.crop
    size = -(-spec.size * 5 // 4) if augment.crop < 1 or augment.perspective else spec.size
    room = recipe.data.cache_mb // (2 if cut == "either" else 1)
    learning = Pictures(manifest, spec, boxes=cut != "none", size=size, cache_mb=room)
    whole = None
    if cut == "either":
        whole = Pictures(manifest, spec, boxes=False, size=size, cache_mb=room)
    shown = whole or learning
    if size != spec.size:
        shown = Pictures(manifest, spec, boxes=cut == "box", cache_mb=room)
    return learning, whole, shown


def _preprocessing(
    recipe: Recipe, spec: Preprocessing, pictures: Pictures, parts: Parts
) -> Preprocessing:
    chosen = recipe.data.normalisation
    if chosen == "model":
        return spec
    if chosen == "computed":
        street = channel_statistics(pictures, parts.street.tolist())
        shop = channel_statistics(pictures, parts.shop.tolist())
        values: dict[str, Any] = {
            "street_mean": street[0],
            "street_std": street[1],
            "shop_mean": shop[0],
            "shop_std": shop[1],
        }
    else:
        values = chosen.model_dump()
    return spec.model_copy(update=values)


def _tell_skipped(pictures: Pictures, rows: list[int], say: Say) -> None:
    if pictures.skipped:
        row, why = next(iter(sorted(pictures.skipped.items())))
        say(f"{len(pictures.skipped)} pictures can't be used and are left out; row {row}: {why}")
    if len(pictures.skipped) == len(set(rows)):
        raise DataError("none of the training pictures can be read")


def _info(
    recipe: Recipe,
    manifest: Manifest,
    parts: Parts,
    model: RetrievalModel,
    vocabulary: tuple[str, ...],
    stages: list[str],
) -> dict[str, Any]:
    items = manifest.column("item_id")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "model": recipe.model.name,
        "stages": stages,
        "vocabulary": list(vocabulary),
        "preprocessing": model.preprocessing.model_dump(mode="json"),
        "data": {
            "fingerprint": manifest.fingerprint(),
            "train_photos": len(parts.street),
            "train_shop": len(parts.shop),
            "train_items": len(np.unique(items[parts.street])),
            "validation_photos": len(parts.queries),
            "validation_items": len(np.unique(items[parts.queries])),
            "validation_gallery": len(parts.gallery),
            "carved": parts.carved,
        },
        "versions": {
            "hemline": hemline.__version__,
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": {"device": device, "cpus": os.cpu_count(), "threads": torch.get_num_threads()},
        "finished": False,
    }


@contextmanager
def _unlocked() -> Iterator[None]:
    yield
