"""Seam: the papers' parts on a modern backbone. Ours.

From YNet (https://arxiv.org/abs/1709.01784) the Y with its tag and context attention, over the
patch tokens of any timm network; from AHBN (https://arxiv.org/abs/2010.13357) the landmarks and the
channel co-attention, where landmarks are labelled; the two domains part in adapters (Houlsby et
al., ICML 2019) behind a shared backbone, which may stay as it came.

    street ─ backbone ─ adapter(street) ─ project ─ local (B, D, L) ─┬─ mean ─ embedding
                                         │                        └─ context attention (re-ranks)
                                     landmark maps ─ co-attention: channel weights
    shop ─── backbone ─ adapter(shop) ─── project ─ local (B, D, L) ─── tag attention ─ embedding

Losses: ``infonce`` across the domains, ``triplet``, ``proxy_anchor`` or ``centroid``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from hemline.data.preprocess import Preprocessing, Triple
from hemline.learn.backbones import BackboneConfig
from hemline.learn.backbones.timm_features import TimmFeatures
from hemline.learn.layers.adapter import Adapter
from hemline.learn.layers.attention import Alignment, ContextAttention, TagAttention
from hemline.learn.layers.channel_attention import CoAttention
from hemline.learn.losses import LOSSES, known_loss
from hemline.learn.losses.heatmap import heatmap_loss, points_of
from hemline.learn.losses.infonce import infonce_loss
from hemline.learn.losses.items import Centroids, ProxyAnchor
from hemline.learn.losses.mining import Negatives, mine
from hemline.learn.losses.triplet import triplet_loss
from hemline.learn.model import (
    Batch,
    ModelConfig,
    ModelSpec,
    Prediction,
    RerankOutput,
    RetrievalModel,
    ShopOutput,
    Stage,
    StreetOutput,
)
from hemline.types import LANDMARKS, Domain

JOIN, TAGS, CONTEXT = "join", "tags", "context"
#: Learning rates. At a faster one proxies push all embeddings onto one point, away from them all,
#: before they tell them apart; the slow one is the proxy-anchor paper's.
RATE, PROXY_RATE = 3e-4, 1e-4


#: Losses that the model knows the settings of.
_OWN_LOSSES = ("infonce", "triplet", "proxy_anchor", "centroid")


class SeamConfig(ModelConfig):
    """Of the network.

    Attributes:
        backbone: any network of timm: ``convnext_tiny``, ``vit_small_patch14_dinov2``, …
        frozen: the backbone stays as it came; only what stands behind it learns.
        size: side of the pictures in pixels.
        resize: ``stretch`` or ``pad``, see `hemline.data.preprocess.Preprocessing`.
        mean, std: of the pictures of both domains, RGB in [0, 1].
        adapter: width of each domain's adapter; 0 for none.
        dim: D.
        tags, context: attention by the shop's tags, and by the candidate.
        alignment: of the context attention.
        landmarks: learn them, and weigh channels by them.
        hidden: projection of the co-attention.
        loss: ``infonce``, ``triplet``, ``proxy_anchor``, ``centroid`` or another of
            `hemline.learn.losses.LOSSES`.
        temperature: of ``infonce`` and ``centroid``.
        margin: of ``triplet``.
        negatives, negatives_count: of ``triplet``, see `hemline.learn.losses.mining`.
        weight_landmarks: of their loss beside the other.
    """

    backbone: BackboneConfig = BackboneConfig(name="convnext_tiny")
    frozen: bool = False
    size: int = Field(default=224, ge=32, le=2048)
    resize: Literal["stretch", "pad"] = "stretch"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    adapter: int = Field(default=64, ge=0)
    dim: int = Field(default=512, ge=2)
    tags: bool = True
    context: bool = True
    alignment: Alignment = "linear"
    landmarks: bool = True
    hidden: int = Field(default=128, ge=1)
    loss: str = "infonce"
    temperature: float = Field(default=0.07, gt=0)
    margin: float = Field(default=0.3, gt=0)
    negatives: Negatives = "semi_hard"
    negatives_count: int = Field(default=4, ge=1)
    weight_landmarks: float = Field(default=0.1, gt=0)

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, value: str) -> str:
        return known_loss(value, _OWN_LOSSES)


class Seam(RetrievalModel):
    """A shared backbone, an adapter for each domain, attention by tags, landmarks and context.

    Args:
        config: of the network.
        tags: T.

    Raises:
        UsageError: a backbone that can't be built.
    """

    stage_index: Tensor

    def __init__(self, config: SeamConfig, tags: int) -> None:
        super().__init__()
        self.config = config
        self.tag_count = tags
        self.freeze_bn = config.backbone.freeze_bn
        self.preprocessing = Preprocessing.both_domains(
            config.size, config.resize, config.mean, config.std
        )
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
            # Half of each gate's pair is unused: landmark maps themselves aren't weighed.
            del self.gates.second
        if config.loss == "proxy_anchor":
            self.items: ProxyAnchor | Centroids | None = ProxyAnchor(dim)
        elif config.loss == "centroid":
            self.items = Centroids(dim, config.temperature)
        else:
            self.items = None
        names = [JOIN]
        if config.tags and tags:
            names.append(TAGS)
            self.tag_attention = TagAttention(tags, dim)
        if config.context:
            names.append(CONTEXT)
            locations = self.grid[0] * self.grid[1]
            self.context_attention = ContextAttention(dim, locations, config.alignment)
        self._names = tuple(names)
        self.embedding_dim = dim
        self.register_buffer("stage_index", torch.tensor(0))
        self.register_load_state_dict_post_hook(_stage_from_state)  # type: ignore[no-untyped-call]
        self.set_stage(names[-1])

    def set_stage(self, name: str) -> None:
        """What isn't trained before ``name`` isn't used: no tags in ``join``, no context in
        ``tags``."""
        super().set_stage(name)
        self.stage = name
        self.stage_index.fill_(self._names.index(name))
        self.uses_tags = TAGS in self._names and name != JOIN
        self.reranks = name == CONTEXT

    def expect_items(self, items: Tensor) -> None:
        if self.items is not None:
            self.items.expect(items)

    def stages(self) -> tuple[Stage, ...]:
        """All but the backbone learns on; what is new learns beside it."""
        parts = ["project"]
        parts += [n for n in ("adapters", "pointing", "gates") if hasattr(self, n)]
        if isinstance(self.items, ProxyAnchor):
            parts.append("items")
        first = tuple(parts if self.config.frozen else ["trunk", *parts])
        found = [self._stage(JOIN, first, 20)]
        if TAGS in self._names:
            parts.append("tag_attention")
            found.append(self._stage(TAGS, tuple(parts), 10))
        if CONTEXT in self._names:
            parts.append("context_attention")
            found.append(self._stage(CONTEXT, tuple(parts), 10))
        return tuple(found)

    def _stage(self, name: str, trains: tuple[str, ...], epochs: int) -> Stage:
        lr = PROXY_RATE if isinstance(self.items, ProxyAnchor) else RATE
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
        embedding = functional.normalize(local.mean(dim=2), dim=1)
        return StreetOutput(embedding, local if self.reranks else None)

    def _shop(self, local: Tensor, tags: Tensor) -> ShopOutput:
        attention = None
        if self.uses_tags:
            vector, attention = self.tag_attention(local, tags)
        else:
            vector = local.mean(dim=2)
        norm = torch.linalg.vector_norm(vector, dim=1)
        return ShopOutput(functional.normalize(vector, dim=1), norm, attention)

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
        """(B, M) Euclidean; in stage ``context`` each photo is seen beside each candidate."""
        if not self.reranks:
            return torch.cdist(
                street.embedding, shop.embedding, compute_mode="donot_use_mm_for_euclid_dist"
            )
        assert street.local is not None
        contexts = shop.embedding * shop.norm.unsqueeze(1)
        distances: Tensor = self.context_attention.beside(street.local, contexts)[0]
        return distances

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        if stage.name != self.stage:
            raise ValueError(f"stage {self.stage} is in force, not {stage.name}: call begin_stage")
        local, street_maps = self._local(batch.street, "street")
        street = self._street(local)
        local, shop_maps = self._local(batch.shop, "shop")
        shop = self._shop(local, batch.tags)
        losses: dict[str, Tensor] = {self.config.loss: self._ranking(street, shop, batch, stage)}
        total = losses[self.config.loss]
        if street_maps is not None and shop_maps is not None and batch.landmarks is not None:
            maps = torch.cat([street_maps, shop_maps]).unsqueeze(0)
            losses["landmarks"] = heatmap_loss(maps, batch.landmarks, self.config.size)
            total = total + self.config.weight_landmarks * losses["landmarks"]
        return {**{name: value.detach() for name, value in losses.items()}, "total": total}

    def _ranking(
        self, street: StreetOutput, shop: ShopOutput, batch: Batch, stage: Stage
    ) -> Tensor:
        """Proxies and centroids know embeddings only, so ``context`` is learned by ``infonce``."""
        config, items = self.config, (batch.street_items, batch.shop_items)
        if config.loss not in _OWN_LOSSES:
            return LOSSES[config.loss](self.distances(street, shop), *items)
        if self.reranks or config.loss == "infonce":
            distances = self.distances(street, shop)
            if config.loss != "triplet":
                loss = infonce_loss(distances, *items, config.temperature)
                if isinstance(self.items, ProxyAnchor):
                    loss = loss + self._proxies(street, shop, batch)
                return loss
        if config.loss == "triplet":
            distances = self.distances(street, shop)
            triplets = mine(config.negatives, distances, *items, config.negatives_count)
            return triplet_loss(distances, triplets, stage.margin)
        if isinstance(self.items, Centroids):
            found: Tensor = self.items(street.embedding, items[0], shop.embedding, items[1])
            return found
        return self._proxies(street, shop, batch)

    def _proxies(self, street: StreetOutput, shop: ShopOutput, batch: Batch) -> Tensor:
        assert self.items is not None
        loss: Tensor = self.items(
            torch.cat([street.embedding, shop.embedding]),
            torch.cat([batch.street_items, batch.shop_items]),
        )
        return loss


def _stage_from_state(model: nn.Module, _: object) -> None:
    assert isinstance(model, Seam)
    model.set_stage(model._names[int(model.stage_index)])


def _build(config: SeamConfig, tag_vocabulary: Sequence[str]) -> Seam:
    return Seam(config, len(tag_vocabulary))


MODELS = {
    "seam": ModelSpec(
        name="seam",
        paper="none (ours); parts of YNet (ACM MM 2017) and AHBN (IEEE TCSVT 2021)",
        year=2026,
        link="https://arxiv.org/abs/1709.01784",
        config=SeamConfig,
        build=_build,
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
