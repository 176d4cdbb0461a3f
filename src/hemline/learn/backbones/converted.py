"""Files of converted weights: safetensors that say what images the network takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hemline.data.preprocess import Triple
from hemline.errors import UsageError
from hemline.files import durable_path
from hemline.learn.backbones.caffe import MEAN, STD, convert


def convert_file(source: Path, network: str, target: Path) -> dict[str, Any]:
    """Converts Caffe's weights of a network to a ``.safetensors`` file, written durably.

    Raises:
        UsageError: as `hemline.learn.backbones.caffe.convert`, or another suffix.
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"weights are written as .safetensors, not {target.name!r}")
    tensors, unused = convert(source, network)
    images = {"network": network, "source": source.name, "mean": MEAN, "std": STD}
    with durable_path(target) as temporary:
        save_file(tensors, temporary, metadata={"hemline": json.dumps(images)})
        temporary.chmod(0o644)
    return {**images, "file": str(target), "tensors": len(tensors), "unused": unused}


def normalisation_of(weights: Path) -> tuple[Triple, Triple] | None:
    """Mean and deviation of R, G, B that a converted file was made for; None of any other file."""
    if weights.suffix != ".safetensors":
        return None
    try:
        with safe_open(weights, "pt") as file:
            stored = json.loads((file.metadata() or {}).get("hemline", "null"))
    except (OSError, SafetensorError, ValueError):
        return None
    return None if stored is None else (tuple(stored["mean"]), tuple(stored["std"]))
