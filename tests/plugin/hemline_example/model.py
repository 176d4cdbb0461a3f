"""A model that embeds the mean colour."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing
from hemline.learn.losses import LOSSES
from hemline.learn.model import (
    Batch,
    ModelSpec,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
)
from hemline.learn.model_config import ModelConfig


class MeanColourConfig(ModelConfig):
    dim: int = 8
    loss: str = "infonce"


class MeanColour(RetrievalModel):
    def __init__(self, config: MeanColourConfig) -> None:
        super().__init__()
        self.config, self.embedding_dim = config, config.dim
        self.preprocessing = Preprocessing(size=32)
        self.project = nn.Linear(3, config.dim)

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput(self.encode_shop(images, images).embedding)

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        vector = self.project(images.mean(dim=(2, 3)))
        return ShopOutput(functional.normalize(vector), torch.linalg.vector_norm(vector, dim=1))

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("learn", trains=("project",), epochs=1),)

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        street = self.encode_street(batch.street)
        shop = self.encode_shop(batch.shop, batch.tags)
        distances = self.distances(street, shop)
        return {"total": LOSSES[self.config.loss](distances, batch.street_items, batch.shop_items)}


MODELS = {
    "mean-colour": ModelSpec(
        name="mean-colour",
        paper="none: an example",
        year=2024,
        link="",
        config=MeanColourConfig,
        build=lambda config, vocabulary: MeanColour(config),
        needs=("items",),
        summary="The mean colour, projected.",
    )
}
