"""A detector's run folder: its network, untrained and as it was kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from hemline.errors import TrainingError
from hemline.learn import checkpoint
from hemline.learn.detection.network import DetectorNetwork
from hemline.learn.detection.recipe import DetectorRecipe

BEST = "detector-best.safetensors"


def build(recipe: DetectorRecipe, weights: bool = True) -> DetectorNetwork:
    """The untrained network, the same for the same seed; ``weights`` False where they follow."""
    named = recipe.detector.weights
    file = None if named is None or not weights else Path(named)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return DetectorNetwork(recipe.detector, file if file and file.is_file() else None)


class DetectorRun:
    """A detector's run folder, read.

    Attributes:
        folder: of the run.
        recipe: as resolved.
        info: ``run.json``.
        state: of the kept checkpoint: step, figures.
        network: in evaluation mode.
    """

    def __init__(
        self,
        folder: Path,
        recipe: DetectorRecipe,
        info: dict[str, Any],
        state: dict[str, Any],
        network: DetectorNetwork,
    ) -> None:
        self.folder, self.recipe, self.info = folder, recipe, info
        self.state, self.network = state, network


def is_detector_run(folder: Path) -> bool:
    """Whether a folder holds the run of a detector."""
    file = folder / checkpoint.RUN_FILE
    if not file.is_file():
        return False
    info = json.loads(file.read_text(encoding="utf-8"))
    return bool(info.get("model") == "detector")


def load_detector(folder: Path) -> DetectorRun:
    """The best state of a run so far.

    Raises:
        TrainingError: no detector's run there, or one that wasn't validated yet.
    """
    if not is_detector_run(folder):
        raise TrainingError(
            f"{folder} is no run of a detector; 'hemline train detector_atelier' makes one"
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
    try:
        network.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items()})
    except RuntimeError as error:
        raise TrainingError(f"the checkpoint {best} doesn't fit: {error}") from None
    return DetectorRun(folder, recipe, info, state, network.eval())
