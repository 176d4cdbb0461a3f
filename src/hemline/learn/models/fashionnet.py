"""FashionNet: one network that learns categories, attributes, landmarks and retrieval together.

"DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations"
Ziwei Liu, Ping Luo, Shi Qiu, Xiaogang Wang, Xiaoou Tang. CVPR 2016.
https://liuziwei7.github.io/projects/DeepFashion.html

Also the baselines of the YNet paper (https://arxiv.org/abs/1709.01784, section 5.2.1): VGG-CNN-S
without landmarks (``gate: false``); TripletVGG, also without attributes.

================== ==========================================================================
paper              here
================== ==========================================================================
global branch      ``whole``: fc6 of the last convolution
landmark branch    ``landmarks`` (`hemline.learn.layers.landmark_pooling`)
local branch       ``local``: features pooled at visible landmarks, fc6_local
fc7_fusion         ``fusion``, the embedding
category           softmax over the values of the tag ``category``
attributes         ``tagger``: yes or no for every other tag
triplet loss       `hemline.learn.losses.triplet.triplet_loss`
================== ==========================================================================

Differs from the paper:

- VGG-CNN-S replaces VGG-16, as in the YNet paper; ``backbone: vgg16`` is the original.
- The paper's loss weights are unknown (here 1 each); its two alternating phases are two stages.
- The gate is the probability of being visible; no gradient goes through landmark locations.
- Attributes without a value of their name are left out; the paper weights by frequency.
- Margin 0.5, as the YNet paper's baselines.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.base import run_once
from hemline.learn.gathering import gathered
from hemline.learn.layers.landmark_pooling import LandmarkBranch, pool_at_landmarks
from hemline.learn.loss import RankingInputs
from hemline.learn.losses.attributes import attribute_loss
from hemline.learn.losses.landmarks import location_loss, visibility_loss
from hemline.learn.losses.multilabel import (
    known_values,
    multilabel_loss,
    name_numbers,
    prior_logits,
)
from hemline.learn.losses.triplet import mined_triplet_loss
from hemline.learn.mining import Negatives
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
from hemline.learn.model_config import SharedImageConfig
from hemline.types import LANDMARKS, VISIBLE

#: Of stage joint: the YNet paper gives no number; ours lets its rate be divided by 10 twice.
EPOCHS = 90


class FashionNetConfig(SharedImageConfig):
    """Settings of FashionNet; the defaults are the YNet paper's.

    Attributes:
        backbone: its last stage feeds the branches, its shared part the local features.
        gate: the original's landmark branch and features at the landmarks.
        attributes: learn the tags; False trains by the triplet loss alone (TripletVGG).
        whole, local, landmark: widths of fc6, of its local counterpart and of the landmark branch.
        dim: D, width of fc7.
        window: side in cells of what is pooled at a landmark.
        margin: of the ranking loss.
        negatives, negatives_count: see `hemline.learn.mining`.
        weight_attributes, weight_category, weight_landmarks: of their losses beside the triplet
            loss.
    """

    backbone: BackboneConfig = BackboneConfig(name="vgg_cnn_s")
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

    def unused_labels(self) -> tuple[str, ...]:
        return (
            *(() if self.attributes else ("tags",)),
            *(() if self.gate else ("landmarks",)),
        )


class FashionNet(RetrievalModel):
    """One network for both domains.

    Raises:
        UsageError: a backbone that can't be built.
    """

    names: Tensor

    def __init__(self, config: FashionNetConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.tag_count = len(vocabulary)
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = config.preprocessing()
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
                    self.tagger.bias.copy_(prior_logits(self.names))
        self.embedding_dim = config.dim

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
        return StreetOutput.of(self._parts(images)[0])

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        return ShopOutput.of(self._parts(images)[0])

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
        """The original trains the landmarks first; without them there is one stage."""
        margin = self.config.margin
        everything = tuple(name for name, _ in self.named_children())
        joint = Stage("joint", everything, EPOCHS, margin=margin)
        if not self.config.gate:
            return (joint,)
        parts = ("lower", "upper", "landmarks")
        return (Stage("landmarks", parts, epochs=10, metric="landmark_error"), joint)

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        config = self.config
        vectors, where, scores = self._parts(batch.images())
        losses: dict[str, Tensor] = {}
        if where is not None and scores is not None and batch.landmarks is not None:
            losses["landmarks"] = location_loss(where.float(), batch.landmarks, config.size)
            losses["visibility"] = visibility_loss(scores.float(), batch.landmarks)
        if stage.name == "joint":
            losses |= self._tags(functional.relu(vectors), batch)
            losses["triplet"] = self._ranking(vectors, batch, stage)
        weights = {
            "landmarks": config.weight_landmarks,
            "visibility": config.weight_landmarks,
            "category": config.weight_category,
            "attributes": config.weight_attributes,
        }
        return weighted(losses, weights)

    def _tags(self, hidden: Tensor, batch: Batch) -> dict[str, Tensor]:
        tags = batch.labels()
        losses = {}
        if hasattr(self, "category"):
            scores = self.category(hidden)
            losses["category"] = attribute_loss([scores], [tags[:, self.categories]])
        if hasattr(self, "tagger"):
            own = tags[:, self.others]
            known = known_values(own, self.names)
            if batch.known is not None:
                known = batch.known[:, self.others]
            losses["attributes"] = multilabel_loss(self.tagger(hidden), own, known)
        return losses

    def _ranking(self, vectors: Tensor, batch: Batch, stage: Stage) -> Tensor:
        street = StreetOutput.of(vectors[: len(batch.street)])
        shop = ShopOutput.of(vectors[len(batch.street) :])
        street, shop, batch = gathered(street, shop, batch)
        inputs = RankingInputs.of(self.distances(street, shop), street, shop, batch, stage)
        return mined_triplet_loss(inputs, self.config.negatives, self.config.negatives_count)


MODELS = {
    "fashionnet": ModelSpec(
        name="fashionnet",
        paper="DeepFashion: Powering Robust Clothes Recognition and Retrieval (CVPR 2016)",
        year=2016,
        link="https://liuziwei7.github.io/projects/DeepFashion.html",
        config=FashionNetConfig,
        build=FashionNet,
        needs=("items", "tags", "landmarks"),
        summary="One network learns categories, attributes, retrieval and, if gated, landmarks.",
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
