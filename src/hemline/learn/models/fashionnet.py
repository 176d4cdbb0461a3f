"""FashionNet: one network that learns categories, attributes, landmarks and likeness together.

"DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations"
Ziwei Liu, Ping Luo, Shi Qiu, Xiaogang Wang, Xiaoou Tang. CVPR 2016.
https://liuziwei7.github.io/projects/DeepFashion.html

and as the YNet paper (https://arxiv.org/abs/1709.01784, section 5.2.1) compares it: VGG-CNN-S,
without landmarks (``gate: false``), and as TripletVGG also without attributes.

================== ==========================================================================
paper              here
================== ==========================================================================
global branch      ``whole``: fc6 of the last convolution
landmark branch    ``landmarks`` (`hemline.learn.layers.landmark_pooling`)
local branch       ``local``: features pooled about visible landmarks, fc6_local
fc7_fusion         ``fusion``, the embedding
category           softmax over the values of the tag ``category``
attributes         ``tagger``: yes or no for every other tag
triplet loss       `hemline.learn.losses.triplet.triplet_loss`
================== ==========================================================================

Differs from the paper:

- Its VGG-16 is VGG-CNN-S by default, as in the YNet paper; ``backbone: vgg16`` is the original's.
- The paper's loss weights are unknown (here 1 each), its two alternating phases are two stages.
- The gate is the chance of being visible; no gradient goes through the landmarks' places.
- Attributes without a value of their name count for nothing; the paper weighs by frequency.
- Margin 0.5 as the YNet paper's baselines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing, Triple
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.base import run_once
from hemline.learn.layers.landmark_pooling import LandmarkBranch, pool_at_landmarks
from hemline.learn.losses.attributes import attribute_loss
from hemline.learn.losses.landmarks import location_loss, visibility_loss
from hemline.learn.losses.mining import Negatives, mine
from hemline.learn.losses.multilabel import guesses, known_values, multilabel_loss, name_numbers
from hemline.learn.losses.triplet import triplet_loss
from hemline.learn.model import (
    Batch,
    ModelConfig,
    ModelSpec,
    Prediction,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
)
from hemline.types import LANDMARKS, VISIBLE


class FashionNetConfig(ModelConfig):
    """Of the network; the defaults are the YNet paper's.

    Attributes:
        backbone: its last stage feeds the branches, its shared part the local features.
        size: side of the pictures in pixels.
        resize: ``stretch`` or ``pad``, see `hemline.data.preprocess.Preprocessing`.
        mean, std: of the pictures of both domains, RGB in [0, 1].
        gate: the original's landmark branch and the features about the landmarks.
        attributes: learn the tags; False leaves the triplet loss alone (TripletVGG).
        whole, local, landmark: widths of fc6, of its local counterpart and of the landmark branch.
        dim: D, width of fc7.
        window: cells a side that are pooled about a landmark.
        margin: of the ranking loss.
        negatives, negatives_count: see `hemline.learn.losses.mining`.
        weight_attributes, weight_category, weight_landmarks: of their losses beside the triplet's.
    """

    backbone: BackboneConfig = BackboneConfig(name="vgg_cnn_s")
    size: int = Field(default=224, ge=32, le=2048)
    resize: Literal["stretch", "pad"] = "stretch"
    mean: Triple = (0.5, 0.5, 0.5)
    std: Triple = (0.5, 0.5, 0.5)
    gate: bool = False
    attributes: bool = True
    whole: int = Field(default=4096, ge=2)
    local: int = Field(default=1024, ge=2)
    landmark: int = Field(default=1024, ge=2)
    dim: int = Field(default=4096, ge=2)
    window: int = Field(default=3, ge=1)
    margin: float = Field(default=0.5, gt=0)
    negatives: Negatives = "random"
    negatives_count: int = Field(default=4, ge=1)
    weight_attributes: float = Field(default=1.0, gt=0)
    weight_category: float = Field(default=1.0, gt=0)
    weight_landmarks: float = Field(default=1.0, gt=0)


class FashionNet(RetrievalModel):
    """One network for both domains.

    Args:
        config: of the network.
        vocabulary: the tags it learns.

    Raises:
        UsageError: a backbone that can't be built.
    """

    names: Tensor

    def __init__(self, config: FashionNetConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.tag_count = len(vocabulary)
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = Preprocessing.both_domains(
            config.size, config.resize, config.mean, config.std
        )
        columns = [tag.partition("=")[0] == "category" for tag in vocabulary]
        self.categories = [n for n, is_one in enumerate(columns) if is_one]
        self.others = [n for n, is_one in enumerate(columns) if not is_one]
        others = name_numbers([vocabulary[n] for n in self.others])
        self.register_buffer("names", others, persistent=False)
        backbone = build_backbone(config.backbone, config.size)
        self.lower, self.upper = backbone.shared, backbone.upper
        flat = backbone.channels * backbone.grid[0] * backbone.grid[1]
        self.whole = nn.Sequential(nn.Linear(flat, config.whole), nn.ReLU())
        joined = config.whole
        if config.gate:
            channels = run_once(self.lower, config.size).shape[1]
            self.landmarks = LandmarkBranch(flat, config.landmark, len(LANDMARKS))
            self.local = nn.Sequential(
                nn.Linear(channels * len(LANDMARKS), config.local), nn.ReLU()
            )
            joined += config.local
        self.fusion = nn.Linear(joined, config.dim)
        if config.attributes:
            if self.categories:
                self.category = nn.Linear(config.dim, len(self.categories))
            if self.others:
                self.tagger = nn.Linear(config.dim, len(self.others))
                with torch.no_grad():
                    self.tagger.bias.copy_(guesses(self.names))
        self.embedding_dim = config.dim
        self.set_stage(self.stages()[-1].name)

    def _parts(self, images: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(B, 3, S, S) → fc7 (B, D); where gated the landmarks (B, 8, 2) and scores (B, 8, 3)."""
        lower = self.lower(images)
        upper = self.upper(lower)
        joined = self.whole(upper.flatten(1))
        where = scores = None
        if self.config.gate:
            where, scores = self.landmarks(upper)
            visible = scores.detach().softmax(dim=2)[..., VISIBLE]
            local = pool_at_landmarks(lower, where.detach(), visible, self.config.window)
            joined = torch.cat([joined, self.local(local.flatten(1))], dim=1)
        return self.fusion(joined).float(), where, scores

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput(functional.normalize(self._parts(images)[0], dim=1))

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        vectors = self._parts(images)[0]
        norm = torch.linalg.vector_norm(vectors, dim=1)
        return ShopOutput(functional.normalize(vectors, dim=1), norm)

    def predict(self, images: Tensor, street: bool) -> Prediction:
        vectors, where, _ = self._parts(images)
        attributes = None
        if hasattr(self, "category") or hasattr(self, "tagger"):
            attributes = vectors.new_zeros(len(vectors), self.tag_count)
            hidden = functional.relu(vectors)
            if hasattr(self, "category"):
                attributes[:, self.categories] = self.category(hidden).softmax(dim=1)
            if hasattr(self, "tagger"):
                attributes[:, self.others] = self.tagger(hidden).sigmoid()
        return Prediction(attributes, None if where is None else where * self.config.size)

    def stages(self) -> tuple[Stage, ...]:
        """The original first learns the landmarks, then everything; without them all at once."""
        margin = self.config.margin
        everything = tuple(name for name, _ in self.named_children())
        joint = Stage("joint", everything, margin=margin)
        if not self.config.gate:
            return (joint,)
        parts = ("lower", "upper", "landmarks")
        return (Stage("landmarks", parts, epochs=10, metric="landmark_error"), joint)

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        config = self.config
        vectors, where, scores = self._parts(torch.cat([batch.street, batch.shop]))
        losses: dict[str, Tensor] = {}
        if where is not None and scores is not None and batch.landmarks is not None:
            losses["landmarks"] = location_loss(where.float(), batch.landmarks, config.size)
            losses["visibility"] = visibility_loss(scores.float(), batch.landmarks)
        if stage.name == "joint":
            losses |= self._tags(functional.relu(vectors), batch)
            losses["triplet"] = self._ranking(vectors, batch, stage.margin)
        weights = {
            "landmarks": config.weight_landmarks,
            "visibility": config.weight_landmarks,
            "category": config.weight_category,
            "attributes": config.weight_attributes,
            "triplet": 1.0,
        }
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        return {**{name: value.detach() for name, value in losses.items()}, "total": total}

    def _tags(self, hidden: Tensor, batch: Batch) -> dict[str, Tensor]:
        street = batch.street_tags
        none = batch.tags.new_zeros(len(batch.street), batch.tags.shape[1])
        tags = torch.cat([none if street is None else street, batch.tags])
        losses = {}
        if hasattr(self, "category"):
            scores = self.category(hidden)
            losses["category"] = attribute_loss([scores], [tags[:, self.categories]])
        if hasattr(self, "tagger"):
            own = tags[:, self.others]
            losses["attributes"] = multilabel_loss(
                self.tagger(hidden), own, known_values(own, self.names)
            )
        return losses

    def _ranking(self, vectors: Tensor, batch: Batch, margin: float) -> Tensor:
        unit = functional.normalize(vectors, dim=1)
        street, shop = unit[: len(batch.street)], unit[len(batch.street) :]
        distances = torch.cdist(street, shop, compute_mode="donot_use_mm_for_euclid_dist")
        items = (batch.street_items, batch.shop_items)
        triplets = mine(self.config.negatives, distances, *items, self.config.negatives_count)
        return triplet_loss(distances, triplets, margin)


def _build(config: FashionNetConfig, tag_vocabulary: Sequence[str]) -> FashionNet:
    return FashionNet(config, tag_vocabulary)


MODELS = {
    "fashionnet": ModelSpec(
        name="fashionnet",
        paper="DeepFashion: Powering Robust Clothes Recognition and Retrieval (CVPR 2016)",
        year=2016,
        link="https://liuziwei7.github.io/projects/DeepFashion.html",
        config=FashionNetConfig,
        build=_build,
        needs=("items", "tags", "landmarks"),
        summary="One network learns categories, attributes, likeness and, if gated, landmarks.",
        tiny={
            "backbone": "test_efficientnet",
            "size": 64,
            "gate": True,
            "whole": 32,
            "local": 16,
            "landmark": 16,
            "dim": 32,
        },
    )
}
