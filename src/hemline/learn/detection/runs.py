"""Run folders of detectors: the untrained network, and the best one of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hemline.errors import TrainingError
from hemline.learn import checkpoint
from hemline.learn.detection.network import DetectorNetwork
from hemline.learn.detection.recipe import DetectorRecipe

BEST = "detector-best.safetensors"


def build(recipe: DetectorRecipe, weights: bool = True) -> DetectorNetwork:
    """The untrained network, the same for the same seed.

    Args:
        weights: read the backbone's weights; False where a checkpoint follows.
    """
    named = recipe.detector.weights
    file = None if named is None or not weights else Path(named)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return DetectorNetwork(recipe.detector, file if file and file.is_file() else None)


@dataclass(frozen=True, slots=True)
class DetectorRun:
    """A detector's run folder, read.

    Attributes:
        folder: of the run.
        recipe: as resolved.
        info: ``run.json``.
        state: of the best checkpoint: step, figures.
        network: in evaluation mode.
    """

    folder: Path
    recipe: DetectorRecipe
    info: dict[str, Any]
    state: dict[str, Any]
    network: DetectorNetwork


def is_detector_run(folder: Path) -> bool:
    """Whether a folder is the run of a detector."""
    file = folder / checkpoint.RUN_FILE
    if not file.is_file():
        return False
    info = json.loads(file.read_text(encoding="utf-8"))
    return bool(info.get("model") == "detector")


def load_detector(folder: Path) -> DetectorRun:
    """The best network of a run so far.

    Raises:
        TrainingError: no detector's run there, or one without a validation yet.
    """
    if not is_detector_run(folder):
        raise TrainingError(
            f"{folder} is no run of a detector; 'hemline train detector_synthetic' makes one"
        )
    best = folder / "checkpoints" / BEST
    if not best.is_file():
        raise TrainingError(
            f"the run {folder} has no checkpoint yet; run its 'hemline train' command again"
        )
    text = (folder / checkpoint.RECIPE_FILE).read_text(encoding="utf-8")
    recipe = DetectorRecipe.model_validate_json(text)
    info = json.loads((folder / checkpoint.RUN_FILE).read_text(encoding="utf-8"))
    tensors, state = checkpoint.load(best)
    network = build(recipe, weights=False)
    checkpoint.restore(network, tensors)
    return DetectorRun(folder, recipe, info, state, network.eval())
