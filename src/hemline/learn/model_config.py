"""Configurations of models: validated, frozen, and the settings that most models share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hemline.data.preprocess import Preprocessing, Triple
from hemline.errors import nearest


class ModelConfig(BaseModel):
    """Settings of a model. A subclass stands beside each model; its defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def unused_labels(self) -> tuple[str, ...]:
        """Labels of the model's `needs` that it doesn't learn from with these settings."""
        return ()


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


def first_wrong(config: type[BaseModel], error: ValidationError) -> str:
    """The first mistake of a configuration in a line; of an unknown key, the nearest known one."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    where = ".".join(path)
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        return f"{where}: {message}" if where else message
    for part in path[:-1]:
        inner = config.model_fields[part].annotation if part in config.model_fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            config = inner
    return f"no setting {where!r}. {nearest(path[-1], config.model_fields)}"
