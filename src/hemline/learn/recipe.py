"""A recipe: everything that decides what a training run gives, in one checked file.

A recipe is YAML, read from a path or by the name of one that ships (``hemline train --list``).
Values come from the file, then from its ``scales`` (``--scale bench``), then from ``key=value``
words of the command line, dotted (``stages.ynet.epochs=3``). An unknown key names the nearest
known one.
"""

from __future__ import annotations

import contextlib
import copy
import types
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hemline.data.preprocess import Triple
from hemline.errors import UsageError, nearest
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.training.augment import Augmentation

SCALES = ("paper", "bench", "smoke")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelRecipe(_Part):
    """The model by its registered name, and values of its own configuration."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)


class Carve(_Part):
    """A validation part cut from the training rows where the manifest has none.

    Attributes:
        fraction: share of the items (or photos) that goes to validation.
        by: ``item`` keeps whole items out of training, ``photo`` keeps out photos of seen items.
    """

    fraction: float = Field(default=0.1, gt=0, lt=1)
    by: Literal["item", "photo"] = "item"


class KeepOut(_Part):
    """What a protocol measures with: its queries and the items it holds out, never trained on.

    Attributes:
        protocol: a protocol's registered name.
        fold: of a protocol of several folds; None keeps out all of them.
    """

    protocol: str
    fold: int | None = None


class Normalisation(_Part):
    """Each domain's mean and standard deviation, of R, G, B in [0, 1]."""

    street_mean: Triple
    street_std: Triple
    shop_mean: Triple
    shop_std: Triple


class DataRecipe(_Part):
    """Which rows are read, and how.

    Attributes:
        train, val: names of the splits; ``val: null`` always carves.
        carve: how a validation part is cut where no row has the split ``val``.
        keep_out: rows of a protocol that neither train nor validate.
        crop: ``none`` keeps the whole picture, ``box`` cuts to the row's box where it has one (then
            whoever searches must give a box too), ``either`` takes one or the other by lot each
            time, on each side of a pair, and validates with whole pictures.
        normalisation: ``model`` (as the model says), ``computed`` from the training pictures, or
            the numbers.
        epoch: an epoch visits every street ``photos`` row once, or every one of the ``items`` once.
        repeats: visits in an epoch.
        augment: what is done to training pictures; nothing by default, as in the papers.
        workers: processes that read; 0 reads in the training process.
        cache_mb: room for decoded, resized pictures.
    """

    train: str = "train"
    val: str | None = "val"
    carve: Carve = Carve()
    keep_out: KeepOut | None = None
    crop: Literal["box", "none", "either"] = "none"
    normalisation: Literal["model", "computed"] | Normalisation = "model"
    epoch: Literal["photos", "items"] = "photos"
    repeats: int = Field(default=1, ge=1)
    augment: Augmentation = Augmentation()
    workers: int = Field(default=0, ge=0)
    cache_mb: int = Field(default=2048, ge=0)


class StageRecipe(_Part):
    """What is changed of a stage; what isn't named stays as the model's published stage has it.

    Attributes:
        epochs, lr, lr_step, lr_decay, momentum, weight_decay, margin, optimizer: as in `Stage`.
        skip: leave the stage out.
        trains: prefixes of the parameters that learn.
        schedule: ``step``, ``cosine`` (to zero over the stage) or ``constant``.
        warmup: epochs over which the rate rises to ``lr``.
        clip: largest norm of the gradient, 0 for no limit.
        lr_scale: prefix of parameter names → factor of the rate; 0 freezes them.
        frozen_norms: keep all batch normalisation in evaluation mode.
        options: passed on to the model's loss.
    """

    epochs: int | None = Field(default=None, ge=0)
    lr: float | None = Field(default=None, gt=0)
    lr_step: int | None = Field(default=None, ge=1)
    lr_decay: float | None = Field(default=None, gt=0)
    momentum: float | None = Field(default=None, ge=0, lt=1)
    weight_decay: float | None = Field(default=None, ge=0)
    margin: float | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    skip: bool = False
    trains: tuple[str, ...] | None = None
    schedule: Literal["step", "cosine", "constant"] = "step"
    warmup: float = Field(default=0.0, ge=0)
    clip: float = Field(default=0.0, ge=0)
    lr_scale: dict[str, float] = Field(default_factory=dict)
    frozen_norms: bool = False
    options: dict[str, Any] = Field(default_factory=dict)


class EarlyStop(_Part):
    """When a stage ends early, and which epoch of it is kept.

    Attributes:
        metric: of the validation split; ties are broken by the mean reciprocal rank.
        patience: epochs without a better value before the stage ends; 0 never ends it.
        every: epochs between validations (the last epoch is always validated).
    """

    metric: Literal["recall@1", "recall@5", "recall@20", "mrr"] = "recall@1"
    patience: int = Field(default=0, ge=0)
    every: int = Field(default=1, ge=1)


class Recipe(_Part):
    """One training run, whole.

    Attributes:
        name: of the recipe.
        summary: one line.
        model, data: see there.
        batch_size: B, distinct items in a batch, each with a street and a shop picture.
        start: the folder of a finished run to start from: weights of the same name and shape are
            taken over, the others stay as the model makes them; None starts anew.
        stages: stage name → what is changed of it; ``all`` changes every stage.
        ema: decay of a running mean of the weights, which is then what is validated and kept; 0
            keeps the weights themselves.
        early_stop: see there.
        seed: of everything that is drawn.
        precision: ``auto`` is bfloat16 on an accelerator that has it, else float32.
        devices: how many accelerators, 0 for all there are.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        threads: of the CPU, 0 for torch's own choice.
        channels_last: memory order of 4-D tensors.
        tensorboard: write TensorBoard's log too.
        checkpoint_minutes: minutes between checkpoints inside an epoch.
    """

    name: str
    summary: str = ""
    model: ModelRecipe
    data: DataRecipe = DataRecipe()
    batch_size: int = Field(default=32, ge=2)
    start: str | None = None
    stages: dict[str, StageRecipe] = Field(default_factory=dict)
    ema: float = Field(default=0.0, ge=0, lt=1)
    early_stop: EarlyStop = EarlyStop()
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    devices: int = Field(default=0, ge=0)
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = Field(default=0, ge=0)
    channels_last: bool = True
    tensorboard: bool = False
    checkpoint_minutes: float = Field(default=10.0, ge=0)

    def resolved(self) -> dict[str, Any]:
        """All values, to be written: reading them again gives this recipe. Of a stage only what is
        set, since what isn't is the published stage's, or ``all``'s."""
        values = self.model_dump(mode="json")
        values["stages"] = {
            name: change.model_dump(mode="json", exclude_unset=True)
            for name, change in self.stages.items()
        }
        return values

    def deciding(self) -> dict[str, Any]:
        """What decides the result: the recipe less what only changes how fast it is reached."""
        values = self.model_dump(mode="json")
        for name in ("devices", "threads", "tensorboard", "checkpoint_minutes", "summary"):
            values.pop(name)
        for name in ("workers", "cache_mb"):
            values["data"].pop(name)
        return values


def shipped() -> dict[str, Path]:
    """The recipes of the package: name → file."""
    folder = Path(str(resources.files("hemline"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(
    recipe: str | Path, scale: str | None = None, overrides: Sequence[str] = ()
) -> Recipe | DetectorRecipe:
    """Reads a recipe by path or shipped name, for a scale, with ``key=value`` words on top.

    One with the key ``detector`` is a detector's.

    Raises:
        UsageError: no such recipe, scale or key, or a value that doesn't fit.
    """
    path = Path(recipe)
    if not path.is_file():
        known = shipped()
        if str(recipe) not in known:
            raise UsageError(
                f"no recipe {str(recipe)!r}: neither a file nor one that ships. "
                f"{nearest(str(recipe), known)}"
            )
        path = known[str(recipe)]
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path} holds no recipe: expected keys like 'name' and 'model'")
    raw.setdefault("name", path.stem)
    scales = raw.pop("scales", None) or {}
    unknown = [name for name in scales if name not in SCALES]
    if unknown:
        raise UsageError(f"{path}: no scale {unknown[0]!r}. {nearest(str(unknown[0]), SCALES)}")
    if scale is not None:
        if scale not in SCALES:
            raise UsageError(f"no scale {scale!r}. {nearest(scale, SCALES)}")
        if scale not in scales and scale != "paper":
            have = ", ".join(["paper", *sorted(set(scales) - {"paper"})])
            raise UsageError(f"the recipe {raw['name']!r} has no scale {scale!r}; it has {have}")
        raw = _merged(raw, scales.get(scale) or {})
    for word in overrides:
        _override(raw, word)
    return parse(raw, str(path))


def parse(raw: Mapping[str, Any], where: str = "recipe") -> Recipe | DetectorRecipe:
    """A checked recipe from plain values; raises UsageError naming the first mistake."""
    kind: type[Recipe] | type[DetectorRecipe] = DetectorRecipe if "detector" in raw else Recipe
    _check_keys(kind, raw, "")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {key}: {first['msg']} (found {first['input']!r})") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _override(raw: dict[str, Any], word: str) -> None:
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise UsageError(f"{word!r} is no key=value, like stages.ynet.epochs=3")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # YAML 1.1 reads 1e-3 as a word
            value = float(value)
    *parents, last = key.split(".")
    node = raw
    for part in parents:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            raise UsageError(f"{word!r}: {part!r} is a value, not a group of keys")
        node = below
    node[last] = value


def _check_keys(model: type[BaseModel], raw: Any, prefix: str) -> None:
    """An unknown key is a UsageError that names the nearest known one."""
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        field = model.model_fields.get(str(key))
        if field is None:
            raise UsageError(
                f"no key {prefix}{key} in a recipe. {nearest(str(key), model.model_fields)}"
            )
        for below in _models(field.annotation):
            if _is_mapping(field.annotation):
                for name, part in value.items() if isinstance(value, Mapping) else ():
                    _check_keys(below, part, f"{prefix}{key}.{name}.")
            else:
                _check_keys(below, value, f"{prefix}{key}.")


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, dict):
        return [model for part in get_args(annotation) for model in _models(part)]
    return []


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict
