"""YNet, TagYNet, CtxYNet.

"Cross-Domain Image Retrieval with Attention Modeling"
Xin Ji, Wei Wang, Meihui Zhang, Yang Yang. ACM Multimedia 2017.
https://arxiv.org/abs/1709.01784

================== ==========================================================================
paper              here
================== ==========================================================================
Figure 2, I        ``shared``
Figure 2, II, III  ``shop``, ``street``: copies of one branch
Eq. 1-3, IV        ``tag_attention`` (`hemline.learn.layers.attention.TagAttention`)
Eq. 4-6, V         ``context_attention`` (`hemline.learn.layers.attention.ContextAttention`)
Eq. 7              `YNet.loss` (`hemline.learn.losses.triplet.triplet_loss`)
Section 4.1        `YNet.encode_street` (first search), `YNet.rerank`
Section 5.2.3      `YNet.stages`
================== ==========================================================================

Differs from the paper:

- Shared are blocks 1-3 of NIN and conv1-conv4 of VGG-CNN-S, the last block is a branch; the paper
  counts one block more than NIN has. Any timm backbone does as well.
- Silent in the paper: negatives are drawn at random from the batch; YNet without attention averages
  over locations; the context is the shop vector before its normalisation; 30 epochs for each stage.
- ``authors_code`` switches to what the authors' code does and the paper doesn't say: squared
  distances, negatives by cyclic shifts of 1 to 4, and the shop branch frozen in stage CtxYNet.
- Our own options, off by default: ``projection``, ``centre``, ``alignment="inner"``,
  ``loss="infonce"``, semi-hard and hard negatives.
- A CtxYNet whose data has no tags averages on the shop side and skips stage TagYNet.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing, Triple
from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.layers.attention import Alignment, ContextAttention, TagAttention
from hemline.learn.layers.centering import DomainCentering
from hemline.learn.losses import LOSSES, known_loss
from hemline.learn.losses.infonce import infonce_loss
from hemline.learn.losses.mining import Negatives, mine
from hemline.learn.losses.triplet import triplet_loss
from hemline.learn.model import (
    Batch,
    ModelConfig,
    ModelSpec,
    RerankOutput,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
)

YNET, TAGYNET, CTXYNET = "YNet", "TagYNet", "CtxYNet"


class YNetConfig(ModelConfig):
    """Of all three networks; the defaults are the paper's.

    Attributes:
        backbone: the network that is cut into the Y.
        size: side of the pictures in pixels.
        resize: ``stretch`` or ``pad``, see `hemline.data.preprocess.Preprocessing`.
        street_mean, street_std, shop_mean, shop_std: of each domain, RGB in [0, 1].
        margin: of stages YNet and TagYNet.
        context_margin: of stage CtxYNet.
        loss: ``triplet`` (the paper's), ``infonce`` or another of `hemline.learn.losses.LOSSES`.
        temperature: of ``infonce``.
        negatives: where the triplets' negatives come from, see `hemline.learn.losses.mining`.
        negatives_count: shifts of ``cyclic``, draws of ``random``.
        distance: the triplet loss compares ``euclidean`` or ``squared`` distances.
        alignment: of the context attention.
        projection: a 1×1 convolution at the end of each branch to so many channels; None for none.
        centre: takes each domain's running mean out of its features, see
            `hemline.learn.layers.centering`.
        freeze_shop: stage CtxYNet leaves the shop branch and the tag attention as they are.
        authors_code: as the authors' code: squared distances, cyclic negatives and ``freeze_shop``,
            where these aren't given.
    """

    backbone: BackboneConfig = BackboneConfig()
    size: int = Field(default=224, ge=8, le=2048)
    resize: Literal["stretch", "pad"] = "stretch"
    street_mean: Triple = (0.5, 0.5, 0.5)
    street_std: Triple = (0.5, 0.5, 0.5)
    shop_mean: Triple = (0.5, 0.5, 0.5)
    shop_std: Triple = (0.5, 0.5, 0.5)
    margin: float = Field(default=0.3, gt=0)
    context_margin: float = Field(default=0.5, gt=0)
    loss: str = "triplet"
    temperature: float = Field(default=0.07, gt=0)
    negatives: Negatives = "random"
    negatives_count: int = Field(default=4, ge=1)
    distance: Literal["euclidean", "squared"] = "euclidean"
    alignment: Alignment = "linear"
    projection: int | None = Field(default=None, ge=1)
    centre: bool = False
    freeze_shop: bool = False
    authors_code: bool = False

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("authors_code") is True:
            return {"distance": "squared", "negatives": "cyclic", "freeze_shop": True} | value
        return value

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, value: str) -> str:
        return known_loss(value, ("triplet", "infonce"))


class YNet(RetrievalModel):
    """The Y: a shared backbone, a branch for each domain, and, as its stages say, attention on top.

    Args:
        config: of the network.
        tags: T, the size of the tag vocabulary.
        last: the stage it is made for: ``YNet``, ``TagYNet`` or ``CtxYNet``.

    Raises:
        UsageError: TagYNet without tags, or a backbone that can't be built.
    """

    stage_index: Tensor

    def __init__(self, config: YNetConfig, tags: int, last: str) -> None:
        super().__init__()
        if last == TAGYNET and tags == 0:
            raise UsageError(
                "tagynet attends by tags and the manifest has none; train ynet instead"
            )
        self.config = config
        self.tag_count = tags
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = Preprocessing(
            size=config.size,
            resize=config.resize,
            street_mean=config.street_mean,
            street_std=config.street_std,
            shop_mean=config.shop_mean,
            shop_std=config.shop_std,
        )
        backbone = build_backbone(config.backbone, config.size)
        channels = config.projection or backbone.channels
        branch = nn.Sequential(OrderedDict(features=backbone.branch()))
        if config.projection is not None:
            branch.add_module("projection", nn.Conv2d(backbone.channels, channels, 1, bias=False))
        if config.centre:
            branch.add_module("centre", DomainCentering(channels))
        self.shared = backbone.shared  # I
        self.shop, self.street = copy.deepcopy(branch), branch  # II, III
        self.embedding_dim = channels
        self.grid = backbone.grid
        names = [YNET]
        if last in (TAGYNET, CTXYNET) and tags > 0:
            names.append(TAGYNET)
            self.tag_attention = TagAttention(tags, channels)  # IV
        if last == CTXYNET:
            names.append(CTXYNET)
            locations = backbone.grid[0] * backbone.grid[1]
            self.context_attention = ContextAttention(channels, locations, config.alignment)  # V
        self._names = tuple(names)
        # The stage in force is part of the state: a checkpoint of stage YNet is read back as one.
        self.register_buffer("stage_index", torch.tensor(0))
        self.register_load_state_dict_post_hook(_stage_from_state)  # type: ignore[no-untyped-call]
        self.set_stage(last)

    def set_stage(self, name: str) -> None:
        """What is not yet trained in ``name`` is not used: no tags before TagYNet, no context
        before CtxYNet."""
        super().set_stage(name)
        self.stage = name
        self.stage_index.fill_(self._names.index(name))
        self.uses_tags = TAGYNET in self._names and name != YNET
        self.reranks = name == CTXYNET

    def stages(self) -> tuple[Stage, ...]:
        """Section 5.2.3: YNet, TagYNet, CtxYNet; subnetwork I is frozen after the first."""
        margin, context_margin = self.config.margin, self.config.context_margin
        tags = ("tag_attention",) if TAGYNET in self._names else ()
        shop = () if self.config.freeze_shop else ("shop", *tags)
        known = {
            YNET: Stage(YNET, ("shared", "street", "shop"), margin=margin),
            TAGYNET: Stage(TAGYNET, ("street", "shop", "tag_attention"), margin=margin),
            CTXYNET: Stage(CTXYNET, ("street", *shop, "context_attention"), margin=context_margin),
        }
        return tuple(known[name] for name in self._names)

    def encode_street(self, images: Tensor) -> StreetOutput:
        """Section 4.1: the evenly averaged embedding of the first search, and the features."""
        local = self.street(self.shared(images)).flatten(2).float()  # (B, C, L)
        embedding = functional.normalize(local.mean(dim=2), dim=1)
        return StreetOutput(embedding, local if self.reranks else None)

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        local = self.shop(self.shared(images)).flatten(2).float()  # (B, C, L)
        attention = None
        if self.uses_tags:
            vector, attention = self.tag_attention(local, tags)
            vector = vector.float()
        else:
            vector = local.mean(dim=2)
        norm = torch.linalg.vector_norm(vector, dim=1)
        return ShopOutput(functional.normalize(vector, dim=1), norm, attention)

    def rerank(self, local: Tensor, contexts: Tensor) -> RerankOutput:
        if not self.reranks:
            return super().rerank(local, contexts)
        distances, attention = self.context_attention.beside(local.unsqueeze(0), contexts)
        return RerankOutput(distances[0], attention[0])

    def distances(self, street: StreetOutput, shop: ShopOutput) -> Tensor:
        """(B, M) Euclidean; in stage CtxYNet each photo is seen beside each candidate."""
        if not self.reranks:
            return torch.cdist(
                street.embedding,
                shop.embedding,
                compute_mode="donot_use_mm_for_euclid_dist",
            )
        assert street.local is not None
        contexts = shop.embedding * shop.norm.unsqueeze(1)
        distances: Tensor = self.context_attention.beside(street.local, contexts)[0]
        return distances

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        if stage.name != self.stage:
            raise ValueError(f"stage {self.stage} is in force, not {stage.name}: call begin_stage")
        config = self.config
        street = self.encode_street(batch.street)
        shop = self.encode_shop(batch.shop, batch.tags)
        with torch.autocast(batch.street.device.type, enabled=False):  # distances need all digits
            distances = self.distances(street, shop)
        items = (batch.street_items, batch.shop_items)
        if config.loss == "infonce":
            loss = infonce_loss(distances, *items, config.temperature)
        elif config.loss == "triplet":
            triplets = mine(config.negatives, distances, *items, config.negatives_count)
            loss = triplet_loss(distances, triplets, stage.margin, config.distance == "squared")
        else:
            loss = LOSSES[config.loss](distances, *items)
        return {config.loss: loss.detach(), "total": loss}


def _stage_from_state(model: nn.Module, _: Any) -> None:
    assert isinstance(model, YNet)
    index = int(model.stage_index)
    if not 0 <= index < len(model._names):
        raise UsageError(
            f"the checkpoint is of stage {index + 1}, this model has {len(model._names)}; "
            "build the model that it was trained as"
        )
    model.set_stage(model._names[index])


def _build(last: str, config: YNetConfig, tag_vocabulary: Sequence[str]) -> YNet:
    return YNet(config, len(tag_vocabulary), last)


PAPER = "Cross-Domain Image Retrieval with Attention Modeling (ACM MM 2017)"
LINK = "https://arxiv.org/abs/1709.01784"
TINY = {"backbone": "test_efficientnet", "size": 64}

MODELS = {
    "ynet": ModelSpec(
        name="ynet",
        paper=PAPER,
        year=2017,
        link=LINK,
        config=YNetConfig,
        build=partial(_build, YNET),
        needs=("items",),
        summary="A shared backbone with a branch for street and one for shop images.",
        tiny=TINY,
    ),
    "tagynet": ModelSpec(
        name="tagynet",
        paper=PAPER,
        year=2017,
        link=LINK,
        config=YNetConfig,
        build=partial(_build, TAGYNET),
        needs=("items", "tags"),
        summary="YNet whose shop branch attends to what the item's tags name.",
        tiny=TINY,
    ),
    "ctxynet": ModelSpec(
        name="ctxynet",
        paper=PAPER,
        year=2017,
        link=LINK,
        config=YNetConfig,
        build=partial(_build, CTXYNET),
        needs=("items", "tags"),
        summary="TagYNet whose street branch attends to what the candidate shows; re-ranks.",
        tiny=TINY,
    ),
}
