"""The Siamese VGG-19: one network for both domains, up to its first fully connected layer.

"Cross domain Image Retrieval"
Shikha Agarwal, Sneha Bhattacharya. University of Massachusetts, Amherst, 2018.
https://github.com/ShikhaAgarwal/image_retrieval

================== ==========================================================================
text               here
================== ==========================================================================
Section 4.3        ``features`` and ``first``: VGG-19 till the first fully connected layer, 4,096
TripletLoss        `Siamese.loss` (`hemline.learn.losses.triplet.triplet_loss`)
Sections 4.2, 1    cosine or Euclidean neighbours: the same order for unit vectors
================== ==========================================================================

Differs from the text:

- The text speaks of two sub-networks and, in its formula, of no margin; the authors' code has one
  network and a margin of 0.3. So has this. ``margin: 0`` is the formula.
- Vectors have unit length before they are compared, in training as in the search.
- The third picture is drawn from the batch, whose items are drawn anew each epoch.
- ``authors_code``: squared distances and VGG-19 with batch normalisation, as the code has it.
- Any backbone whose features form maps does in VGG-19's place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing, Triple
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.backbones.timm_backbone import read_weights
from hemline.learn.losses.mining import Negatives, mine
from hemline.learn.losses.triplet import triplet_loss
from hemline.learn.model import (
    Batch,
    ModelConfig,
    ModelSpec,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
)

#: What the first fully connected layer is called, in timm's files and in torchvision's.
_FIRST = ("pre_logits.fc1", "classifier.0")


class SiameseConfig(ModelConfig):
    """Of the network; the defaults are the text's and, where it is silent, the authors' code.

    Attributes:
        backbone: ``vgg19`` or another.
        size: side of the pictures in pixels.
        resize: ``stretch`` or ``pad``, see `hemline.data.preprocess.Preprocessing`.
        mean, std: of the pictures of both domains, RGB in [0, 1].
        first: width of the first fully connected layer.
        margin: of the ranking loss.
        negatives, negatives_count: see `hemline.learn.losses.mining`.
        distance: the loss compares ``euclidean`` or ``squared`` distances.
        authors_code: ``backbone: vgg19_bn`` and ``distance: squared``, where these aren't given.
    """

    backbone: BackboneConfig = BackboneConfig(name="vgg19")
    size: int = Field(default=224, ge=32, le=2048)
    resize: Literal["stretch", "pad"] = "stretch"
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
        if isinstance(value, dict) and value.get("authors_code") is True:
            return {"backbone": "vgg19_bn", "distance": "squared"} | value
        return value


class Siamese(RetrievalModel):
    """Convolutions and one fully connected layer, the same for both domains.

    Args:
        config: of the network.

    Raises:
        UsageError: a backbone that can't be built, or weights that don't fit.
    """

    def __init__(self, config: SiameseConfig) -> None:
        super().__init__()
        self.config = config
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = Preprocessing.both_domains(
            config.size, config.resize, config.mean, config.std
        )
        backbone = build_backbone(config.backbone, config.size)
        self.features = nn.Sequential(backbone.shared, backbone.upper)
        height, width = backbone.grid
        self.first = nn.Linear(backbone.channels * height * width, config.first)
        nn.init.normal_(self.first.weight, std=0.01)
        nn.init.zeros_(self.first.bias)
        _take_first(self.first, _state(config.backbone))
        self.embedding_dim = config.first

    def _vectors(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.first(self.features(images).flatten(1))
        return vectors.float()

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput(functional.normalize(self._vectors(images), dim=1))

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        vectors = self._vectors(images)
        norm = torch.linalg.vector_norm(vectors, dim=1)
        return ShopOutput(functional.normalize(vectors, dim=1), norm)

    def stages(self) -> tuple[Stage, ...]:
        """The authors' code: Adam at 0.001."""
        margin = self.config.margin
        return (Stage("Siamese", ("features", "first"), lr=1e-3, optimizer="adamw", margin=margin),)

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        config = self.config
        street = self.encode_street(batch.street)
        shop = self.encode_shop(batch.shop, batch.tags)
        distances = torch.cdist(
            street.embedding, shop.embedding, compute_mode="donot_use_mm_for_euclid_dist"
        )
        items = (batch.street_items, batch.shop_items)
        triplets = mine(config.negatives, distances, *items, config.negatives_count)
        loss = triplet_loss(distances, triplets, stage.margin, config.distance == "squared")
        return {"triplet": loss.detach(), "total": loss}


def _state(config: BackboneConfig) -> Mapping[str, Tensor]:
    """The tensors that the backbone starts from, its classifier's among them."""
    if config.weights is not None:
        return read_weights(Path(config.weights).expanduser())
    if config.pretrained:
        import timm

        state: Mapping[str, Tensor] = timm.create_model(config.name, pretrained=True).state_dict()
        return state
    return {}


def _take_first(layer: nn.Linear, state: Mapping[str, Tensor]) -> None:
    """Takes over the first fully connected layer where the state has one of this size.

    timm keeps it as a convolution over the whole map; flattened it is the same matrix.
    """
    for name in _FIRST:
        weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        if weight is None or bias is None or weight.numel() != layer.weight.numel():
            continue
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(layer.weight.shape))
            layer.bias.copy_(bias)


def _build(config: SiameseConfig, tag_vocabulary: Sequence[str]) -> Siamese:
    return Siamese(config)


MODELS = {
    "siamese": ModelSpec(
        name="siamese",
        paper="Cross domain Image Retrieval (University of Massachusetts, 2018)",
        year=2018,
        link="https://github.com/ShikhaAgarwal/image_retrieval",
        config=SiameseConfig,
        build=_build,
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
