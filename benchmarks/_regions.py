"""What `darn_detection.py` reads: pictures with their marked garments, and a store of features.

A garment counts when it is worn on the upper body, the lower or both (shoes and bags don't) and can
be seen; hardly seen ones are regions to ignore.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hemline.data.images import open_image
from hemline.learn.detection.darn.boxes import Floats
from hemline.learn.detection.darn.proposals import ProposalSettings, propose
from hemline.learn.detection.darn.regions import NetworkRegions
from hemline.reproduce.detectors import Picture
from hemline.types import FloatArray, Image


def readers(pictures: Sequence[Picture]) -> list[Callable[[], Image]]:
    """One for each picture."""
    return [partial(open_image, picture.path) for picture in pictures]


def _digest(*parts: np.ndarray | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).data)
    return digest.hexdigest()[:32]


class KeptFeatures:
    """Features that are computed once and kept as float16 in a folder, or some columns of them.

    Args:
        features: of regions.
        folder: one for each network.
        columns: how many of the first columns are read; None for all.
    """

    def __init__(
        self, features: NetworkRegions, folder: Path, columns: int | None = None, part: str = ""
    ) -> None:
        self.features, self.folder, self.columns, self.part = features, folder, columns, part
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        return f"{self.features.name} {self.part}".strip()

    def __call__(self, image: Image, boxes: Floats, mirrored: bool = False) -> FloatArray:
        path = self.folder / f"{_digest(image, boxes, str(mirrored))}.npy"
        if not path.exists():
            _keep(path, self.features(image, boxes, mirrored).astype(np.float16))
        return np.asarray(np.load(path)[:, : self.columns], np.float32)


class SomeColumns:
    """The first columns of what a network says, as a detector reads it that was trained on them."""

    def __init__(self, features: NetworkRegions, columns: int | None, part: str) -> None:
        self.features, self.columns, self.name = features, columns, f"{features.name} {part}"

    def __call__(self, image: Image, boxes: Floats, mirrored: bool = False) -> FloatArray:
        return self.features(image, boxes, mirrored)[:, : self.columns]


def _keep(path: Path, array: np.ndarray) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp.npy")
    np.save(temporary, array)
    temporary.rename(path)


def faster(features: NetworkRegions) -> NetworkRegions:
    """The same numbers by a frozen trace, in half the time."""
    size = features.spec.size
    example = torch.zeros(8, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = torch.jit.optimize_for_inference(
            torch.jit.trace(features.forward, example)  # type: ignore[no-untyped-call]
        )
    return NetworkRegions(features.name, trace, features.spec, features.batch_size)


class KeptProposals:
    """Proposals that are computed once and kept in a folder."""

    def __init__(self, settings: ProposalSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, image: Image) -> Floats:
        path = self.folder / f"{_digest(image, self.settings.model_dump_json())}.npy"
        if not path.exists():
            _keep(path, propose(image, self.settings))
        return np.asarray(np.load(path), np.float64)
