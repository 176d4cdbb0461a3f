"""YFit: a Y with a frozen backbone and branches fitted in closed form. Ours, no paper's.

For data with few items: gradient training learns those items and doesn't transfer to others. Here
the backbone keeps its ImageNet weights, the features of several layers are concatenated, and the
branch of each domain is one linear map, computed in closed form from the training images
(`hemline.learn.layers.domain_maps`).

==================== ===========================================================================
of the Y             here
==================== ===========================================================================
subnetwork I         ``trunk``, frozen (but for stage ``Tune``), tapped at several stages
subnetworks II, III  ``shop``, ``street``: `hemline.learn.layers.domain_maps.DomainMap`, or with
                     ``fitted.experts`` `hemline.learn.layers.map_mixture.MapMixture`
pooling              the mean over locations and over several views; shop images on white: over
                     locations that are not white
==================== ===========================================================================

Differs from the YNet paper: all of the above. A street photo shows the item somewhere in the
middle, a shop image shows it alone; views and the white background use this without labels. A stage
with epochs goes on training the maps from their fit, by InfoNCE across the domains; the stage
``Tune`` trains the upper part of the backbone, too, and the maps are then fitted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from hemline.errors import DataError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.gathering import gathered
from hemline.learn.layers.distillation import FeatureDistillation
from hemline.learn.layers.domain_maps import DomainImages, DomainMap, DomainMapConfig, fit_maps
from hemline.learn.layers.joined_maps import JoinedMapConfig, JoinedMaps, shares_of
from hemline.learn.layers.map_mixture import MapMixture, experts_of, fit_mixture
from hemline.learn.layers.querybank import FURTHER, Querybank, QuerybankConfig
from hemline.learn.losses.info_nce import info_nce_loss
from hemline.learn.model import (
    Batch,
    Fitting,
    ModelSpec,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
)
from hemline.learn.model_config import DomainImageConfig
from hemline.types import Domain

TUNE, FIT = "Tune", "Fit"
#: A pixel whose darkest channel is at least this bright, of 255, is white background.
WHITE = 244
#: Weight of an all-white location beside 1 for a covered one.
FLOOR = 1e-3


class YFitConfig(DomainImageConfig):
    """Settings of YFit.

    Attributes:
        backbone: frozen; the features of its ``taps`` are concatenated.
        street_views, shop_views: zooms that are averaged: 1 is the whole image, above 1 its centre
            (2 the middle half of each side), below 1 the image on a white border.
        foreground: pool shop images over locations that are not white.
        fitted: how the maps are fitted.
        joined: the stage ``Tune`` trains maps of its own, which are joined to those that are fitted
            after it; null drops what it has trained for them.
        querybank: photos of the training that tell which shop images resemble every photo, so that
            those are no longer found for all; null for none. Embeddings have two numbers more.
        temperature: of the loss, where a stage has epochs.
        tune: a stage before the fit trains the upper part of the backbone and both maps, which
            begin at a fit of their own.
        kind: name of the tag whose value is an item's kind, where ``fitted.kinds`` or
            ``kind_loss`` is not 0.
        kind_loss: weight of a second task of the stages with epochs, the kind of each image, by a
            linear classifier on the features; 0 for none. It keeps what tells kinds apart, which
            learning to find the same item loses.
        distillation: weight of a further task of those stages: the features that the backbone's
            own weights give (without ``backbone.bundle``) stay predictable from the trained ones;
            0 for none. It keeps what items unlike the training's need.
    """

    backbone: BackboneConfig = BackboneConfig()
    size: int = Field(default=224, ge=8, le=2048)
    street_views: tuple[float, ...] = (1.0,)
    shop_views: tuple[float, ...] = (1.0,)
    foreground: bool = False
    fitted: DomainMapConfig = DomainMapConfig()
    joined: JoinedMapConfig | None = None
    querybank: QuerybankConfig | None = None
    temperature: float = Field(default=0.05, gt=0)
    tune: bool = False
    kind: str = "category"
    kind_loss: float = Field(default=0.0, ge=0)
    distillation: float = Field(default=0.0, ge=0)

    @field_validator("street_views", "shop_views")
    @classmethod
    def _sensible(cls, views: tuple[float, ...]) -> tuple[float, ...]:
        if not views or not all(0.25 <= zoom <= 4 for zoom in views):
            raise ValueError("views are one or more zooms from 0.25 to 4")
        return views


class YFit(RetrievalModel):
    """A frozen backbone, and a fitted map for each domain; tags name kinds only."""

    def __init__(self, config: YFitConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.tag_count = len(vocabulary)
        prefix = f"{config.kind}="
        self.kinds = [place for place, tag in enumerate(vocabulary) if tag.startswith(prefix)]
        self.freeze_bn = True
        self.stage = FIT
        self.preprocessing = config.preprocessing()
        backbone = build_backbone(config.backbone, config.size)
        # Named ``trunk`` in checkpoints.
        self.trunk = torch.nn.Sequential(backbone.shared, backbone.upper)
        self.blocks = backbone.blocks
        self.grid = backbone.grid
        dim = config.fitted.rank + config.fitted.kinds
        self.street = self._map(backbone.channels, dim)  # III
        self.shop = self._map(backbone.channels, dim)  # II
        experts = config.fitted.experts
        self.joined = JoinedMaps(backbone.channels, dim, experts) if config.joined else None
        self.querybank = Querybank(config.querybank, dim) if config.querybank else None
        self.embedding_dim = dim + (FURTHER if self.querybank else 0)
        if config.kind_loss:
            self.classifier = torch.nn.Linear(backbone.channels, max(1, len(self.kinds)))
        if config.distillation:
            self.distillation = FeatureDistillation(backbone.channels)
        # In a list: neither saved nor exported, and made by the first step that needs it.
        self._frozen: list[torch.nn.Module] = []

    def _map(self, channels: int, dim: int) -> DomainMap | MapMixture:
        experts = self.config.fitted.experts
        return MapMixture(channels, dim, experts) if experts > 1 else DomainMap(channels, dim)

    def stages(self) -> tuple[Stage, ...]:
        """The maps are fitted and then, if the recipe gives the stage epochs, trained; with
        ``tune`` after a stage that trains the upper part of the backbone too."""
        second = {"classifier": self.config.kind_loss, "distillation": self.config.distillation}
        tasks = tuple(name for name, weight in second.items() if weight)
        maps = ("street", "shop")
        fit = Stage(FIT, (*maps, *tasks), epochs=0, lr=1e-4, optimizer="adamw", fits=True)
        parts = (*(("joined",) if self.joined else maps), *tasks, "trunk.1")
        tune = Stage(TUNE, parts, epochs=3, lr=5e-4, optimizer="adamw", fits=True)
        return (tune, fit) if self.config.tune else (fit,)

    def _tunes(self, stage: Stage | None) -> bool:
        return stage is not None and stage.name == TUNE

    def street_features(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, C), before the map."""
        views = [self.trunk(zoomed(images, zoom, 0.0)) for zoom in self.config.street_views]
        return torch.stack([view.mean(dim=(2, 3)) for view in views]).mean(dim=0).float()

    def shop_features(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, C), before the map."""
        mean = images.new_tensor(self.preprocessing.shop_mean).view(1, 3, 1, 1)
        std = images.new_tensor(self.preprocessing.shop_std).view(1, 3, 1, 1)
        white = (1.0 - mean) / std  # (1, 3, 1, 1)
        pooled = []
        for zoom in self.config.shop_views:
            view = zoomed(images - white, zoom, 0.0) + white
            features = self.trunk(view)
            if self.config.foreground:
                share = covered(view * std + mean, (features.shape[2], features.shape[3]))
                pooled.append((features * share).sum(dim=(2, 3)))
            else:
                pooled.append(features.mean(dim=(2, 3)))
        return torch.stack(pooled).mean(dim=0).float()

    def encode_street(self, images: Tensor) -> StreetOutput:
        mapped = self._mapped("street", self.street_features(images))
        return StreetOutput.of(self.querybank.street(mapped) if self.querybank else mapped)

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        mapped = self._mapped("shop", self.shop_features(images))
        return ShopOutput.of(self.querybank.shop(mapped) if self.querybank else mapped)

    def _mapped(self, domain: Domain, features: Tensor) -> Tensor:
        """(B, C) → (B, D)."""
        fitted = self.street if domain == "street" else self.shop
        mapped: Tensor = fitted(features)
        if self.joined:
            trained = self.joined.street if domain == "street" else self.joined.shop
            mapped = self.joined(mapped, trained(features), fitted.gate(features))
        return mapped

    @torch.no_grad()
    def fit(self, street: Iterable[Fitting], shop: Iterable[Fitting]) -> None:
        if self.config.kind_loss and len(self.kinds) < 2:
            raise DataError(
                f"kind_loss needs images of at least two kinds (tags {self.config.kind}=…), and "
                f"the training images have {len(self.kinds)}; set model.config.kind_loss=0"
            )
        x, street_items, street_kinds, street_groups = self._gathered(street, self.street_features)
        y, shop_items, shop_kinds, shop_groups = self._gathered(shop, self.shop_features)
        kinds, groups = (street_kinds, shop_kinds), (street_groups, shop_groups)
        config, tunes = self.config.fitted, self._tunes(self._training_stage)
        photos = DomainImages(x, street_items, street_groups)
        goods = DomainImages(y, shop_items, shop_groups)
        if self.joined and tunes:
            self.joined.begin(
                fit_maps(x, street_items, y, shop_items, self.blocks, config, kinds, groups)
            )
        elif isinstance(self.street, MapMixture) and isinstance(self.shop, MapMixture):
            mixtures = fit_mixture(photos, goods, self.blocks, config, kinds)
            self.street.put(mixtures[0])
            self.shop.put(mixtures[1])
        elif isinstance(self.street, DomainMap) and isinstance(self.shop, DomainMap):
            maps = fit_maps(x, street_items, y, shop_items, self.blocks, config, kinds, groups)
            self.street.put(maps.street_weight, maps.street_bias)
            self.shop.put(maps.shop_weight, maps.shop_bias)
        if self.joined and self.config.joined and not tunes:
            self._join(self.joined, self.config.joined, photos, goods)
        if self.querybank is not None:
            device = self.street.weight.device
            of_photos = functional.normalize(self._mapped("street", x.to(device)), dim=1)
            of_goods = functional.normalize(self._mapped("shop", y.to(device)), dim=1)
            self.querybank.fit(of_photos, street_groups, of_goods)

    def _join(
        self, joined: JoinedMaps, config: JoinedMapConfig, photos: DomainImages, goods: DomainImages
    ) -> None:
        count, device = self.config.fitted.experts, self.street.weight.device
        experts = experts_of(photos, goods, count)[0] if count > 1 else photos.items * 0
        x, y = photos.features.to(device), goods.features.to(device)
        joined.join(
            shares_of(experts, photos.items, count, config),
            (x, y),
            (self.street(x), self.shop(y)),
            (self.street.gate(x), self.shop.gate(y)),
        )

    def _gathered(
        self, parts: Iterable[Fitting], features: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features (N, C), items, kinds and sources (N,) of all parts; 0 for an unknown source."""
        rows = [
            (
                features(part.images),
                part.items,
                self._kinds(part),
                self._groups(part),
            )
            for part in parts
        ]
        x, items, kinds, groups = (torch.cat(column).cpu() for column in zip(*rows, strict=True))
        return x, items, kinds, groups

    def _groups(self, part: Fitting) -> Tensor:
        if part.groups is not None:
            return part.groups
        fitted = self.config.fitted
        for name, needed, off in (
            ("balance", fitted.balance > 0, 0),
            ("experts", fitted.experts > 1, 1),
        ):
            if needed:
                raise DataError(
                    f"fitted.{name} needs the column that names each image's source: set "
                    f"data.batch_by, or model.config.fitted.{name}={off}"
                )
        return torch.zeros_like(part.items)

    def _kinds(self, part: Fitting) -> Tensor:
        """(B,) number of each image's kind, -1 where it has none."""
        own = part.tags[:, self.kinds]  # (B, K)
        if not self.kinds:
            return torch.full((len(own),), -1)
        return torch.where(own.any(dim=1), own.argmax(dim=1), -1).cpu()

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        photos, goods = self.street_features(batch.street), self.shop_features(batch.shop)
        if self.config.distillation:
            frozen = self._frozen_features(torch.cat([batch.street, batch.shop]))
        with torch.autocast(batch.street.device.type, enabled=False):
            maps = self.joined if self.joined and self._tunes(stage) else self
            street = StreetOutput.of(maps.street(photos))
            shop = ShopOutput.of(maps.shop(goods))
            street, shop, every = gathered(street, shop, batch)
            distances = torch.cdist(street.embedding, shop.embedding)
            total = info_nce_loss(
                distances, every.street_items, every.shop_items, self.config.temperature
            )
            losses = {"infonce": total.detach()}
            if self.config.kind_loss:
                kinds = self._kind_loss(torch.cat([photos, goods]), batch.labels())
                losses["kinds"] = kinds.detach()
                total = total + self.config.kind_loss * kinds
            if self.config.distillation:
                lost = self.distillation(torch.cat([photos, goods]), frozen)
                losses["distillation"] = lost.detach()
                total = total + self.config.distillation * lost
        return {**losses, "total": total}

    @torch.no_grad()
    def _frozen_features(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, C) as the backbone's own weights give them."""
        if not self._frozen:
            alone = self.config.backbone.model_copy(update={"bundle": None})
            backbone = build_backbone(alone, self.config.size)
            self._frozen.append(torch.nn.Sequential(backbone.shared, backbone.upper).eval())
        network = self._frozen[0].to(images.device)
        features: Tensor = network(images).mean(dim=(2, 3)).float()
        return features

    def _kind_loss(self, features: Tensor, tags: Tensor) -> Tensor:
        """Cross-entropy of the kinds of (N, C) features; images without a kind don't count."""
        own = tags[:, self.kinds]  # (N, K)
        known = own.any(dim=1)
        parts = torch.split(features, list(self.blocks), dim=1)
        blocks = [functional.layer_norm(x, x.shape[1:]) for x in parts]
        scores = self.classifier(torch.cat(blocks, dim=1))  # (N, K)
        each = functional.cross_entropy(
            scores, own.argmax(dim=1), reduction="none", label_smoothing=0.1
        )
        return (each * known).sum() / known.sum().clamp(min=1)


def zoomed(images: Tensor, zoom: float, border: float) -> Tensor:
    """(B, 3, S, S) → the same: its centre enlarged, or the whole made smaller on a border."""
    size = images.shape[-1]
    if zoom > 1:
        side = max(1, round(size / zoom))
        start = (size - side) // 2
        images = images[:, :, start : start + side, start : start + side]
    if zoom < 1:
        side = max(1, round(size * zoom))
        start = (size - side) // 2
        small = functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
        end = size - side - start
        return functional.pad(small, (start, end, start, end), value=border)
    if zoom == 1:
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)


def covered(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of each location that is not white: (B, 3, S, S) in [0, 1] → (B, 1, H, W), sum 1."""
    shown = (images.amin(dim=1, keepdim=True) < WHITE / 255).float()
    share = functional.adaptive_avg_pool2d(shown, grid) + FLOOR
    return share / share.sum(dim=(2, 3), keepdim=True)


MODELS = {
    "yfit": ModelSpec(
        name="yfit",
        paper="none (ours); within-class covariance normalisation: Hatch et al., Interspeech 2006",
        year=2026,
        link="https://www.isca-archive.org/interspeech_2006/hatch06_interspeech.html",
        config=YFitConfig,
        build=YFit,
        needs=("items",),
        summary="A frozen backbone with a linear map for each domain, fitted in closed form.",
        tiny={
            "backbone": {"name": "test_efficientnet"},
            "size": 64,
            "street_views": (1.0, 1.5),
            "shop_views": (1.0, 0.5),
            "foreground": True,
            "fitted": {"rank": 6},
            "querybank": {"photos": 8},
        },
    )
}
