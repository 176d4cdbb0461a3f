"""The retrieval task: pairs of street and shop images, validated by searching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing
from hemline.data.seen import Seen
from hemline.errors import DataError, TrainingError, nearest
from hemline.learn import checkpoint
from hemline.learn.model import MODELS, Batch, RetrievalModel
from hemline.learn.recipe import DataRecipe, Recipe
from hemline.learn.training.batches import PairDataset, RawBatch, to_batch
from hemline.learn.training.fitting import fit
from hemline.learn.training.images import ImageCache, channel_statistics
from hemline.learn.training.known import known_tags
from hemline.learn.training.needs import check_needs
from hemline.learn.training.rows import Rows, choose_rows
from hemline.learn.training.sampler import Pair, PairSampler
from hemline.learn.training.stages import ResolvedStage, begin_stage, resolve_stages
from hemline.learn.training.starts import described, starts_of, with_starts
from hemline.learn.training.task import Say, Task
from hemline.learn.training.validation import Validation
from hemline.progress import ProgressOf
from hemline.ranking.tags import multi_hot
from hemline.types import Image


@dataclass(frozen=True, slots=True)
class _Images:
    """Caches of a manifest's images.

    Attributes:
        train: cropped by the recipe, a quarter larger where augmentation crops them again.
        uncropped: the same without cropping, where the recipe picks either.
        plain: at the model's size, for validation and fitting.
        framed: the same cropped, where the recipe picks either: half of the images are fitted so.
    """

    train: ImageCache
    uncropped: ImageCache | None
    plain: ImageCache
    framed: ImageCache | None

    def __getitem__(self, row: int) -> Image | None:
        """The square that a model is fitted to; the choice between the two is the row's own."""
        framed = self.framed is not None and np.random.default_rng([row, 0xF17]).random() < 0.5
        return self.framed[row] if self.framed is not None and framed else self.plain[row]

    @classmethod
    def of(cls, spec: DataRecipe, manifest: Manifest, preprocessing: Preprocessing) -> _Images:
        zooms = spec.augment.crop < 1 or spec.augment.perspective
        size = -(-preprocessing.size * 5 // 4) if zooms else preprocessing.size
        room_mb = spec.cache_mb // (2 if spec.crop == "either" else 1)

        def cache(boxes: bool, side: int) -> ImageCache:
            return ImageCache(manifest, preprocessing, boxes=boxes, size=side, cache_mb=room_mb)

        train = cache(spec.crop != "none", size)
        uncropped = cache(False, size) if spec.crop == "either" else None
        plain = uncropped or train
        if size != preprocessing.size:
            plain = cache(spec.crop == "box", preprocessing.size)
        framed = cache(True, preprocessing.size) if uncropped is not None else None
        return cls(train, uncropped, plain, framed)


def _times(manifest: Manifest, data: DataRecipe) -> Rows | None:
    """(N,) how often an epoch takes each row, or None where all count alike."""
    if isinstance(data.repeats, int):
        return None
    assert data.batch_by is not None
    values = [str(value) for value in manifest.column(data.batch_by)]
    unknown = sorted(set(data.repeats) - set(values))
    if unknown:
        raise DataError(
            f"data.repeats: no row of the manifest has {unknown[0]!r} in the column "
            f"{data.batch_by!r}. {nearest(unknown[0], set(values))}"
        )
    return np.asarray([data.repeats.get(value, 1) for value in values], np.int64)


def _groups(manifest: Manifest, column: str | None) -> Rows | None:
    """(N,) number of each row's value of a column, or None without one."""
    if column is None:
        return None
    if column not in manifest.names:
        raise DataError(
            f"data.batch_by: the manifest has no column {column!r}. "
            f"{nearest(column, manifest.names)}"
        )
    values = np.asarray([str(value) for value in manifest.column(column)], dtype=np.str_)
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


class RetrievalTask(Task):
    """Trains a `RetrievalModel` by a `Recipe`.

    Args:
        manifest: with training rows; validation's are split off them where there are none.
        resumed: whether a checkpoint follows, so that the recipe's ``start`` isn't read.

    Raises:
        UsageError: a recipe that doesn't fit its model.
        DataError: no pairs, or no image that can be read.
    """

    model: RetrievalModel

    def __init__(
        self, recipe: Recipe, manifest: Manifest, resumed: bool, say: Say, progress: ProgressOf
    ) -> None:
        self.recipe: Recipe = recipe
        self.progress = progress
        self.rows = choose_rows(manifest, recipe.data, recipe.seed)
        if self.rows.validation_split:
            say(self.rows.validation_split)
        train = self.rows.train
        vocabulary = manifest.select(train).tag_vocabulary()
        check_needs(recipe.model.name, recipe.model.config, manifest, train, vocabulary)
        self.model = checkpoint.build(recipe, vocabulary)
        if recipe.start is not None and not resumed:
            count = checkpoint.take_over(self.model, Path(recipe.start))
            total = len(self.model.state_dict())
            say(f"{count} of {total} tensors start from the run {recipe.start}")
        self.stages = resolve_stages(self.model.stages(), recipe.stages, recipe.early_stop)
        self.images = _Images.of(recipe.data, manifest, self.model.preprocessing)
        self._read_images(say)
        self._set_normalisation()
        names = manifest.column("item_id").astype(str)
        self.items = np.unique(names, return_inverse=True)[1].astype(np.int64)
        self.groups = _groups(manifest, recipe.data.batch_by)
        self.times = _times(manifest, recipe.data)
        self.tags = multi_hot(manifest.column("tags"), vocabulary)
        self.known = known_tags(manifest, vocabulary, self.tags)
        self.model.expect_items(torch.from_numpy(self.items[train]))
        self.validation = Validation(
            self.images.plain,
            self.rows,
            self.items,
            self.tags,
            self.model.preprocessing,
            vocabulary,
            known=self.known,
        )
        if not len(self.validation.queries):
            raise DataError("no image of the validation split can be read")
        with progress("Recording what is trained on") as advance:
            seen = Seen.of(manifest, train, self.rows.queries, advance=advance)
        if not any(stage.epochs for stage in self.stages):
            seen = seen.fitted_only()
        starts = starts_of(recipe)
        self.seen = with_starts(seen, starts)
        self.info = self._info(manifest, vocabulary) | described(starts)
        say(f"starts from {self.info['started_from']}")
        say(
            f"{recipe.name}: {len(self.rows.street)} photos of "
            f"{self.info['data']['train_items']} items train {recipe.model.name}; "
            f"{len(self.validation.queries)} photos validate against "
            f"{len(self.validation.gallery)} shop images"
        )

    def _read_images(self, say: Say) -> None:
        """Reads ahead what fits into memory; a run that only fits needs no larger squares."""
        rows = dict.fromkeys(self.rows.train.tolist())
        trained = any(stage.epochs for stage in self.stages)
        first = self.images.train if trained else self.images.plain
        with self.progress("Reading training images") as advance:
            first.fill(rows, advance)
        if self.images.uncropped is not None and trained:
            with self.progress("Reading them uncropped") as advance:
                self.images.uncropped.fill(rows, advance)
        with self.progress("Reading validation images") as advance:
            shown = [*self.rows.queries.tolist(), *self.rows.gallery.tolist()]
            self.images.plain.fill(shown, advance)
        skipped = {row: why for row, why in first.skipped.items() if row in rows}
        if skipped:
            row, why = min(skipped.items())
            say(f"{len(skipped)} images can't be used and are left out; row {row}: {why}")
        if len(skipped) == len(rows):
            raise DataError("none of the training images can be read")

    def _set_normalisation(self) -> None:
        """Sets the model's means and deviations by the recipe."""
        chosen = self.recipe.data.normalisation
        if chosen == "model":
            return
        if chosen == "computed":
            street = channel_statistics(self.images.train, self.rows.street.tolist())
            shop = channel_statistics(self.images.train, self.rows.shop.tolist())
            values: dict[str, Any] = {
                "street_mean": street[0],
                "street_std": street[1],
                "shop_mean": shop[0],
                "shop_std": shop[1],
            }
        else:
            values = chosen.model_dump()
        self.model.preprocessing = self.model.preprocessing.model_copy(update=values)

    def _config(self) -> dict[str, Any]:
        """All settings of the model, so that a later version's defaults don't change it."""
        config = MODELS[self.recipe.model.name].configure(self.recipe.model.config)
        values: dict[str, Any] = config.model_dump(mode="json")
        return values

    def _info(self, manifest: Manifest, vocabulary: Sequence[str]) -> dict[str, Any]:
        items, rows = manifest.column("item_id"), self.rows
        return {
            "model": self.recipe.model.name,
            "model_config": self._config(),
            "vocabulary": list(vocabulary),
            "preprocessing": self.model.preprocessing.model_dump(mode="json"),
            "data": {
                "fingerprint": manifest.fingerprint(),
                "train_photos": len(rows.street),
                "train_shop": len(rows.shop),
                "train_items": len(np.unique(items[rows.street])),
                "validation_photos": len(rows.queries),
                "validation_items": len(np.unique(items[rows.queries])),
                "validation_gallery": len(rows.gallery),
                "validation_split": rows.validation_split,
                "seen": self.seen.described(),
            },
        }

    def write_record(self, folder: Path) -> None:
        self.seen.write(folder)

    def best_state(self, row: dict[str, Any]) -> dict[str, Any]:
        return super().best_state(row) | {"seen": self.seen.digest}

    def begin(self, stage: ResolvedStage) -> None:
        begin_stage(self.model, stage)

    def fit(self, device: torch.device) -> None:
        with self.progress("Fitting to training images") as advance:
            fit(
                self.model,
                self.images,
                self.rows,
                self.items,
                self.tags,
                device,
                advance,
                self.groups,
                channels_last=self.recipe.channels_last,
            )

    def batches(self, stage: int, epoch: int, rank: int, world: int) -> list[list[Pair]]:
        if self.recipe.batch_size < 2 * world:
            raise TrainingError(
                f"batch_size={self.recipe.batch_size} is that of all {world} processes together, "
                f"and each needs two pairs: set it to {2 * world} or more, or use fewer processes"
            )
        repeats = self.recipe.data.repeats
        sampler = PairSampler(
            self.items,
            self.rows.street,
            self.rows.shop,
            self.recipe.batch_size,
            groups=self.groups,
            by=self.recipe.data.epoch,
            repeats=repeats if isinstance(repeats, int) else 1,
            times=self.times,
            seed=self.recipe.seed,
            rank=rank,
            world=world,
        )
        return sampler.epoch(stage, epoch)

    def dataset(self, batches: Sequence[list[Pair]]) -> PairDataset:
        return PairDataset(
            batches,
            self.images.train,
            self.items,
            self.tags,
            self.model.preprocessing,
            self.recipe.data.augment,
            "landmarks" in MODELS[self.recipe.model.name].needs,
            self.images.uncropped,
            self.known,
        )

    def to_device(self, raw: RawBatch, device: torch.device) -> Batch:
        return to_batch(raw, self.model.preprocessing, device, self.recipe.channels_last)

    def loss(self, batch: Batch, stage: ResolvedStage) -> dict[str, Tensor]:
        return self.model.loss(batch, stage)

    def validate(self, model: nn.Module, device: torch.device, epoch: int) -> dict[str, float]:
        assert isinstance(model, RetrievalModel)
        return self.validation(model, device, model.reranks)

    def score(self, row: dict[str, Any], stage: ResolvedStage) -> tuple[float, ...] | None:
        """The stage's own metric where there is one, else the recipe's; ties by ``mrr``."""
        metric = stage.metric if stage.metric in row else self.recipe.early_stop.metric
        if metric not in row:
            return None
        sign = -1.0 if metric.endswith("error") else 1.0
        return sign * float(row[metric]), float(row["mrr"])

    def best_file(self, stage: int) -> str:
        """``1-YNet-best.safetensors``."""
        return f"{stage + 1}-{self.stages[stage].name}-{checkpoint.BEST_FILE}"

    def line(self, row: dict[str, Any], stage: ResolvedStage) -> str:
        names = ("recall@1", "recall@5", "recall@20", "attribute_map", "landmark_error")
        shown = [f"{name} {row[name]:.3f}" for name in names if name in row]
        loss = [f"loss {row['loss.total']:.4f}"] if "loss.total" in row else ["fitted"]
        words = [f"{row['stage']} {row['epoch']}/{stage.epochs}", *loss, *shown]
        return ", ".join(words) + f", {row['seconds']:.0f} s"
