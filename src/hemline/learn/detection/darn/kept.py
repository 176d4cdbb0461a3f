"""Proposals and features of regions that are computed once and kept in a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from hemline.files import make_folder
from hemline.learn.detection.darn.boxes import Floats
from hemline.learn.detection.darn.proposals import ProposalSettings, propose
from hemline.learn.detection.darn.regions import RegionFeatures
from hemline.types import FloatArray, Image


class KeptProposals:
    """Image → boxes (N, 4), by `propose`.

    Args:
        settings: of the proposals.
        folder: where they are kept.
    """

    def __init__(self, settings: ProposalSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        make_folder(folder)

    def __call__(self, image: Image) -> Floats:
        path = self.folder / f"{_digest(image, self.settings.model_dump_json())}.npy"
        if not path.exists():
            _keep(path, propose(image, self.settings))
        return np.asarray(np.load(path), np.float64)


class KeptFeatures:
    """Features of regions, kept as float16.

    Args:
        features: of regions.
        folder: one for each network.
    """

    def __init__(self, features: RegionFeatures, folder: Path) -> None:
        self.features, self.folder = features, folder
        make_folder(folder)

    @property
    def name(self) -> str:
        return self.features.name

    def __call__(self, image: Image, boxes: Floats, mirrored: bool = False) -> FloatArray:
        path = self.folder / f"{_digest(image, boxes, str(mirrored))}.npy"
        if not path.exists():
            _keep(path, self.features(image, boxes, mirrored).astype(np.float16))
        return np.asarray(np.load(path), np.float32)


class SomeColumns:
    """The first columns of what a network says of regions; all of them for None.

    Args:
        features: of regions.
        columns: how many are read.
        part: what these are, for the name.
    """

    def __init__(self, features: RegionFeatures, columns: int | None, part: str) -> None:
        self.features, self.columns, self.name = features, columns, f"{features.name} {part}"

    def __call__(self, image: Image, boxes: Floats, mirrored: bool = False) -> FloatArray:
        return self.features(image, boxes, mirrored)[:, : self.columns]


def _digest(*parts: np.ndarray | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).data)
    return digest.hexdigest()[:32]


def _keep(path: Path, array: np.ndarray) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp.npy")
    np.save(temporary, array)
    temporary.rename(path)
