"""The tags and landmarks that a run predicts of a protocol's images (``--labels``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog import folders
from hemline.data.protocol import Protocol
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.evaluation.model import open_encoder
from hemline.progress import ProgressOf, no_progress
from hemline.types import Domain


def predictions(
    model: str | os.PathLike[str] | Encoder,
    parts: Sequence[Protocol],
    progress: ProgressOf = no_progress,
) -> dict[str, Any]:
    """What a run predicts of a protocol's images beside embeddings: average precision of each tag,
    error of each landmark (`hemline.learn.training.predictions`).

    Raises:
        UsageError: no run, one that predicts neither, or a crop by a detector.
    """
    from hemline.learn.checkpoint import CheckpointEncoder
    from hemline.learn.training.predictions import predicted_labels

    if isinstance(model, str | os.PathLike) and folders.find(Path(model)) is None:
        model = open_encoder(os.fspath(model))
    if not isinstance(model, CheckpointEncoder):
        raise UsageError("labels are predicted by a run only; a bundle has embeddings alone")
    crop = parts[0].crop
    if crop.startswith("detected"):
        raise UsageError(
            "labels aren't measured on the crops of a detector; write them by 'hemline data crop' "
            "and use --crop box"
        )
    rows: dict[Domain, Any] = {
        "street": np.unique(np.concatenate([part.queries for part in parts])),
        "shop": np.unique(np.concatenate([part.gallery for part in parts])),
    }
    boxes: dict[Domain, bool] = {"street": crop in ("query", "box"), "shop": crop == "box"}
    with progress(f"{model.name}, tags and landmarks") as advance:
        return predicted_labels(model, parts[0].manifest, rows, boxes, advance)
