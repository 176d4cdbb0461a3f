"""AHBN: H. Su, P. Wang, L. Liu, H. Li, Z. Li, Y. Zhang, "Where to Look and How to Describe", IEEE
TCSVT 31(8), 2021, https://arxiv.org/abs/2010.13357: Tables I to IV, Figures 7 and 8.

Its own figures are lost in the text that we have; GRNet's and FashionNet's are from their papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hemline.reproduce.experiment import Experiment, Need, Row

PAPER = "AHBN, TCSVT 2021"
_LOST = "The paper's figures are not available: its tables are lost in the text we have."
_BOTH: tuple[Need, ...] = ("attributes", "landmarks")
_SKIP = ("stages.attributes.skip=true", "stages.landmarks.skip=true")
#: At ``bench``, in place of ResNet-50 where a row asks for another backbone.
_OTHER = "model.config.backbone={name: resnet18, output_stride: 16}"
_RES50 = ("model.config.backbone={name: resnet50, pretrained: true}",)
_SMALLER = "below the scale paper with ResNet-18"
#: Goes on from both branches, taught on other data, where there are neither tags nor landmarks.
TRANSFER = "ahbn_street2shop"
#: Both branches, each taught by itself, once for all rows that join them.
TAUGHT = Row(
    "AHBN, before joining",
    "ahbn",
    ("stages.joint.skip=true",),
    stages={"attributes": 0.25, "landmarks": 0.25},
    needs=_BOTH,
)


def joined(name: str, *settings: str) -> Row:
    """A row of two branches, from the branches that were taught before."""
    return Row(
        name, "ahbn", (*settings, *_SKIP), stages={"joint": 0.75}, start=TAUGHT,
        start_always=True, needs=_BOTH, transfer=TRANSFER,
    )  # fmt: skip


def single(name: str, *settings: str, branch: str = "appearance", taught: str = "") -> Row:
    """A row of a single branch, with the labels that it is taught."""
    own = [f"model.config.branches={branch}", *settings]
    if taught != "attributes":
        own.append("model.config.attributes=false")
    needs: tuple[Any, ...] = (taught,) if taught else ()
    stages = {taught: 0.25, "joint": 0.75} if taught else {"joint": 1.0}
    return Row(name, "ahbn", tuple(own), stages=stages, needs=needs)


SINGLE = single("Single-Branch")
AHBN = joined("AHBN")
SOFTMAX = joined("AHBN + Softmax", "model.config.gate=softmax")
_PLAIN = "model.config.attention=none"
ROWS = (
    SINGLE,
    replace(single("Single-Branch + Res50", _OTHER), paper=_RES50, note=_SMALLER),
    single("Single-Branch + Spatial Atten.", "model.config.spatial=true"),
    single("Single-Branch + ATTR", taught="attributes"),
    single("Single-Branch + LM", branch="location", taught="landmarks"),
    joined("Two-Branch w. LM, heat maps", "model.config.maps=heatmaps", _PLAIN),
    joined("Two-Branch w. LM, features", _PLAIN),
    joined("Two-Branch w. LM + BP", _PLAIN, "model.config.fusion=bilinear"),
    joined("Two-Branch w. LM + Cat", _PLAIN, "model.config.fusion=concat"),
    joined("Two-Branch w. LM + Mul", _PLAIN, "model.config.fusion=product"),
    joined("Two-Branch w. LM + Sum", _PLAIN, "model.config.fusion=sum"),
    joined("Two-Branch w. LM + Sepa. Atten.", "model.config.attention=separate"),
    joined("AHBN, smaller maps", "model.config.map_size=3"),
    joined("AHBN, larger maps", "model.config.map_size=14"),
    Row(
        "AHBN + Res50", "ahbn", (_OTHER,),
        stages={"attributes": 0.25, "landmarks": 0.25, "joint": 0.75}, needs=_BOTH,
        paper=_RES50, note=_SMALLER,
    ),
    SOFTMAX,
    AHBN,
)  # fmt: skip
#: Table I with the row that each one is the control of: what is added, and nothing else.
_CONTROLS = {
    "Two-Branch w. LM, features": "Single-Branch",
    "Two-Branch w. LM + Sepa. Atten.": "Two-Branch w. LM, features",
    "AHBN": "Two-Branch w. LM, features",
}
_TABLE_1 = tuple(
    replace(row, over=(_CONTROLS[row.name], None)) if row.name in _CONTROLS else row for row in ROWS
)


def _published(name: str, instead: str, **values: float) -> Row:
    named = {key.replace("_", "@"): value for key, value in values.items()}
    return Row(name, instead=instead, published=named)


_ONE_DOMAIN = (
    " In-Shop is of one domain and has no attributes here: of a product's images every second is "
    "the query's side in training, and --start AHBN=RUN goes on from a run on Consumer-to-Shop."
)
_OTHERS = "another paper's network; its figures are published, on another gallery or split"

EXPERIMENTS: Mapping[str, Experiment] = {
    "ahbn-table1": Experiment(
        "AHBN, Table I: ablations on Consumer-to-Shop",
        PAPER,
        "consumer2shop",
        ("consumer2shop",),
        _TABLE_1,
        measures=("recall@1", "recall@20", "recall@50"),
        labels=True,
        note=_LOST + " A row's settings differ from the full model's only in what it names.",
    ),
    "ahbn-table2": Experiment(
        "AHBN, Table II: six categories of Exact Street2Shop",
        PAPER,
        "street2shop",
        ("street2shop/ahbn",),
        (AHBN, SINGLE, _published("GRNet", _OTHERS + " (recall@1 0.583 is of tops)")),
        measures=("recall@1", "recall@20"),
        drawn="groups",
        cut=("shop",),
        note=_LOST + " Street2Shop has no attributes and landmarks to learn from; the paper "
        "transfers what Consumer-to-Shop taught, and crops the shop's images by a detector: "
        "--start AHBN=RUN --detector BUNDLE.",
    ),
    "ahbn-table3": Experiment(
        "AHBN, Table III: Consumer-to-Shop beside other networks",
        PAPER,
        "consumer2shop",
        ("consumer2shop",),
        (
            AHBN,
            SINGLE,
            _published("FashionNet (published)", _OTHERS, recall_20=0.188),
            _published("GRNet", _OTHERS, recall_1=0.257, recall_20=0.64, recall_50=0.75),
        ),
        measures=("recall@1", "recall@20", "recall@50"),
        note=_LOST,
    ),
    "ahbn-table4": Experiment(
        "AHBN, Table IV: In-Shop beside other networks",
        PAPER,
        "inshop",
        ("inshop",),
        (
            AHBN,
            SINGLE,
            _published("FashionNet (published)", _OTHERS, recall_1=0.53),
            _published("HDC", _OTHERS, recall_1=0.621),
            _published("ABE-8", _OTHERS, recall_1=0.873),
        ),
        measures=("recall@1", "recall@20"),
        note=_LOST + _ONE_DOMAIN,
    ),
    "ahbn-figure7": Experiment(
        "AHBN, Figure 7: channel weights of sigmoid beside softmax",
        PAPER,
        "consumer2shop",
        ("consumer2shop",),
        (AHBN, SOFTMAX),
        drawn="channels",
        note="The figure's values are not in the text.",
    ),
    "ahbn-figure8": Experiment(
        "AHBN, Figure 8: In-Shop by category and pose",
        PAPER,
        "inshop",
        ("inshop",),
        (AHBN, SINGLE),
        drawn="groups",
        by="pose",
        note=_LOST + _ONE_DOMAIN + " Drawn data has no poses; there it is by category.",
    ),
}
