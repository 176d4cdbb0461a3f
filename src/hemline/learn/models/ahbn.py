"""AHBN, the Attentional Heterogeneous Bilinear Network.

"Where to Look and How to Describe: Fashion Image Retrieval with an Attentional Heterogeneous
Bilinear Network"
Haibo Su, Peng Wang, Lingqiao Liu, Hui Li, Zhen Li, Yanning Zhang. IEEE TCSVT 31(8), 2021.
https://arxiv.org/abs/2010.13357

================== ==========================================================================
paper              here
================== ==========================================================================
III-B, Eq. 1       ``appearance``, `hemline.learn.losses.multilabel`
III-C, Eq. 2       ``location``, `hemline.learn.layers.hourglass`, `hemline.learn.losses.heatmap`
III-D, Eq. 3-11    ``meeting`` (`hemline.learn.layers.branch_fusion.BranchFusion`)
Eq. 12             ``identity`` (`hemline.learn.layers.item_table`)
IV-C               stages ``attributes`` and ``landmarks``, then ``joint``
Table I            the options of `AHBNConfig`; docs/models/ahbn.md has the rows
================== ==========================================================================

Differs from the paper:

- The embedding is L2-normalised, as this package requires; the paper compares the representation
  without normalising it. Identities are classified from the representation, as in the paper.
- Missing in the text, so ours: sizes of images, sketch, projection and representation, learning
  rate, and how product and sum join branches of unequal channels (both are projected).
- The landmark branch gets the same images, resized to a multiple of 64.
- The sketch of the averaged outer product replaces the average of sketches, which is equal; see
  `hemline.learn.layers.bilinear`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.layers.branch_fusion import Attention, BranchFusion, Fusion
from hemline.learn.layers.channel_attention import Gate
from hemline.learn.layers.hourglass import StackedHourglass
from hemline.learn.layers.item_table import ItemClassifier
from hemline.learn.losses.heatmap import heatmap_loss, points_of
from hemline.learn.losses.multilabel import (
    known_values,
    multilabel_loss,
    name_numbers,
    prior_logits,
)
from hemline.learn.model import (
    Batch,
    ModelSpec,
    Prediction,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
    weighted,
)
from hemline.learn.model_config import ModelConfig, SharedImageConfig
from hemline.types import LANDMARKS


class LocationConfig(ModelConfig):
    """Settings of the stacked hourglasses.

    Attributes:
        size: side of their input in pixels, a multiple of 64; maps have a quarter of it.
        channels, stacks, depth: see `hemline.learn.layers.hourglass.StackedHourglass`.
        sigma: of the target Gaussians, in cells.
    """

    size: int = Field(default=256, ge=64, multiple_of=64)
    channels: int = Field(default=256, ge=4)
    stacks: int = Field(default=4, ge=1)
    depth: int = Field(default=4, ge=1, le=4)
    sigma: float = Field(default=1.0, gt=0)


class AHBNConfig(SharedImageConfig):
    """Settings of AHBN and its ablations; the defaults are the paper's full model.

    Attributes:
        branches: ``both``, or one alone (Table I's single branch).
        backbone: of the appearance branch.
        location: of the landmark branch.
        attributes: learn the tags from the appearance branch ("ATTR").
        landmarks: learn the landmarks from the location branch ("LM").
        maps: output of the location branch: its last ``features`` or its ``heatmaps``.
        fusion: of the branches: ``compact`` or full ``bilinear`` pooling, ``concat``,
            ``product`` or ``sum``.
        sketch: size of the count sketch.
        width: channels that ``product`` and ``sum`` project both branches to.
        attention: of channels: ``co``, ``separate`` or ``none``.
        gate: of channel weights.
        hidden: projection dimensions of the channel attention.
        spatial: a single branch pools with a learned attention over locations.
        map_size: H = W where the branches are joined; None for the appearance branch's own.
        dim: D of the representation.
        weight_attributes, weight_landmarks: of their losses beside the identity loss.
    """

    branches: Literal["both", "appearance", "location"] = "both"
    backbone: BackboneConfig = BackboneConfig(name="inception_resnet_v2")
    location: LocationConfig = LocationConfig()
    size: int = Field(default=299, ge=32, le=2048)
    attributes: bool = True
    landmarks: bool = True
    maps: Literal["features", "heatmaps"] = "features"
    fusion: Fusion = "compact"
    sketch: int = Field(default=8192, ge=8)
    width: int = Field(default=512, ge=1)
    attention: Attention = "co"
    gate: Gate = "sigmoid"
    hidden: int = Field(default=512, ge=1)
    spatial: bool = False
    map_size: int | None = Field(default=None, ge=1)
    dim: int = Field(default=512, ge=2)
    weight_attributes: float = Field(default=1.0, gt=0)
    weight_landmarks: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> AHBNConfig:
        if self.spatial and self.branches == "both":
            raise ValueError("spatial attention is of a single branch: branches=appearance")
        return self

    def unused_labels(self) -> tuple[str, ...]:
        tags = self.attributes and self.branches != "location"
        landmarks = self.landmarks and self.branches != "appearance"
        return (*(() if tags else ("tags",)), *(() if landmarks else ("landmarks",)))


class AHBN(RetrievalModel):
    """One network for both domains: an appearance branch, a location branch, and their fusion.

    Raises:
        UsageError: a backbone that can't be built.
    """

    names: Tensor

    def __init__(self, config: AHBNConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.tag_count = len(vocabulary)
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = config.preprocessing()
        self.register_buffer("names", name_numbers(vocabulary), persistent=False)
        points, channels = len(LANDMARKS), 0
        if config.branches != "location":
            backbone = build_backbone(config.backbone, config.size)
            self.appearance = nn.Sequential(backbone.shared, backbone.upper)
            self.grid = backbone.grid
            channels = backbone.channels
            if config.attributes and vocabulary:
                self.tagger = nn.Linear(channels, len(vocabulary))
                with torch.no_grad():
                    self.tagger.bias.copy_(prior_logits(self.names))
        located = 0
        if config.branches != "appearance":
            location = config.location
            self.location = StackedHourglass(
                points, location.channels, location.stacks, location.depth
            )
            located = location.channels if config.maps == "features" else points
            if config.branches == "location":
                cells = location.size // 4
                self.grid = (cells, cells)
        if config.map_size is not None:
            self.grid = (config.map_size, config.map_size)
        self.spatial: nn.Module | None = None
        if config.branches == "both":
            assert self.grid is not None
            self.meeting = BranchFusion(
                channels,
                located,
                self.grid,
                config.fusion,
                config.sketch,
                config.width,
                config.attention,
                config.gate,
                config.hidden,
            )
            pooled = self.meeting.size
        else:
            pooled = channels or located
            if config.spatial:
                self.spatial = nn.Conv2d(pooled, 1, 1)
        self.project = nn.Linear(pooled, config.dim)
        if config.branches == "both" and self.meeting.unit:
            # Its input has length 1; the default initialisation expects values of size 1.
            with torch.no_grad():
                self.project.weight.mul_(pooled**0.5)
        self.identity = ItemClassifier(config.dim)
        self.embedding_dim = config.dim

    def expect_items(self, items: Tensor) -> None:
        self.identity.expect(items)

    # The parts of one forward pass

    def _located(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) → the branch's maps (B, C₂, h, h), heat maps (N, B, K, h, h)."""
        side = self.config.location.size
        if images.shape[-1] != side:
            images = functional.interpolate(
                images, size=(side, side), mode="bilinear", align_corners=False
            )
        found = self.location(images)
        maps = found.features if self.config.maps == "features" else found.heatmaps[-1]
        return maps, found.heatmaps

    def _representation(self, first: Tensor | None, second: Tensor | None) -> Tensor:
        """(B, D), before its normalisation."""
        if first is not None and second is not None:
            pooled: Tensor = self.meeting(first, second)
        else:
            maps = first if first is not None else second
            assert maps is not None
            if self.spatial is not None:
                attention = self.spatial(maps).flatten(2).softmax(dim=2)
                pooled = (maps.flatten(2) * attention).sum(dim=2)
            else:
                pooled = maps.mean(dim=(2, 3))
        representation: Tensor = self.project(pooled)
        return representation

    def _encoded(self, images: Tensor) -> Tensor:
        first = self.appearance(images) if self.config.branches != "location" else None
        second = self._located(images)[0] if self.config.branches != "appearance" else None
        return self._representation(first, second).float()

    # The contract

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput.of(self._encoded(images))

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        return ShopOutput.of(self._encoded(images))

    def predict(self, images: Tensor, street: bool) -> Prediction:
        """Attribute scores and landmarks, as the two pre-training stages learn them."""
        attributes = landmarks = None
        if hasattr(self, "tagger"):
            attributes = self.tagger(self.appearance(images).mean(dim=(2, 3))).sigmoid()
        if self.config.branches != "appearance" and self.config.landmarks:
            maps = self._located(images)[1][-1]
            landmarks = points_of(maps, self.config.size)
        return Prediction(attributes, landmarks)

    def stages(self) -> tuple[Stage, ...]:
        """IV-C: each branch alone, then all with the three losses (Adam, rate halved in steps)."""
        config = self.config
        stages = []
        if hasattr(self, "tagger"):
            stages.append(_stage("attributes", ("appearance", "tagger"), 10, "attribute_map"))
        if config.branches != "appearance" and config.landmarks:
            stages.append(_stage("landmarks", ("location",), 10, "landmark_error"))
        return (*stages, _stage("joint", self._learned(), 30))

    def _learned(self) -> tuple[str, ...]:
        """Prefixes of all parameters that have a gradient in stage ``joint``."""
        found = [n for n, m in self.named_children() if any(True for _ in m.parameters())]
        config = self.config
        if "location" in found and not config.landmarks and config.maps == "features":
            # The last heat maps are then in no loss.
            found.remove("location")
            parts = self.location.named_children()
            whole = [n for n, m in parts if n != "maps" and any(True for _ in m.parameters())]
            found += [f"location.{name}" for name in whole]
            found += [f"location.maps.{n}" for n in range(config.location.stacks - 1)]
        return tuple(found)

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        images = batch.images()
        losses: dict[str, Tensor] = {}
        first = second = None
        config = self.config
        if config.branches != "location" and stage.name != "landmarks":
            first = self.appearance(images)
            if hasattr(self, "tagger"):
                scores = self.tagger(first.mean(dim=(2, 3)))
                tags = batch.labels()
                # Unknown types are masked; of a known one a value that isn't there is absent.
                known = known_values(tags, self.names) if batch.known is None else batch.known
                losses["attributes"] = multilabel_loss(scores.float(), tags, known)
        if config.branches != "appearance" and stage.name != "attributes":
            second, heatmaps = self._located(images)
            if config.landmarks and batch.landmarks is not None:
                losses["landmarks"] = heatmap_loss(
                    heatmaps.float(),
                    batch.landmarks,
                    config.size,
                    config.location.sigma,
                    over="annotated",  # Eq. 2
                )
        if stage.name == "joint":
            vector = self._representation(first, second).float()
            losses["identity"] = self.identity.loss(vector, batch.items())
        weights = {"attributes": config.weight_attributes, "landmarks": config.weight_landmarks}
        return weighted(losses, weights)


def _stage(name: str, trains: tuple[str, ...], epochs: int, metric: str = "") -> Stage:
    return Stage(
        name,
        trains,
        epochs=epochs,
        lr=1e-4,
        lr_step=10,
        lr_decay=0.5,
        optimizer="adamw",
        metric=metric,
    )


MODELS = {
    "ahbn": ModelSpec(
        name="ahbn",
        paper="Where to Look and How to Describe (IEEE TCSVT 2021)",
        year=2021,
        link="https://arxiv.org/abs/2010.13357",
        config=AHBNConfig,
        build=AHBN,
        needs=("items", "tags", "landmarks"),
        summary="Attribute and landmark branches, channel co-attention, compact bilinear pooling.",
        tiny={
            "backbone": "test_efficientnet",
            "size": 64,
            "location": {"size": 64, "channels": 8, "stacks": 2, "depth": 2},
            "sketch": 256,
            "hidden": 16,
            "dim": 32,
        },
    )
}
