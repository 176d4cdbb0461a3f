"""A run folder holds one run: the same recipe and data go on in it, any other is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hemline.data.manifest import Manifest
from hemline.errors import TrainingError
from hemline.learn import checkpoint
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.recipe import Recipe


def refuse_another(folder: Path, recipe: Recipe | DetectorRecipe, manifest: Manifest) -> None:
    """Raises TrainingError if the folder holds a run of another recipe, or on other data."""
    written, told = folder / checkpoint.RECIPE_FILE, folder / checkpoint.RUN_FILE
    if not written.is_file() or not told.is_file():
        return
    try:
        old = type(recipe).model_validate_json(written.read_text(encoding="utf-8"))
    except ValidationError:
        raise TrainingError(
            f"{folder} is a run of another kind of recipe than {recipe.name}; name another folder"
        ) from None
    before, now = _flat(old.deciding()), _flat(recipe.deciding())
    different = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    if different:
        name = different[0]
        raise TrainingError(
            f"{folder} is a run of another recipe: {name} was {before.get(name)!r}, now "
            f"{now.get(name)!r}"
            + (f", and {len(different) - 1} more" if len(different) > 1 else "")
            + "; name another folder"
        )
    data = json.loads(told.read_text(encoding="utf-8"))["data"]["fingerprint"]
    if data != manifest.fingerprint():
        raise TrainingError(f"{folder} is a run on other data; name another folder")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
