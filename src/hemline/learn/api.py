"""Training from Python: `train`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.learn import recipe as recipes
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.detection.task import DetectionTask
from hemline.learn.recipe import Recipe
from hemline.learn.training import engine
from hemline.learn.training.needs import near_chance
from hemline.learn.training.retrieval import RetrievalTask
from hemline.learn.training.starts import with_weights
from hemline.learn.training.task import Say, Task, silent
from hemline.progress import ProgressOf, no_progress


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe | DetectorRecipe,
    manifest: str | Path | Manifest,
    folder: str | Path,
    *,
    scale: str | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    weights: str | None = None,
    say: Say = silent,
    progress: ProgressOf = no_progress,
    bar: bool = False,
) -> dict[str, Any]:
    """Trains a model, continues an interrupted run, or reports that it is finished.

    Args:
        recipe: a recipe's file, the name of one that ships, its values, or a parsed recipe. One
            with the key ``detector`` trains a detector, any other a retrieval model.
        manifest: the table of images, or its file.
        folder: of the run: a new one, or one of the same recipe and data, which is continued.
        scale: ``paper`` (default), ``bench`` or ``smoke``, as the recipe has them.
        overrides: changes of the recipe: ``["stages.YNet.epochs=3"]`` or
            ``{"stages.YNet.epochs": 3}``.
        weights: the file that the model's backbone starts from, or ``random``; by default what the
            recipe says.
        say: called with lines for people.
        progress: a title → a context manager that yields ``advance(done, total)``.
        bar: show a progress bar of the steps on standard error.

    Returns:
        The content of ``run.json``: model, data, versions, ``best`` (its epoch and validation
        figures), ``finished``; and whether the run was ``resumed``.

    Raises:
        UsageError: no such recipe, or one with a mistake.
        DataError: the manifest has nothing to train on, or to validate with.
        TrainingError: the folder holds another run, or the loss is not finite.
    """
    if not isinstance(recipe, Recipe | DetectorRecipe):
        recipe = _read(recipe, scale, overrides)
    elif scale is not None or overrides:
        raise UsageError("scale and overrides change a recipe's file or values, not a parsed one")
    if weights is not None:
        if isinstance(recipe, DetectorRecipe):
            raise UsageError("a detector's recipe names its own weights; leave --weights out")
        recipe = with_weights(recipe, weights)
    table = manifest if isinstance(manifest, Manifest) else Manifest.read(Path(manifest))
    resolved = recipe

    def prepare(resumed: bool, report: Say) -> Task:
        if isinstance(resolved, DetectorRecipe):
            return DetectionTask(resolved, table, report)
        return RetrievalTask(resolved, table, resumed, report, progress)

    result = engine.run(resolved, table, Path(folder), prepare, say=say, bar=bar)
    if engine.is_first() and (told := near_chance(result)):
        say(f"warning: {told}")
    return result


def _read(
    recipe: str | Path | Mapping[str, Any],
    scale: str | None,
    overrides: Sequence[str] | Mapping[str, Any],
) -> Recipe | DetectorRecipe:
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    if isinstance(recipe, Mapping):
        return recipes.parse({"name": "recipe", **recipe}, "recipe", scale, overrides)
    return recipes.load(recipe, scale, overrides)
