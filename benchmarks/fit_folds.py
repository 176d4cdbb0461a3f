"""Fits one network's maps to several mixtures, such as the whole and its five folds, at one go.

    python benchmarks/fit_folds.py small_real fit.parquet fit0.parquet fit1.parquet … -o runs \\
        start=runs/real stages.Tune.skip=true data.val=null data.validation_split.by=photo

Each mixture becomes a run, ``runs/fit``, ``runs/fit0`` …, the same that `hemline train` makes of
it. What takes the time there, reading the images that the mixtures share and computing their
features, is done once here, which is right since all these runs begin from the same weights and
train no epoch. The images lie in memory: 110 kB each at 192 px.
Needs ``hemline[learn]``.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Hashable
from pathlib import Path

import torch
from torch import Tensor

from hemline.learn.api import train
from hemline.learn.models.yfit import YFit
from hemline.learn.training.images import ImageCache
from hemline.types import Image, Record

Features = Callable[[YFit, Tensor], Tensor]
Read = Callable[[ImageCache, Record, int], Image]


def remembered(features: Features, known: dict[bytes, Tensor]) -> Features:
    """The same function of (B, 3, S, S), computed once for each image."""

    def once(model: YFit, images: Tensor) -> Tensor:
        keys = [
            hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in images
        ]
        new = [place for place, key in enumerate(keys) if key not in known]
        if new:
            found = features(model, images[new])
            known.update({keys[place]: row for place, row in zip(new, found, strict=True)})
        return torch.stack([known[key] for key in keys])

    return once


def read_once(read: Read, known: dict[Hashable, Image]) -> Read:
    """`ImageCache`'s reading of a square, done once for each file, box and size."""

    def once(cache: ImageCache, record: Record, row: int) -> Image:
        box = record.box if cache.boxes else None
        key = (str(cache.manifest.file(row)), box, cache.size)
        if key not in known:
            known[key] = read(cache, record, row)
        return known[key]

    return once


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("mixtures", nargs="+", type=Path, metavar="MIXTURE.parquet | KEY=VALUE")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the runs")
    options = parser.parse_intermixed_args()
    changes = [str(word) for word in options.mixtures if "=" in str(word)]
    mixtures = [word for word in options.mixtures if "=" not in str(word)]
    for change in ("start=", "stages.Tune.skip=true"):
        if not any(word.startswith(change) for word in changes):
            parser.error(f"the runs must not train the network: give {change}…")
    YFit.street_features = remembered(YFit.street_features, {})  # type: ignore[method-assign, assignment]
    YFit.shop_features = remembered(YFit.shop_features, {})  # type: ignore[method-assign, assignment]
    ImageCache._read = read_once(ImageCache._read, {})  # type: ignore[method-assign]
    for mixture in mixtures:
        train(options.recipe, mixture, options.output / mixture.stem, overrides=changes, say=say)


if __name__ == "__main__":
    main()
