"""The Siamese VGG-19: one network for both domains, up to its first fully connected layer.

"Cross domain Image Retrieval"
Shikha Agarwal, Sneha Bhattacharya. University of Massachusetts, Amherst, 2018.
https://github.com/ShikhaAgarwal/image_retrieval

================== ==========================================================================
text               here
================== ==========================================================================
Section 4.3        ``features`` and ``first``: VGG-19 till the first fully connected layer, 4,096
TripletLoss        `Siamese.loss` (`hemline.learn.losses.triplet`)
Sections 4.2, 1    cosine or Euclidean neighbours: the same order for unit vectors
================== ==========================================================================

Differs from the text:

- The text has two sub-networks and a formula without a margin; the authors' code has one network
  and a margin of 0.3, and so has this. ``margin: 0`` is the formula.
- Vectors have unit length before they are compared, in training and in search.
- The negative is drawn from the batch, whose items are redrawn each epoch.
- ``authors_code``: squared distances and VGG-19 with batch normalisation, as in the code.
- Any convolutional backbone can replace VGG-19.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from hemline.data.preprocess import Triple
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.timm_backbone import read_weights
from hemline.learn.gathering import gathered
from hemline.learn.loss import RankingInputs
from hemline.learn.losses.triplet import mined_triplet_loss
from hemline.learn.mining import Negatives
from hemline.learn.model import Batch, ModelSpec, RetrievalModel, ShopOutput, Stage, StreetOutput
from hemline.learn.model_config import SharedImageConfig

#: Names of the first fully connected layer in timm's files and in torchvision's.
FIRST = ("pre_logits.fc1", "classifier.0")


class SiameseConfig(SharedImageConfig):
    """Settings; the defaults are the text's and, where it is silent, the authors' code's.

    Attributes:
        backbone: ``vgg19`` or another.
        first: width of the first fully connected layer.
        margin: of the ranking loss.
        negatives, negatives_count: see `hemline.learn.mining`.
        distance: the loss compares ``euclidean`` or ``squared`` distances.
        authors_code: ``backbone: vgg19_bn`` and ``distance: squared``, where these aren't given.
    """

    backbone: BackboneConfig = BackboneConfig(name="vgg19")
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    first: int = Field(default=4096, ge=2)
    margin: float = Field(default=0.3, ge=0)
    negatives: Negatives = "random"
    negatives_count: int = Field(default=1, ge=1)
    distance: Literal["euclidean", "squared"] = "euclidean"
    authors_code: bool = False

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        code = value.get("authors_code") is True
        given = value.get("backbone", {})
        if isinstance(given, dict) and "name" not in given:  # weights, of the default network
            value = value | {"backbone": {"name": "vgg19_bn" if code else "vgg19", **given}}
        return {"distance": "squared"} | value if code else value


class Siamese(RetrievalModel):
    """Convolutions and one fully connected layer, the same for both domains; tags are ignored.

    Raises:
        UsageError: a backbone that can't be built, or weights that don't fit.
    """

    def __init__(self, config: SiameseConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = config.preprocessing()
        backbone = build_backbone(config.backbone, config.size)
        self.features = nn.Sequential(backbone.shared, backbone.upper)
        height, width = backbone.grid
        self.first = nn.Linear(backbone.channels * height * width, config.first)
        nn.init.normal_(self.first.weight, std=0.01)
        nn.init.zeros_(self.first.bias)
        _load_first(self.first, _state(config.backbone))
        self.embedding_dim = config.first

    def _vectors(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.first(self.features(images).flatten(1))
        return vectors.float()

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput.of(self._vectors(images))

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        return ShopOutput.of(self._vectors(images))

    def stages(self) -> tuple[Stage, ...]:
        """The authors' code: Adam at 0.001."""
        margin = self.config.margin
        return (Stage("Siamese", ("features", "first"), lr=1e-3, optimizer="adamw", margin=margin),)

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        config = self.config
        street = self.encode_street(batch.street)
        shop = self.encode_shop(batch.shop, batch.tags)
        street, shop, batch = gathered(street, shop, batch)
        inputs = RankingInputs.of(self.distances(street, shop), street, shop, batch, stage)
        squared = config.distance == "squared"
        loss = mined_triplet_loss(inputs, config.negatives, config.negatives_count, squared)
        return {"triplet": loss.detach(), "total": loss}


def _state(config: BackboneConfig) -> Mapping[str, Tensor]:
    """The tensors that the backbone starts from, with its classifier's."""
    if config.weights is not None:
        return read_weights(Path(config.weights).expanduser())
    if config.pretrained:
        import timm

        state: Mapping[str, Tensor] = timm.create_model(config.name, pretrained=True).state_dict()
        return state
    return {}


def _load_first(layer: nn.Linear, state: Mapping[str, Tensor]) -> None:
    """Loads the first fully connected layer where the state has one of this size.

    timm has a convolution over the whole map; flattened it is the same matrix.
    """
    for name in FIRST:
        weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        if weight is None or bias is None or weight.numel() != layer.weight.numel():
            continue
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(layer.weight.shape))
            layer.bias.copy_(bias)


MODELS = {
    "siamese": ModelSpec(
        name="siamese",
        paper="Cross domain Image Retrieval (University of Massachusetts, 2018)",
        year=2018,
        link="https://github.com/ShikhaAgarwal/image_retrieval",
        config=SiameseConfig,
        build=Siamese,
        needs=("items",),
        summary="One VGG-19 for both domains, up to its first fully connected layer; triplet loss.",
        tiny={
            "backbone": "test_efficientnet",
            "size": 64,
            "first": 32,
            "negatives_count": 4,
            "margin": 0.9,
        },
    )
}
