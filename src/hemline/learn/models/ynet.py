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

- Blocks 1-3 of NIN and conv1-conv4 of VGG-CNN-S are shared and the last block is the branch; the
  paper counts one block more than NIN has. Any convolutional timm backbone works too.
- Where the paper is silent: negatives are drawn at random from the batch; YNet without attention
  averages over locations; the context is the shop vector before normalisation; 90 epochs a stage.
- ``authors_code`` follows the authors' code where the paper is silent: squared distances, negatives
  by cyclic shifts of 1 to 4, and the shop branch frozen in stage CtxYNet.
- Our options, off by default: ``projection``, ``centre``, ``alignment="inner"``,
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
from pydantic import Field, model_validator
from torch import Tensor, nn

from hemline.errors import UsageError
from hemline.learn.backbones import BackboneConfig, build_backbone
from hemline.learn.gathering import gathered
from hemline.learn.layers.attention import Alignment, ContextAttention, TagAttention
from hemline.learn.layers.centering import DomainCentering
from hemline.learn.loss import DistanceLossName, RankingInputs, RankingOptions, build_loss
from hemline.learn.mining import Negatives
from hemline.learn.model import (
    Batch,
    ModelSpec,
    RerankOutput,
    ShopOutput,
    Stage,
    StagedModel,
    StreetOutput,
)
from hemline.learn.model_config import DomainImageConfig

YNET, TAGYNET, CTXYNET = "YNet", "TagYNet", "CtxYNet"
#: Of each stage: the paper gives no number; ours lets its rate be divided by 10 twice.
EPOCHS = 90


class YNetConfig(DomainImageConfig):
    """Settings of all three networks; the defaults are the paper's.

    Attributes:
        backbone: the network that is cut into the Y.
        margin: of stages YNet and TagYNet.
        context_margin: of stage CtxYNet.
        loss: ``triplet`` (the paper's), ``infonce``, or another that reads distances.
        temperature: of ``infonce``.
        negatives: how triplets are mined, see `hemline.learn.mining`.
        negatives_count: shifts of ``cyclic``, draws of ``random``.
        distance: the triplet loss compares ``euclidean`` or ``squared`` distances.
        alignment: of the context attention.
        projection: channels of a 1×1 convolution at the end of each branch; None for none.
        centre: subtract each domain's running mean from its features, see
            `hemline.learn.layers.centering`.
        freeze_shop: stage CtxYNet freezes the shop branch and the tag attention.
        authors_code: squared distances, cyclic negatives and ``freeze_shop``, where these aren't
            given.
    """

    backbone: BackboneConfig = BackboneConfig()
    size: int = Field(default=224, ge=8, le=2048)
    margin: float = Field(default=0.3, gt=0)
    context_margin: float = Field(default=0.5, gt=0)
    loss: DistanceLossName = "triplet"
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


class YNet(StagedModel):
    """The Y: a shared backbone, a branch for each domain, and attention according to the stage.

    Args:
        last: its last stage: ``YNet``, ``TagYNet`` or ``CtxYNet``.

    Raises:
        UsageError: TagYNet without tags, or a backbone that can't be built.
    """

    def __init__(self, config: YNetConfig, vocabulary: Sequence[str], last: str) -> None:
        super().__init__()
        tags = len(vocabulary)
        if last == TAGYNET and tags == 0:
            raise UsageError(
                "tagynet attends by tags and the manifest has none; train ynet instead"
            )
        self.config = config
        self.tag_count = tags
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = config.preprocessing()
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
        self.ranking = build_loss(
            config.loss,
            RankingOptions(
                channels,
                config.temperature,
                config.negatives,
                config.negatives_count,
                config.distance == "squared",
            ),
        )
        self.init_stages(names)

    def enter_stage(self, name: str) -> None:
        """Uses tags from TagYNet on, and the context in CtxYNet."""
        self.uses_tags = TAGYNET in self.stage_names and name != YNET
        self.reranks = name == CTXYNET

    def stages(self) -> tuple[Stage, ...]:
        """Section 5.2.3: YNet, TagYNet, CtxYNet; subnetwork I is frozen after the first."""
        margin, context_margin = self.config.margin, self.config.context_margin
        tags = ("tag_attention",) if TAGYNET in self.stage_names else ()
        shop = () if self.config.freeze_shop else ("shop", *tags)
        known = {
            YNET: Stage(YNET, ("shared", "street", "shop"), EPOCHS, margin=margin),
            TAGYNET: Stage(TAGYNET, ("street", "shop", "tag_attention"), EPOCHS, margin=margin),
            CTXYNET: Stage(
                CTXYNET, ("street", *shop, "context_attention"), EPOCHS, margin=context_margin
            ),
        }
        return tuple(known[name] for name in self.stage_names)

    def encode_street(self, images: Tensor) -> StreetOutput:
        """Section 4.1: the mean over locations, for the first search, and the local features."""
        local = self.street(self.shared(images)).flatten(2).float()  # (B, C, L)
        return StreetOutput.of(local.mean(dim=2), local if self.reranks else None)

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        local = self.shop(self.shared(images)).flatten(2).float()  # (B, C, L)
        if not self.uses_tags:
            return ShopOutput.of(local.mean(dim=2))
        vectors, attention = self.tag_attention(local, tags)
        return ShopOutput.of(vectors.float(), attention)

    def rerank(self, local: Tensor, contexts: Tensor) -> RerankOutput:
        if not self.reranks:
            return super().rerank(local, contexts)
        distances, attention = self.context_attention.beside(local.unsqueeze(0), contexts)
        return RerankOutput(distances[0], attention[0])

    def distances(self, street: StreetOutput, shop: ShopOutput) -> Tensor:
        """(B, M) Euclidean; in stage CtxYNet of each photo as attended to beside each candidate."""
        if not self.reranks:
            return super().distances(street, shop)
        assert street.local is not None
        contexts = shop.embedding * shop.norm.unsqueeze(1)
        distances: Tensor = self.context_attention.beside(street.local, contexts)[0]
        return distances

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        self.check_stage(stage)
        street = self.encode_street(batch.street)
        shop = self.encode_shop(batch.shop, batch.tags)
        street, shop, batch = gathered(street, shop, batch)
        with torch.autocast(batch.street.device.type, enabled=False):  # distances need all digits
            distances = self.distances(street, shop)
        loss = self.ranking(RankingInputs.of(distances, street, shop, batch, stage))
        return {self.config.loss: loss.detach(), "total": loss}


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
        build=partial(YNet, last=YNET),
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
        build=partial(YNet, last=TAGYNET),
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
        build=partial(YNet, last=CTXYNET),
        needs=("items", "tags"),
        summary="TagYNet whose street branch attends to what the candidate shows; re-ranks.",
        tiny=TINY,
    ),
}
