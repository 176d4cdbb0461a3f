"""The detection task; an epoch of the training engine is a stretch of ``check`` steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hemline.data.garments import AnnotatedImage, annotated_images
from hemline.data.manifest import Manifest
from hemline.errors import DataError
from hemline.learn import checkpoint
from hemline.learn.detection.losses import Annotations, GridTargets, grid_targets, losses
from hemline.learn.detection.network import STRIDE, DetectorNetwork
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.detection.runs import BEST, build, is_detector_run, load_detector
from hemline.learn.detection.samples import DetectionDataset, collate
from hemline.learn.detection.starting import is_bundle, start_from_bundle
from hemline.learn.training.stages import ResolvedStage
from hemline.learn.training.state import Progress, RunFolder
from hemline.learn.training.task import Say, Task

#: (index of the image, side in pixels, seed) of one training image.
View = tuple[int, int, int]
#: Images that give the statistics of a bundle's folded normalisation.
_CALIBRATING = 64
_LOSSES = ("loss", "score_loss", "box_loss", "kind_loss")


class DetectionBatch(NamedTuple):
    """images (B, 3, S, S) and the targets of their grid."""

    images: Tensor
    targets: GridTargets


class _Batches(Dataset[tuple[Tensor, list[Annotations]]]):
    """One item per batch of views."""

    def __init__(self, images: DetectionDataset, sizes: Sequence[int]) -> None:
        self.images = images
        self.ends = np.cumsum([0, *sizes]).tolist()

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, number: int) -> tuple[Tensor, list[Annotations]]:
        return collate([self.images[k] for k in range(*self.ends[number : number + 2])])


class DetectionTask(Task):
    """Trains a `DetectorNetwork` by a `DetectorRecipe`.

    Args:
        manifest: with rows of both splits that say where garments are.

    Raises:
        DataError: no rows of a split, or rows that don't say where a garment is.
        TrainingError: the run or bundle to start from has another network, or is neither.
    """

    def __init__(self, recipe: DetectorRecipe, manifest: Manifest, say: Say) -> None:
        self.recipe: DetectorRecipe = recipe
        missing = [name for name in recipe.data.repeats if name not in manifest.names]
        if missing:
            say(f"the manifest has no column {missing[0]!r}: data.repeats changes nothing")
        self.train = _images(manifest, recipe.data.train, recipe.data.repeats)
        every = _images(manifest, recipe.data.val)
        some = np.linspace(0, len(every) - 1, min(recipe.data.validation, len(every)))
        self.shown = [every[int(k)] for k in some.round()]
        network = build(recipe)
        if recipe.start is not None:
            self._start(network, recipe.start, say)
        elif recipe.detector.weights is not None and network.started_from is None:
            say(
                f"there are no weights {recipe.detector.weights}: the detector starts from "
                "random weights. Name a file by detector.weights=FILE (model.safetensors of the "
                "network's page on the Hugging Face hub, timm/NAME)"
            )
        self.model = network
        self.stages = [_stage(recipe)]
        images = {image.path: image for image in self.train}.values()
        garments = sum(len(image.garments) for image in images)
        self.info = {
            "model": "detector",
            "data": {
                "fingerprint": manifest.fingerprint(),
                "train_pictures": len(images),
                "validation_pictures": len(self.shown),
                "garments": garments,
            },
            "started_from": network.started_from,
        }
        say(
            f"{recipe.name}: {len(images)} images with {garments} garments train the "
            f"detector, {len(self.shown)} validate"
        )

    def _start(self, network: DetectorNetwork, start: str, say: Say) -> None:
        """Takes over the weights of a run or of a bundle's detector."""
        if is_detector_run(Path(start)) or not is_bundle(start):
            before = load_detector(Path(start))
            checkpoint.restore(network, before.network.state_dict(), "")
            network.started_from = before.info["started_from"]
            say(f"the weights start from the run {start}")
            return
        side = self.recipe.detector.heads.preprocessing.size
        views = [(k, side, 0) for k in range(min(_CALIBRATING, len(self.shown)))]
        (images, _) = self._dataset(self.shown, [views], moves=False)[0]
        network.started_from = start_from_bundle(network, start, images)
        say(f"the weights start from {network.started_from}")

    def batches(self, stage: int, epoch: int, rank: int, world: int) -> list[list[View]]:
        """Each step's views are a function of (seed, step)."""
        start = epoch * self.recipe.check
        stop = min(start + self.recipe.check, self.recipe.steps)
        views = [self._views(step) for step in range(start, stop)]
        return views[: len(views) - len(views) % world][rank::world]

    def _views(self, step: int) -> list[View]:
        recipe, count = self.recipe, len(self.train)
        rng = np.random.default_rng((recipe.seed, 1, step))
        sizes = recipe.data.sizes if step < (1 - recipe.data.settle) * recipe.steps else ()
        side = int(rng.choice(sizes)) if sizes else recipe.detector.heads.preprocessing.size
        views = []
        for k in range(step * recipe.batch_size, (step + 1) * recipe.batch_size):
            order = np.random.default_rng((recipe.seed, 2, k // count)).permutation(count)
            views.append((int(order[k % count]), side, int(rng.integers(1 << 62))))
        return views

    def dataset(self, batches: Sequence[list[View]]) -> _Batches:
        return self._dataset(self.train, batches, moves=True)

    def _dataset(
        self, images: list[AnnotatedImage], batches: Sequence[list[View]], *, moves: bool
    ) -> _Batches:
        views = [view for batch in batches for view in batch]
        chosen = self.recipe.data.moves if moves else None
        data = DetectionDataset(images, self.recipe.detector.heads, views, chosen)
        return _Batches(data, [len(batch) for batch in batches])

    def to_device(
        self, raw: tuple[Tensor, list[Annotations]], device: torch.device
    ) -> DetectionBatch:
        images, annotations = raw
        layers = len(self.recipe.detector.heads.layers)
        targets = grid_targets(annotations, layers, images.shape[-1] // STRIDE)
        return DetectionBatch(
            images.to(device, memory_format=torch.channels_last),
            GridTargets(*(part.to(device) for part in targets)),
        )

    def loss(self, batch: DetectionBatch, stage: ResolvedStage) -> dict[str, Tensor]:
        return self._losses(self.model, batch)

    def _losses(self, model: nn.Module, batch: DetectionBatch) -> dict[str, Tensor]:
        spec = self.recipe.detector.heads
        return losses(model(batch.images), batch.targets, spec)._asdict()

    def validate(self, model: nn.Module, device: torch.device, epoch: int) -> dict[str, float]:
        """Mean losses on the validation images without random changes."""
        side, size = self.recipe.detector.heads.preprocessing.size, self.recipe.batch_size
        views = [(k, side, 0) for k in range(len(self.shown))]
        batches = [views[k : k + size] for k in range(0, len(views), size)]
        data = self._dataset(self.shown, batches, moves=False)
        sums = np.zeros(len(_LOSSES))
        was = model.training
        model.eval()
        with torch.no_grad():
            loader = DataLoader(data, batch_size=None, num_workers=self.recipe.data.workers)
            for batch, raw in zip(batches, loader, strict=True):
                values = self._losses(model, self.to_device(raw, device)).values()
                sums += np.array([float(value) for value in values]) * len(batch)
        model.train(was)
        means = (sums / len(views)).tolist()
        return {"step": self._step(epoch), **dict(zip(_LOSSES, means, strict=True))}

    def _step(self, epoch: int) -> int:
        return min(epoch * self.recipe.check, self.recipe.steps)

    def score(self, row: dict[str, Any], stage: ResolvedStage) -> tuple[float, ...] | None:
        return (-float(row["loss"]),)

    def best_file(self, stage: int) -> str:
        return BEST

    def best_state(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"step": row["step"], "figures": {name: row[name] for name in _LOSSES}}

    def position(self, progress: Progress) -> str:
        return f"step {self._step(progress.epoch) + progress.batch}"

    def line(self, row: dict[str, Any], stage: ResolvedStage) -> str:
        figures = ", ".join(f"{name.replace('_', ' ')} {row[name]:.3f}" for name in _LOSSES)
        return f"step {row['step']}: training loss {row['loss.total']:.3f}; validation {figures}"

    def write_history(self, folder: RunFolder, history: list[dict[str, Any]]) -> None:
        """``metrics.csv``, and ``history.json`` with the steps and losses."""
        super().write_history(folder, history)
        kept = [
            {
                "step": row["step"],
                "train_loss": row["loss.total"],
                **self.best_state(row)["figures"],
            }
            for row in history
        ]
        checkpoint.write_json(folder.path / "history.json", kept)


def _stage(recipe: DetectorRecipe) -> ResolvedStage:
    """The recipe as one stage whose epochs have ``check`` steps."""
    return ResolvedStage(
        name="Detector",
        trains=("",),
        epochs=recipe.checks,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        optimizer="adamw",
        schedule="cosine",
        warmup=recipe.warmup / recipe.check,
        clip=recipe.clip,
        lr_scale={"backbone": recipe.backbone_lr},
    )


def _images(
    manifest: Manifest, split: str, repeats: Mapping[str, Mapping[str, int]] = MappingProxyType({})
) -> list[AnnotatedImage]:
    """The images of a split; as often as ``repeats`` says (column → value → times)."""
    rows = np.flatnonzero(np.asarray(manifest.column("split"), dtype=np.str_) == split)
    if not len(rows):
        raise DataError(
            f"no row of the manifest has the split {split!r}; a detector needs rows of 'train' "
            "and of 'val'"
        )
    images = annotated_images(manifest, rows.tolist())
    times: dict[Path, int] = {}
    for column, values in repeats.items():
        if column not in manifest.names:
            continue
        named = np.asarray(manifest.column(column), dtype=np.str_)[rows]
        for row, value in zip(rows.tolist(), named.tolist(), strict=True):
            times[manifest.file(row)] = values.get(value, 1)
    return [image for image in images for _ in range(times.get(image.path, 1))]
