"""DARN, the Dual Attribute-aware Ranking Network, and its ablations AN and ARN.

"Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network"
Junshi Huang, Rogerio Feris, Qiang Chen, Shuicheng Yan. ICCV 2015.
https://arxiv.org/abs/1505.07922

============================ ====================================================================
paper                        here
============================ ====================================================================
Section 4.1, Figure 4        `SubNetwork`: NIN of five convolutions, FC1, FC2, attribute branches
"tree-structured layers"     `hemline.learn.layers.attribute_tree.AttributeTree`
cross-entropy, missing = 0   `hemline.learn.losses.attributes.attribute_loss`
Eq. 1                        `Darn.loss` (`hemline.learn.losses.triplet.triplet_loss`)
3 × 3 × f_n local features   `hemline.learn.layers.adaptive_pooling.adaptive_max_pool`
Section 4.3, l2 and PCA      `SubNetwork.joined`, `hemline.learn.layers.pca.PrincipalComponents`
Section 5.1, AN, ARN, DARN   ``ladder``; "with Conv5", "with Conv4-5": ``local``
============================ ====================================================================

Differs from the paper:

- Embeddings have unit length after the PCA too, as every embedding here has; the paper compares
  the reduced vectors without normalising them.
- Both networks start from the same weights: random ones, or those of ``weights``. The paper's
  start, an ImageNet network of this form, isn't public.
- Where the paper is silent: the widths of Conv4 and Conv5 (512 and 1,024), the layer between Conv5
  and FC1 (3×3 windows), FC2 and the branches' hidden layer, dropout, learning rate and epochs. The
  margin is of distances between the concatenated features, whose parts have unit length each.
  ``unit_length`` divides them by √n, as versions before did.
- "The scale of gradients … as 1": both losses have weight 1, the cross-entropy of an image as much
  as a triplet.
- The negative of a triplet is drawn from the batch, whose items are redrawn each epoch.
- A street photo without tags takes its item's tags; in the paper photos have their own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from hemline.errors import UsageError
from hemline.learn.backbones.base import run_once
from hemline.learn.backbones.nin_five import MLPCONVS, WIDTHS, nin_five_units
from hemline.learn.gathering import all_rows
from hemline.learn.layers.adaptive_pooling import adaptive_max_pool
from hemline.learn.layers.attribute_tree import AttributeTree, group_attributes
from hemline.learn.layers.pca import PrincipalComponents
from hemline.learn.loss import RankingInputs
from hemline.learn.losses.attributes import attribute_loss
from hemline.learn.losses.triplet import mined_triplet_loss
from hemline.learn.mining import Negatives
from hemline.learn.model import (
    Batch,
    Fitting,
    ModelSpec,
    Prediction,
    ShopOutput,
    Stage,
    StagedModel,
    StreetOutput,
    weighted,
)
from hemline.learn.model_config import DomainImageConfig
from hemline.learn.models._darn_weights import load_network
from hemline.types import Domain

NETWORK, PCA = "Network", "PCA"
#: Of stage Network: the paper gives no number; ours has two steps of the learning rate.
EPOCHS = 90
#: Windows per side of the local features.
GRID = 3

Five = tuple[int, int, int, int, int]


class DarnConfig(DomainImageConfig):
    """Settings of DARN and its ablations; the defaults are DARN with Conv4-5.

    Attributes:
        ladder: ``an`` (one network for both domains, attributes only), ``arn`` (one network,
            attributes and ranking) or ``darn`` (two networks, attributes and ranking).
        local: convolutions whose windows are concatenated to FC1; by default both for ``darn``,
            none for the others.
        attributes: names that get a branch; None for all that the data has.
        widths, mlpconvs, stem_kernel, stem_stride: of the convolutions, see
            `hemline.learn.backbones.nin_five`.
        batch_norm: normalise after every convolution and after FC1 and FC2; not in the paper.
        fc1, fc2, branch: widths of the fully connected layers and of each branch's hidden one.
        dropout: after FC1 and FC2, while training.
        margin: of the ranking loss.
        unit_length: ours: the concatenated parts, each of length 1, are divided by √n, so that the
            margin means the same with any number of parts; the paper concatenates them.
        negatives, negatives_count: see `hemline.learn.mining`; the paper draws one.
        attribute_weight, ranking_weight: of the two losses.
        dimensions: of the PCA, at most those of the features.
        weights: a run's checkpoint to start each network from (any ``ladder``, any attributes).
    """

    ladder: Literal["an", "arn", "darn"] = "darn"
    local: tuple[Literal["conv4", "conv5"], ...] = ("conv4", "conv5")
    attributes: tuple[str, ...] | None = None
    widths: Five = WIDTHS
    mlpconvs: Five = MLPCONVS
    stem_kernel: int = Field(default=11, ge=3, le=11)
    stem_stride: int = Field(default=4, ge=1, le=4)
    batch_norm: bool = False
    fc1: int = Field(default=4096, ge=1)
    fc2: int = Field(default=4096, ge=1)
    branch: int = Field(default=512, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    margin: float = Field(default=0.3, gt=0)
    unit_length: bool = False
    negatives: Negatives = "random"
    negatives_count: int = Field(default=1, ge=1)
    attribute_weight: float = Field(default=1.0, ge=0)
    ranking_weight: float = Field(default=1.0, ge=0)
    dimensions: int = Field(default=4096, ge=1)
    weights: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _local_of_darn_only(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("ladder") in ("an", "arn"):
            return {"local": ()} | value
        return value


class Responses(NamedTuple):
    """Of a sub-network: conv4, conv5 (B, C, 3, 3), fc1 (B, F), attributes (B, V_a) each."""

    conv4: Tensor
    conv5: Tensor
    fc1: Tensor
    attributes: list[Tensor]


class SubNetwork(nn.Module):
    """NIN, FC1, FC2 and a branch for each attribute: Figure 4, one of its two halves.

    ``groups``: attribute name → columns of the tag vocabulary.
    """

    def __init__(self, config: DarnConfig, groups: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        units = nin_five_units(
            config.widths,
            config.mlpconvs,
            config.stem_kernel,
            config.stem_stride,
            config.batch_norm,
        )
        self.lower = nn.Sequential(*(unit for _, unit in units[:4]))  # Conv1 … Conv4
        self.conv5 = units[4][1]
        try:
            run_once(nn.Sequential(self.lower, self.conv5), config.size)
        except RuntimeError as error:
            raise UsageError(f"DARN can't read images of {config.size} px: {error}") from None
        self.fc1 = _connected(GRID * GRID * config.widths[4], config.fc1, config.batch_norm)
        self.fc2 = _connected(config.fc1, config.fc2, config.batch_norm)
        self.dropout = nn.Dropout(config.dropout)
        self.tree = AttributeTree(config.fc2, config.branch, groups)
        self.local = config.local
        self.unit_length = config.unit_length
        self.width = config.fc1 + GRID * GRID * sum(
            config.widths[3 if name == "conv4" else 4] for name in self.local
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Responses:
        """(B, 3, S, S) → the responses that the losses and the embedding are made of."""
        conv4 = self.lower(images)
        conv5 = adaptive_max_pool(self.conv5(conv4), GRID)  # (B, C, 3, 3)
        fc1 = self.fc1(conv5.flatten(1))
        fc2 = self.fc2(self.dropout(fc1))
        return Responses(adaptive_max_pool(conv4, GRID), conv5, fc1, self.tree(self.dropout(fc2)))

    def joined(self, responses: Responses) -> Tensor:
        """Section 4.3: each of n parts L2-normalised, then concatenated: (B, C) of length √n, or 1
        with ``unit_length``."""
        parts = [responses.fc1, *(getattr(responses, name).flatten(1) for name in self.local)]
        unit = [functional.normalize(part.float(), dim=1) for part in parts]
        joined = torch.cat(unit, dim=1)
        return joined * len(unit) ** -0.5 if self.unit_length else joined


class Darn(StagedModel):
    """AN, ARN or DARN; its attributes are the names of the tags ``name=value``.

    Raises:
        UsageError: no tags, an attribute that the data lacks, or weights that don't fit.
    """

    def __init__(self, config: DarnConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        if not vocabulary:
            raise UsageError(
                "darn learns attributes and the manifest has no tags; train ynet instead"
            )
        self.config = config
        self.tag_count = len(vocabulary)
        self.groups = group_attributes(vocabulary, config.attributes)
        self.preprocessing = config.preprocessing()
        network = SubNetwork(config, self.groups)
        both = config.ladder != "darn"
        self.networks = nn.ModuleDict(
            {"both": network} if both else {"street": network, "shop": copy.deepcopy(network)}
        )
        if config.weights is not None:
            for name, own in self.networks.items():
                load_network(own, name, Path(config.weights).expanduser())
        self.reduction = PrincipalComponents(network.width, min(config.dimensions, network.width))
        self.init_stages((NETWORK, PCA))

    def enter_stage(self, name: str) -> None:
        """Before stage PCA the embedding is all the concatenated features."""
        self.embedding_dim = self.reduction.weight.shape[0 if name == PCA else 1]

    def stages(self) -> tuple[Stage, ...]:
        """Section 4.3: the network learns; then the PCA is fitted to its features."""
        margin = self.config.margin
        return (
            Stage(NETWORK, ("networks",), epochs=EPOCHS, margin=margin, weight_decay=5e-4),
            Stage(PCA, ("reduction",), epochs=0, margin=margin, fits=True),
        )

    def responses(self, images: Tensor, domain: Domain) -> Responses:
        """(B, 3, S, S) of a domain → the responses of its sub-network."""
        found: Responses = self.network(domain)(images)
        return found

    def network(self, domain: Domain) -> SubNetwork:
        """The sub-network of a domain; AN and ARN have one for both."""
        found = self.networks["both" if "both" in self.networks else domain]
        assert isinstance(found, SubNetwork)
        return found

    def predict(self, images: Tensor, street: bool) -> Prediction:
        """The probability of each tag among the values of its attribute; 0 without a branch."""
        scores = self.responses(images, "street" if street else "shop").attributes
        probabilities = scores[0].new_zeros((len(images), self.tag_count), dtype=torch.float32)
        for columns, own in zip(self.groups.values(), scores, strict=True):
            probabilities[:, list(columns)] = functional.softmax(own.float(), dim=1)
        return Prediction(attributes=probabilities)

    def _vectors(self, responses: Responses) -> Tensor:
        """(B, D) what is searched with, before its last normalisation."""
        joined = self._joined(responses)
        reduced: Tensor = self.reduction(joined) if self.stage == PCA else joined
        return reduced

    def _ranked(self, street: Tensor, shop: Tensor) -> Tensor:
        """(B, B) dist of Eq. 1, between the concatenated features (B, C) as they are."""
        return torch.cdist(street, shop, compute_mode="donot_use_mm_for_euclid_dist")

    def _joined(self, responses: Responses) -> Tensor:
        return self.network("street").joined(responses)

    def encode_street(self, images: Tensor) -> StreetOutput:
        return StreetOutput.of(self._vectors(self.responses(images, "street")))

    def encode_shop(self, images: Tensor, tags: Tensor) -> ShopOutput:
        return ShopOutput.of(self._vectors(self.responses(images, "shop")))

    @torch.no_grad()
    def fit(self, street: Iterable[Fitting], shop: Iterable[Fitting]) -> None:
        """Section 4.3: the PCA of the joined features of both domains."""

        def features() -> Iterable[Tensor]:
            for part in street:
                yield self._joined(self.responses(part.images, "street"))
            for part in shop:
                yield self._joined(self.responses(part.images, "shop"))

        self.reduction.fit(features())

    def loss(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        self.check_stage(stage)
        config = self.config
        street = self.responses(batch.street, "street")
        shop = self.responses(batch.shop, "shop")
        losses: dict[str, Tensor] = {}
        with torch.autocast(batch.street.device.type, enabled=False):
            if self.stage == NETWORK:
                of_street = attribute_loss(street.attributes, self._values(_street_tags(batch)))
                of_shop = attribute_loss(shop.attributes, self._values(batch.tags))
                losses["attributes"] = of_street + of_shop
            if self.stage == PCA or config.ladder != "an":  # Eq. 1
                vectors = all_rows(self._vectors(street)), all_rows(self._vectors(shop))
                items = all_rows(batch.street_items), all_rows(batch.shop_items)
                every = replace(batch, street_items=items[0], shop_items=items[1])
                outputs = StreetOutput.of(vectors[0]), ShopOutput.of(vectors[1])
                far = self._ranked(*vectors) if self.stage == NETWORK else self.distances(*outputs)
                inputs = RankingInputs.of(far, *outputs, every, stage)
                count = config.negatives_count
                losses["triplet"] = mined_triplet_loss(inputs, config.negatives, count)
            weights = {"attributes": config.attribute_weight, "triplet": config.ranking_weight}
            return weighted(losses, weights)

    def _values(self, tags: Tensor) -> list[Tensor]:
        """(B, T) → (B, V_a) for each attribute."""
        return [tags[:, list(columns)] for columns in self.groups.values()]


def _connected(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    norm: list[nn.Module] = [nn.BatchNorm1d(outputs)] if batch_norm else []
    return nn.Sequential(nn.Linear(inputs, outputs), *norm, nn.ReLU())


def _street_tags(batch: Batch) -> Tensor:
    """(B, T): a photo's own tags, or its item's where it has none."""
    item = batch.tags[: len(batch.street)]
    own = batch.street_tags
    return item if own is None else torch.where(own.any(dim=1, keepdim=True), own, item)


MODELS = {
    "darn": ModelSpec(
        name="darn",
        paper="Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network "
        "(ICCV 2015)",
        year=2015,
        link="https://arxiv.org/abs/1505.07922",
        config=DarnConfig,
        build=Darn,
        needs=("items", "tags"),
        summary="Two networks driven by attributes and a ranking loss; AN and ARN as its steps.",
        tiny={
            "size": 64,
            "widths": (8, 12, 16, 16, 24),
            "stem_kernel": 7,
            "stem_stride": 2,
            "fc1": 32,
            "fc2": 24,
            "branch": 16,
            "dropout": 0.0,
            "negatives_count": 4,
            "dimensions": 16,
        },
        earlier={"unit_length": True},
    )
}
