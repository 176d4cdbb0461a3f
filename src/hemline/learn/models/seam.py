"""Seam: parts of the papers on a modern backbone. Ours.

From YNet (https://arxiv.org/abs/1709.01784) the Y with its tag and context attention, over the
feature maps or patch tokens of any timm network; from AHBN (https://arxiv.org/abs/2010.13357) the
landmarks and the channel co-attention, where landmarks are labelled. The branches of the Y are
adapters (Houlsby et al., ICML 2019) behind a shared backbone, which may be frozen.

    street ─ backbone ─ adapter(street) ─ project ─ local (B, D, L) ─┬─ mean ─ embedding
                                         │                        └─ context attention (re-ranks)
                                     landmark maps ─ co-attention: channel weights
    shop ─── backbone ─ adapter(shop) ─── project ─ local (B, D, L) ─── tag attention ─ embedding

Losses: ``infonce`` across the domains, ``triplet``, ``proxy_anchor``, ``centroid``, or another of
`hemline.learn.losses`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from hemline.data.preprocess import Triple
from hemline.learn.backbones import BackboneConfig
from hemline.learn.backbones.timm_features import TimmFeatures
from hemline.learn.gathering import gathered
from hemline.learn.layers.adapter import Adapter
from hemline.learn.layers.attention import Alignment, ContextAttention, TagAttention
from hemline.learn.layers.channel_attention import CoAttention
from hemline.learn.loss import LossName, RankingInputs, RankingOptions, build_loss, loss_spec
from hemline.learn.losses.heatmap import heatmap_loss, points_of
from hemline.learn.losses.info_nce import info_nce_loss
from hemline.learn.mining import Negatives
from hemline.learn.model import (
    Batch,
    ModelSpec,
    Prediction,
    RerankOutput,
    ShopOutput,
    Stage,
    StagedModel,
    StreetOutput,
    weighted,
)
from hemline.learn.model_config import SharedImageConfig
from hemline.types import LANDMARKS, Domain

JOIN, TAGS, CONTEXT = "join", "tags", "context"
#: Learning rates. At the faster one, proxies push all embeddings onto one point, away from every
#: proxy, before they separate them; the slower one is the proxy-anchor paper's.
RATE, PROXY_RATE = 3e-4, 1e-4


class SeamConfig(SharedImageConfig):
    """Settings of Seam.

    Attributes:
        backbone: any network of timm: ``convnext_tiny``, ``vit_small_patch14_dinov2``, …
        frozen: keep the backbone's weights; only what follows it learns.
        adapter: width of each domain's adapter; 0 for none.
        dim: D.
        tags, context: attention by the shop's tags, and by the candidate.
        alignment: of the context attention.
        landmarks: learn them, and weight channels by them.
        hidden: projection of the co-attention.
        loss: name of a ranking loss: ``infonce``, ``triplet``, ``proxy_anchor``, ``centroid``.
        temperature: of ``infonce`` and ``centroid``.
        margin: of ``triplet``.
        negatives, negatives_count: of ``triplet``, see `hemline.learn.mining`.
        weight_landmarks: of the landmark loss beside the ranking loss.
    """

    backbone: BackboneConfig = BackboneConfig(name="convnext_tiny")
    frozen: bool = False
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    adapter: int = Field(default=64, ge=0)
    dim: int = Field(default=512, ge=2)
    tags: bool = True
    context: bool = True
    alignment: Alignment = "linear"
    landmarks: bool = True
    hidden: int = Field(default=128, ge=1)
    loss: LossName = "infonce"
    temperature: float = Field(default=0.07, gt=0)
    margin: float = Field(default=0.3, gt=0)
    negatives: Negatives = "semi_hard"
    negatives_count: int = Field(default=4, ge=1)
    weight_landmarks: float = Field(default=0.1, gt=0)


class Seam(StagedModel):
    """A shared backbone, an adapter for each domain, attention by tags, landmarks and context.

    Raises:
        UsageError: a backbone that can't be built.
    """

    def __init__(self, config: SeamConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.tag_count = len(vocabulary)
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = config.preprocessing()
        # Named ``trunk`` in checkpoints and in the recipes' ``lr_scale`` and ``trains``.
        self.trunk = TimmFeatures(config.backbone, config.size)
        self.grid = self.trunk.grid
        channels, dim = self.trunk.channels, config.dim
        if config.adapter:
            self.adapters = nn.ModuleDict(
                {domain: Adapter(channels, config.adapter) for domain in ("street", "shop")}
            )
        self.project = nn.Conv1d(channels, dim, 1, bias=False)
        if config.landmarks:
            self.pointing = nn.Conv1d(dim, len(LANDMARKS), 1)
            self.gates = CoAttention(dim, len(LANDMARKS), config.hidden)
            # The second half of the gates is unused: landmark maps aren't weighted.
            del self.gates.second
        options = (config.temperature, config.negatives, config.negatives_count)
        # Named ``items`` in checkpoints: some losses keep a row for each training item.
        self.items = build_loss(config.loss, RankingOptions(dim, *options))
        self.learned_loss = any(True for _ in self.items.parameters())
        names = [JOIN]
        if config.tags and vocabulary:
            names.append(TAGS)
            self.tag_attention = TagAttention(len(vocabulary), dim)
        if config.context:
            names.append(CONTEXT)
            locations = self.grid[0] * self.grid[1]
            self.context_attention = ContextAttention(dim, locations, config.alignment)
        self.embedding_dim = dim
        self.init_stages(names)

    def enter_stage(self, name: str) -> None:
        """Uses tags after ``join``, and the context in ``context``."""
        self.uses_tags = TAGS in self.stage_names and name != JOIN
        self.reranks = name == CONTEXT

    def expect_items(self, items: Tensor) -> None:
        self.items.expect(items)

    def stages(self) -> tuple[Stage, ...]:
        """Each stage adds a part; only the first one trains the backbone."""
        parts = ["project"]
        parts += [n for n in ("adapters", "pointing", "gates") if hasattr(self, n)]
        if self.learned_loss:
            parts.append("items")
        first = tuple(parts if self.config.frozen else ["trunk", *parts])
        found = [self._stage(JOIN, first, 20)]
        if TAGS in self.stage_names:
            parts.append("tag_attention")
            found.append(self._stage(TAGS, tuple(parts), 10))
        if CONTEXT in self.stage_names:
            parts.append("context_attention")
            found.append(self._stage(CONTEXT, tuple(parts), 10))
        return tuple(found)

    def _stage(self, name: str, trains: tuple[str, ...], epochs: int) -> Stage:
        lr = PROXY_RATE if self.learned_loss else RATE
        margin = self.config.margin
        return Stage(
            name, trains, epochs=epochs, lr=lr, optimizer="adamw", weight_decay=0.01, margin=margin
        )

    def _local(self, images: Tensor, domain: Domain) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) → local (B, D, L), landmark maps (B, 8, H, W) where they are learned."""
        local = self.trunk(images).flatten(2)
        if self.config.adapter:
            local = self.adapters[domain](local)
        local = self.project(local).float()
        if not self.config.landmarks:
            return local, None
        assert self.grid is not None
        maps = self.pointing(local)
        seen = torch.cat([local.mean(dim=2), maps.mean(dim=2)], dim=1)
        gates = self.gates.first(seen).sigmoid()
        return local * gates.unsqueeze(2), maps.unflatten(2, self.grid)

    def _street(self, local: Tensor) -> StreetOutput:
        return StreetOutput.of(local.mean(dim=2), local if self.reranks else None)

    def _shop(self, local: Tensor, tags: Tensor) -> ShopOutput:
        if not self.uses_tags:
            return ShopOutput.of(local.mean(dim=2))
        return ShopOutput.of(*self.tag_attention(local, tags))

    def encode_street(self, images: Tensor) -> StreetOutput:
        return self._street(self._local(images, "street")[0])

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        return self._shop(self._local(images, "shop")[0], tags)

    def predict(self, images: Tensor, street: bool) -> Prediction:
        maps = self._local(images, "street" if street else "shop")[1]
        return Prediction(None, None if maps is None else points_of(maps, self.config.size))

    def rerank(self, local: Tensor, contexts: Tensor) -> RerankOutput:
        if not self.reranks:
            return super().rerank(local, contexts)
        distances, attention = self.context_attention.beside(local.unsqueeze(0), contexts)
        return RerankOutput(distances[0], attention[0])

    def distances(self, street: StreetOutput, shop: ShopOutput) -> Tensor:
        """(B, M) Euclidean; in stage ``context`` of each photo as attended to beside each
        candidate."""
        if not self.reranks:
            return super().distances(street, shop)
        assert street.local is not None
        contexts = shop.embedding * shop.norm.unsqueeze(1)
        distances: Tensor = self.context_attention.beside(street.local, contexts)[0]
        return distances

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        self.check_stage(stage)
        local, street_maps = self._local(batch.street, "street")
        street = self._street(local)
        local, shop_maps = self._local(batch.shop, "shop")
        shop = self._shop(local, batch.tags)
        street, shop, all_items = gathered(street, shop, batch)
        inputs = RankingInputs.of(self.distances(street, shop), street, shop, all_items, stage)
        losses: dict[str, Tensor] = {self.config.loss: self._ranking(inputs)}
        if street_maps is not None and shop_maps is not None and batch.landmarks is not None:
            maps = torch.cat([street_maps, shop_maps]).unsqueeze(0)
            losses["landmarks"] = heatmap_loss(maps, batch.landmarks, self.config.size)
        return weighted(losses, {"landmarks": self.config.weight_landmarks})

    def _ranking(self, inputs: RankingInputs) -> Tensor:
        """The configured loss. One that reads embeddings can't train the context attention, which
        changes distances only: stage ``context`` then adds InfoNCE."""
        if not self.reranks or loss_spec(self.config.loss).reads == "distances":
            loss: Tensor = self.items(inputs)
            return loss
        items = (inputs.street_items, inputs.shop_items)
        loss = info_nce_loss(inputs.distances, *items, self.config.temperature)
        return loss + self.items(inputs) if self.learned_loss else loss


MODELS = {
    "seam": ModelSpec(
        name="seam",
        paper="none (ours); parts of YNet (ACM MM 2017) and AHBN (IEEE TCSVT 2021)",
        year=2026,
        link="https://arxiv.org/abs/1709.01784",
        config=SeamConfig,
        build=Seam,
        needs=("items", "tags", "landmarks"),
        summary="Any timm backbone, an adapter for each domain, attention by tags and context.",
        tiny={
            "backbone": "test_vit",
            "size": 64,
            "adapter": 8,
            "dim": 32,
            "hidden": 8,
            "weight_landmarks": 0.05,
        },
    )
}
