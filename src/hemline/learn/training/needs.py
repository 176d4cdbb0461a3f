"""Whether a manifest has what a model learns from, and whether a model has learned anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.errors import DataError
from hemline.learn.model import MODELS
from hemline.learn.training.rows import Rows

_SIGMAS = 3.0


def check_needs(
    model: str,
    config: Mapping[str, Any],
    manifest: Manifest,
    train: Rows,
    vocabulary: Sequence[str],
) -> None:
    """
    Args:
        model: registered name.
        config: its settings; labels that they leave unused are not needed.
        manifest, train: its training rows.
        vocabulary: their tags.

    Raises:
        DataError: the model learns from tags or landmarks, and no training row has any.
    """
    needs: set[str] = set()
    if model in MODELS:
        unused = MODELS[model].configure(config).unused_labels()
        needs = {*MODELS[model].needs} - {*unused}
    plain = ", ".join(name for name in MODELS if MODELS[name].needs == ("items",))
    if "tags" in needs and not vocabulary:
        raise DataError(
            f"{model} learns from tags, and no training row has any: 'hemline data tag' makes them "
            f"from titles and descriptions, or take a model that needs none ({plain})"
        )
    if "landmarks" in needs and all(
        mark is None for mark in manifest.select(train).column("landmarks")
    ):
        raise DataError(
            f"{model} learns from landmarks, and no training row has any; take a model that needs "
            f"none ({plain})"
        )


def near_chance(info: Mapping[str, Any]) -> str:
    """A warning where the best epoch of a run finds hardly more than by chance; else empty.

    Args:
        info: of the finished run.
    """
    figures, data = info["best"]["figures"], info["data"]
    photos, items = data.get("validation_photos", 0), data.get("validation_items", 0)
    found = figures.get("recall@1")
    if found is None or photos < 1 or items < 2:
        return ""
    chance = 1 / items
    most = chance + _SIGMAS * float(np.sqrt(chance * (1 - chance) / photos))
    if found > most:
        return ""
    return (
        f"validation recall@1 is {found:.3f}, and guessing among {items} items gives {chance:.3f}: "
        f"the model has hardly learned anything from {data['train_photos']} photos of "
        f"{data['train_items']} items. More photos, more epochs or pre-trained weights help; "
        "'hemline adapt' needs the fewest photos"
    )
