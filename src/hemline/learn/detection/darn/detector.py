"""DARN's clothing detector: proposals, features of an attribute-aware network, SVR of the overlap.

"Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network", ICCV 2015, section 4.2.

Differs from the paper: it finds garments of any kind, not upper clothing only, and takes its
negatives from the same images, not from another data set. Left open by the paper and chosen here:
the intervals of the overlap (tenths, drawn evenly), the context around a region (R-CNN's), how many
hard examples are taken (those that are most overrated, anew in each round), one detector for both
domains.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file, save_file

from hemline.data.boxes import suppress
from hemline.errors import TrainingError
from hemline.files import write_durable
from hemline.learn.detection.darn.boxes import Floats, moved, offsets
from hemline.learn.detection.darn.heads import BACKGROUND, Heads, Kind, fit_heads
from hemline.learn.detection.darn.patches import Scene, discretised, draw_patches
from hemline.learn.detection.darn.proposals import ProposalSettings, propose
from hemline.learn.detection.darn.regions import RegionFeatures
from hemline.types import Box, Detection, FloatArray, Image

Advance = Callable[[int, int], None]
Proposer = Callable[[Image], Floats]


class RegionSettings(BaseModel):
    """Of the detector and its training.

    Attributes:
        kind: ``svr`` (the paper's) or ``svm`` (R-CNN's).
        cost: C of the support vectors.
        ridge: of the box regression.
        per_level: patches of an image at each level of overlap.
        rounds: of hard examples.
        hard_pictures: images searched for them in a round.
        hard: examples of an image in a round.
        overlap: found boxes that overlap by more than this are one garment.
        most: garments of an image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "svr"
    cost: float = Field(default=0.001, gt=0)
    ridge: float = Field(default=1000.0, gt=0)
    per_level: int = Field(default=6, ge=1)
    rounds: int = Field(default=1, ge=0)
    hard_pictures: int = Field(default=200, ge=1)
    hard: int = Field(default=20, ge=1)
    overlap: float = Field(default=0.3, gt=0, le=1)
    most: int = Field(default=20, ge=1)


class RegionDetector:
    """A trained detector, as `hemline.encoding.Detector` has it.

    Args:
        features: of regions; the same as in training.
        heads: fitted to them.
        settings, proposals: see there.
        propose_with: image → boxes; selective search where None.
    """

    def __init__(
        self,
        features: RegionFeatures,
        heads: Heads,
        settings: RegionSettings,
        proposals: ProposalSettings,
        propose_with: Proposer | None = None,
    ) -> None:
        self.features, self.heads, self.settings = features, heads, settings
        self.proposals = proposals
        self.propose: Proposer = propose_with or (lambda image: propose(image, proposals))

    @property
    def name(self) -> str:
        return f"{self.features.name} + {self.settings.kind.upper()}"

    def detect(self, images: Sequence[Image]) -> list[tuple[Detection, ...]]:
        """For each image its garments, best first; the category is empty: it has none."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> tuple[Detection, ...]:
        height, width = image.shape[:2]
        boxes = self.propose(image)
        features = self.features(image, boxes)
        scores = self.heads.scores(features)
        kept = suppress(boxes, scores, np.zeros(len(boxes)), self.settings.overlap)
        kept = kept[: self.settings.most]
        refined = moved(boxes[kept], self.heads.offsets(features[kept]), width, height)
        return tuple(
            Detection(Box(*(float(v) for v in box)), "", float(score))
            for box, score in zip(refined, scores[kept], strict=True)
        )

    def save(self, folder: Path) -> None:
        """Writes heads and settings, without the network of the features."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {n: v for n, v in self.heads._asdict().items() if isinstance(v, np.ndarray)}
        save_file({n: np.atleast_1d(v) for n, v in arrays.items()}, folder / "heads.safetensors")
        described = {
            "features": self.features.name,
            "settings": self.settings.model_dump(mode="json"),
            "proposals": self.proposals.model_dump(mode="json"),
        }
        write_durable(folder / "detector.json", json.dumps(described, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, features: RegionFeatures) -> RegionDetector:
        """Raises TrainingError: no detector there, or one of other features."""
        try:
            described = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
            arrays = load_file(folder / "heads.safetensors")
        except (OSError, ValueError) as error:
            raise TrainingError(f"{folder} holds no region detector: {error}") from None
        if described["features"] != features.name:
            raise TrainingError(
                f"the detector of {folder} reads features of {described['features']!r}, "
                f"not of {features.name!r}"
            )
        settings = RegionSettings.model_validate(described["settings"])
        arrays["score_bias"] = arrays["score_bias"].reshape(())
        heads = Heads(**arrays, kind=settings.kind)
        proposals = ProposalSettings.model_validate(described["proposals"])
        return cls(features, heads, settings, proposals)


@dataclass(slots=True)
class _Patches:
    features: list[FloatArray]
    overlap: list[Floats]
    offsets: list[Floats]

    def add(self, features: FloatArray, scene: Scene, boxes: Floats, mirrored: bool) -> None:
        overlap, nearest = scene.targets(boxes)
        by = np.zeros((len(boxes), 4))
        if len(scene.truths):
            by = offsets(boxes, scene.truths[nearest])
        if mirrored:
            by[:, 0] *= -1
        known = ~np.isnan(overlap)
        self.features.append(features[known])
        self.overlap.append(discretised(overlap[known]))
        self.offsets.append(by[known])

    def fit(self, settings: RegionSettings, seed: int) -> Heads:
        return fit_heads(
            np.concatenate(self.features),
            np.concatenate(self.overlap),
            np.concatenate(self.offsets),
            settings.kind,
            settings.cost,
            settings.ridge,
            seed,
        )


class _Reading(NamedTuple):
    """What is read of the training images, for any settings of the heads.

    Attributes:
        patches: evenly drawn over the levels of overlap.
        hard: for each image of a round, its number, boxes and their features.
    """

    patches: _Patches
    hard: list[list[tuple[int, Floats, FloatArray]]]


def read_patches(
    features: RegionFeatures,
    images: Sequence[Callable[[], Image]],
    scenes: Sequence[Scene],
    settings: RegionSettings,
    propose_with: Proposer,
    *,
    seed: int = 0,
    advance: Advance = lambda done, total: None,
) -> _Reading:
    """The features of all patches that training with these settings may use.

    Arguments as of `train_regions`.
    """
    rng = np.random.default_rng([seed, 0xDA27])
    patches = _Patches([], [], [])
    hard = min(settings.hard_pictures, len(images))
    total, done = len(images) + settings.rounds * hard, 0
    for read, scene in zip(images, scenes, strict=True):
        image = read()
        height, width = image.shape[:2]
        boxes = draw_patches(scene, propose_with(image), width, height, settings.per_level, rng)
        mirrored = rng.random(len(boxes)) < 0.5
        for side in (False, True):
            own = boxes[mirrored == side]
            if len(own):
                patches.add(features(image, own, side), scene, own, side)
        done += 1
        advance(done, total)
    rounds = []
    for _ in range(settings.rounds):
        searched = []
        for number in rng.permutation(len(images))[:hard].tolist():
            image = images[number]()
            boxes = propose_with(image)
            searched.append((number, boxes, features(image, boxes)))
            done += 1
            advance(done, total)
        rounds.append(searched)
    return _Reading(patches, rounds)


def train_regions(
    features: RegionFeatures,
    images: Sequence[Callable[[], Image]],
    scenes: Sequence[Scene],
    settings: RegionSettings,
    proposals: ProposalSettings,
    *,
    seed: int = 0,
    propose_with: Proposer | None = None,
    advance: Advance = lambda done, total: None,
) -> RegionDetector:
    """Trains the detector.

    1. Patches of each image are drawn evenly over the levels of overlap, half of them mirrored.
    2. The heads are fitted.
    3. In each round all proposals of some images are scored; the most overrated ones are added to
       the patches, and the heads are fitted again.

    Args:
        features: of regions.
        images: functions that read an image.
        scenes: the garments of each.
        settings, proposals: see there.
        seed: of every random draw.
        propose_with: as of `RegionDetector`.
        advance: called with (images read, images in all).
    """
    find: Proposer = propose_with or (lambda image: propose(image, proposals))
    patches, rounds = read_patches(
        features, images, scenes, settings, find, seed=seed, advance=advance
    )
    heads = patches.fit(settings, seed)
    for searched in rounds:
        for number, boxes, found in searched:
            scene = scenes[number]
            rows = _overrated(heads, found, scene.targets(boxes)[0], settings)
            if len(rows):
                patches.add(found[rows], scene, boxes[rows], False)
        heads = patches.fit(settings, seed)
    return RegionDetector(features, heads, settings, proposals, propose_with)


def _overrated(
    heads: Heads, features: FloatArray, overlap: Floats, settings: RegionSettings
) -> Any:
    """Rows of the hard examples: scored higher than they overlap, the worst first."""
    raw = heads.raw(features)
    if settings.kind == "svm":
        excess = np.where(overlap < BACKGROUND, raw + 1.0, -1.0)  # beyond the margin
    else:
        excess = raw - overlap - 0.1
    excess = np.where(np.isnan(overlap), -1.0, excess)
    order = np.argsort(-excess)[: settings.hard]
    return order[excess[order] > 0]
