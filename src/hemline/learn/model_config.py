"""Configurations of models: validated, frozen, and the settings that most models share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hemline.data.preprocess import Preprocessing, Triple


class ModelConfig(BaseModel):
    """Settings of a model. A subclass stands beside each model; its defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageConfig(ModelConfig):
    """Settings of a model's images.

    Attributes:
        size: side of the square input in pixels.
        resize: ``stretch`` or ``pad``, see `hemline.data.preprocess.Preprocessing`.
    """

    size: int = Field(default=224, ge=32, le=2048)
    resize: Literal["stretch", "pad"] = "stretch"


class SharedImageConfig(ImageConfig):
    """`ImageConfig` with one normalisation for both domains.

    Attributes:
        mean, std: of R, G, B in [0, 1].
    """

    mean: Triple = (0.5, 0.5, 0.5)
    std: Triple = (0.5, 0.5, 0.5)

    def preprocessing(self) -> Preprocessing:
        return Preprocessing.both_domains(self.size, self.resize, self.mean, self.std)


class DomainImageConfig(ImageConfig):
    """`ImageConfig` with a normalisation for each domain.

    Attributes:
        street_mean, street_std, shop_mean, shop_std: of R, G, B in [0, 1].
    """

    street_mean: Triple = (0.5, 0.5, 0.5)
    street_std: Triple = (0.5, 0.5, 0.5)
    shop_mean: Triple = (0.5, 0.5, 0.5)
    shop_std: Triple = (0.5, 0.5, 0.5)

    def preprocessing(self) -> Preprocessing:
        return Preprocessing(
            size=self.size,
            resize=self.resize,
            street_mean=self.street_mean,
            street_std=self.street_std,
            shop_mean=self.shop_mean,
            shop_std=self.shop_std,
        )
