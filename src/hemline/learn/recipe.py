"""Recipes: everything that decides the result of a training run, in one checked file.

A recipe is YAML, read from a path or by the name of one that ships (``hemline train --list``).
Values come from the file, then from its ``scales`` (``--scale bench``), then from dotted
``key=value`` words (``stages.ynet.epochs=3``). An error about an unknown key names the nearest
known one.
"""

from __future__ import annotations

import contextlib
import copy
import types
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from hemline.data.preprocess import Triple
from hemline.errors import UsageError, nearest
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.training.augment import Augmentation
from hemline.learn.training.settings import RecipePart, RunSettings
from hemline.parsing import check_value, parser_errors
from hemline.registry import current_name

#: Values of a file, whose aliases may repeat a part without end.
_MOST_VALUES = 100_000
SCALES = ("paper", "bench", "smoke")


#: Recipes and keys that were renamed: old name → new name, still read, with a warning.
RENAMED_RECIPES = {"ctxynet_atelier": "ctxynet_synthetic", "detector_atelier": "detector_synthetic"}
RENAMED = {"data.carve": "data.validation_split"}


class ModelRecipe(RecipePart):
    """The model by its registered name, and values of its own configuration."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)


class ValidationSplit(RecipePart):
    """How validation rows are split off the training rows where the manifest has none.

    Attributes:
        fraction: share of the items (or photos) that goes to validation.
        by: ``item`` keeps whole items out of training, ``photo`` keeps out photos of seen items.
    """

    fraction: float = Field(default=0.1, gt=0, lt=1)
    by: Literal["item", "photo"] = "item"


#: How often an epoch visits photos.
Times = Annotated[int, Field(ge=1)]


class KeepOut(RecipePart):
    """The queries and held-out items of a protocol, never trained on.

    Attributes:
        protocol: a protocol's registered name.
        fold: of a protocol with several folds; None keeps out all of them.
        seed: of the protocol's random choices.
    """

    protocol: str
    fold: int | None = None
    seed: int = Field(default=0, ge=0)


class Normalisation(RecipePart):
    """Each domain's mean and standard deviation, of R, G, B in [0, 1]."""

    street_mean: Triple
    street_std: Triple
    shop_mean: Triple
    shop_std: Triple


class DataRecipe(RecipePart):
    """Which rows are read, and how.

    Attributes:
        train, val: names of the splits; ``val: null`` always splits validation off training.
        validation_split: used where no row has the split ``val``.
        keep_out: rows of a protocol that neither train nor validate.
        protocols: those that the recipe is meant for; where the manifest is of such a protocol's
            data, its rows neither train nor validate either.
        partition: a protocol that draws its own splits (``darn-ynet``, ``consumer2shop-upper``):
            its train and validation rows replace the manifest's, and ``protocols`` isn't read.
        crop: ``none`` keeps the whole image, ``box`` crops to the row's box where it has one (then
            a search must give a box too), ``either`` picks one of the two at random each time, on
            each side of a pair, and validates with whole images.
        normalisation: ``model`` (the model's own), ``computed`` from the training images, or the
            numbers.
        epoch: an epoch visits every street photo once (``photos``), or one of each item
            (``items``).
        repeats: visits per epoch; with ``batch_by`` also by its values, others once.
        batch_by: a column of the manifest whose value is the same for all photos of a batch, such
            as ``source`` of a mixture, so that negatives are of the same source.
        augment: random changes of training images; none by default, as in the papers.
        workers: processes that read images; 0 reads in the training process.
        cache_mb: memory for decoded, resized images.
    """

    train: str = "train"
    val: str | None = "val"
    validation_split: ValidationSplit = ValidationSplit()
    keep_out: KeepOut | None = None
    protocols: tuple[str, ...] = ()
    partition: str | None = None
    crop: Literal["box", "none", "either"] = "none"
    normalisation: Literal["model", "computed"] | Normalisation = "model"
    epoch: Literal["photos", "items"] = "photos"
    repeats: Times | dict[str, Times] = 1
    batch_by: str | None = None
    augment: Augmentation = Augmentation()
    workers: int = Field(default=0, ge=0)
    cache_mb: int = Field(default=2048, ge=0)

    @model_validator(mode="after")
    def _check_repeats(self) -> DataRecipe:
        if isinstance(self.repeats, dict) and self.batch_by is None:
            raise ValueError("data.repeats by value needs data.batch_by, the column of the values")
        return self

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, values: Any) -> Any:
        """``recipe.json`` of a run made before `RENAMED` reads as it did."""
        if isinstance(values, dict) and "carve" in values:
            values = {**values, "validation_split": values["carve"]}
            del values["carve"]
        return values


class StageRecipe(RecipePart):
    """Changes of a stage; whatever isn't named stays as in the model's published stage.

    Attributes:
        epochs, lr, lr_step, lr_decay, momentum, weight_decay, margin, optimizer: as in `Stage`.
        skip: leave the stage out.
        trains: prefixes of the parameters that learn.
        schedule: ``step``, ``cosine`` (to zero over the stage) or ``constant``.
        warmup, clip, lr_scale, frozen_norms: as in `hemline.learn.training.stages.ResolvedStage`.
        options: options of the model's loss.
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


class EarlyStop(RecipePart):
    """When a stage ends early, and which epoch of it is kept.

    Attributes:
        metric: of the validation split; ties are broken by the mean reciprocal rank.
        patience: epochs without a better value before the stage ends; 0 never ends it.
        every: epochs between validations (the last epoch is always validated).
    """

    metric: Literal["recall@1", "recall@5", "recall@20", "mrr"] = "recall@1"
    patience: int = Field(default=0, ge=0)
    every: int = Field(default=1, ge=1)


class Recipe(RunSettings):
    """The training run of a retrieval model.

    ``start`` takes over weights of the same name and shape; the others stay as the model makes
    them.

    Attributes:
        model, data, early_stop: see there.
        batch_size: B, distinct items in a batch, each with a street and a shop image.
        stages: stage name → changes of it; ``all`` changes every stage.
    """

    model: ModelRecipe
    data: DataRecipe = DataRecipe()
    batch_size: int = Field(default=32, ge=2)
    stages: dict[str, StageRecipe] = Field(default_factory=dict)
    early_stop: EarlyStop = EarlyStop()

    def resolved(self) -> dict[str, Any]:
        """All values as JSON; parsing them again gives this recipe. Of a stage only what is set,
        since the rest is the published stage's, or that of ``all``."""
        values = self.model_dump(mode="json")
        values["stages"] = {
            name: change.model_dump(mode="json", exclude_unset=True)
            for name, change in self.stages.items()
        }
        return values


def shipped() -> dict[str, Path]:
    """The recipes of the package: name → file."""
    folder = Path(str(resources.files("hemline"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(
    recipe: str | Path, scale: str | None = None, overrides: Sequence[str] = ()
) -> Recipe | DetectorRecipe:
    """Reads a recipe by path or shipped name, at a scale, with ``key=value`` words on top.

    A recipe with the key ``detector`` is a detector's.

    Raises:
        UsageError: no such recipe, scale or key, or a value that doesn't fit.
    """
    path = Path(recipe)
    if not path.is_file():
        known = shipped()
        name = current_name("recipe", str(recipe), RENAMED_RECIPES)
        if name not in known:
            raise UsageError(
                f"no recipe {name!r}: neither a file nor one that ships. {nearest(name, known)}"
            )
        path = known[name]
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is no YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path} holds no recipe: expected keys like 'name' and 'model'")
    raw.setdefault("name", path.stem)
    return parse(raw, str(path), scale, overrides)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text, of plain types only.

    Raises:
        ValueError: no YAML, or as `hemline.parsing.parse_json`.
    """
    try:
        with parser_errors():
            value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    check_value(value, _MOST_VALUES)
    return value


def parse(
    raw: Mapping[str, Any],
    where: str = "recipe",
    scale: str | None = None,
    overrides: Sequence[str] = (),
) -> Recipe | DetectorRecipe:
    """A checked recipe from plain values, at a scale, with ``key=value`` words on top.

    Raises:
        UsageError: naming the first mistake.
    """
    values = _at_scale(copy.deepcopy(dict(raw)), where, scale)
    for word in overrides:
        _override(values, word)
    _rename(values)
    kind: type[Recipe] | type[DetectorRecipe] = DetectorRecipe if "detector" in values else Recipe
    _check_keys(kind, values, "")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        found = repr(first["input"])[:200]
        raise UsageError(f"{where}: {key}: {message} (found {found})") from None


def _at_scale(raw: dict[str, Any], where: str, scale: str | None) -> dict[str, Any]:
    """The values of a scale; ``paper`` is the recipe without changes."""
    scales = raw.pop("scales", None) or {}
    unknown = [name for name in scales if name not in SCALES]
    if unknown:
        raise UsageError(f"{where}: no scale {unknown[0]!r}. {nearest(str(unknown[0]), SCALES)}")
    if scale is None:
        return raw
    if scale not in SCALES:
        raise UsageError(f"no scale {scale!r}. {nearest(scale, SCALES)}")
    if scale not in scales and scale != "paper":
        have = ", ".join(["paper", *sorted(set(scales) - {"paper"})])
        name = raw.get("name", where)
        raise UsageError(f"the recipe {name!r} has no scale {scale!r}; it has {have}")
    return _merged(raw, scales.get(scale) or {})


def _rename(raw: dict[str, Any]) -> None:
    """Reads keys of `RENAMED` under their new names, with a warning."""
    for before, now in RENAMED.items():
        group, _, old = before.rpartition(".")
        part = raw.get(group)
        if isinstance(part, dict) and old in part:
            given = part.pop(old)
            new = now.rpartition(".")[2]
            if isinstance(given, Mapping):  # a file may have one name, an override the other
                given = _merged(given, part.get(new) or {})
            part[new] = given
            warnings.warn(
                f"the recipe key {before} is now {now}; the old name is still read",
                FutureWarning,
                stacklevel=2,
            )


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
        value = parse_yaml(text)
    except ValueError:
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
            if get_origin(field.annotation) is dict:
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
