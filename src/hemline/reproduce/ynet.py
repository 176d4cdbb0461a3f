"""YNet: X. Ji, W. Wang, M. Zhang, Y. Yang, "Cross-Domain Image Retrieval with Attention Modeling",
ACM MM 2017, https://arxiv.org/abs/1709.01784: Figures 3 to 8.

Published figures: P@20 in the legends of Figures 3 and 4; the other curves, the times of Figure 5
and the images of Figures 6 to 8 are not in the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hemline.reproduce.darn import NIN_ON_CATEGORIES
from hemline.reproduce.experiment import Experiment, Need, Row

PAPER = "YNet, ACM MM 2017"
_VGG = ("model.config.backbone=vgg_cnn_s",)
_TAGS: tuple[Need, ...] = ("attributes",)
_HALVES = {"YNet": 0.5, "TagYNet": 0.5}
_THIRDS = {"YNet": 0.5, "TagYNet": 0.25, "CtxYNet": 0.25}


def _bundle(network: str, name: str) -> str:
    return (
        f"give {name} with ImageNet's weights: hemline bundle {network} --weights FILE -o BUNDLE, "
        f"then --runs '{name}=BUNDLE'"
    )


YNET = Row("YNet", "ynet", stages={"YNet": 1.0})
TAGYNET = Row("TagYNet", "tagynet", stages=_HALVES, needs=_TAGS)
CTXYNET = Row("CtxYNet", "ctxynet", stages=_THIRDS, needs=_TAGS)
INFONCE = (
    replace(YNET, name="YNet, InfoNCE", recipe="ynet_infonce"),
    replace(TAGYNET, name="TagYNet, InfoNCE", recipe="tagynet_infonce"),
    replace(CTXYNET, name="CtxYNet, InfoNCE", recipe="ctxynet_infonce"),
)
FASHIONNET = Row("FashionNet", "fashionnet", stages={"joint": 1.0}, needs=_TAGS)
TRIPLET_VGG = Row("TripletVGG", "triplet_vgg", stages={"joint": 1.0})
#: DARN as this paper trains it, at margin 0.5.
DARN = Row("DARN", "darn_baseline", stages={"Network": 1.0}, start=NIN_ON_CATEGORIES, needs=_TAGS)
TRIPLET_NIN = Row(
    "TripletNIN", "triplet_nin", stages={"Network": 1.0}, start=NIN_ON_CATEGORIES
)  # fmt: skip


def _named(row: Row, name: str, value: float, paper: tuple[str, ...] = ()) -> Row:
    return replace(row, name=name, published={"recall@20": value}, paper=paper)


_FIGURE_3 = (
    Row("NIN", instead=_bundle("nin", "NIN"), published={"recall@20": 0.047}),
    _named(TRIPLET_NIN, "TripletNIN", 0.079),
    _named(DARN, "DARN", 0.112),
    _named(YNET, "YNIN", 0.153),
    _named(FASHIONNET, "FashionNet", 0.208),
    replace(_named(TAGYNET, "TagYNIN", 0.222), over=("YNIN", 0.069)),
    replace(_named(CTXYNET, "CtxYNIN", 0.242), over=("TagYNIN", 0.020)),
)
_FIGURE_4 = (
    Row("VGG-CNN-S", instead=_bundle("vgg_cnn_s", "VGG-CNN-S"), published={"recall@20": 0.123}),
    _named(DARN, "DARN", 0.239),
    _named(TRIPLET_VGG, "TripletVGG", 0.333),
    _named(YNET, "YVGG", 0.396, _VGG),
    _named(FASHIONNET, "FashionNet", 0.430),
    replace(_named(TAGYNET, "TagYVGG", 0.450, _VGG), over=("YVGG", 0.054)),
    replace(_named(CTXYNET, "CtxYVGG", 0.479, _VGG), over=("TagYVGG", 0.029)),
)
_OURS = tuple(
    replace(
        row,
        note="InfoNCE is ours, not the paper's Eq. 7",
        over=None if before is None else (before.name, None),
    )
    for row, before in zip(INFONCE, (None, *INFONCE[:2]), strict=True)
)
_TEST_SET = (
    "The published figures equal the best epoch on the test set in the authors' logs; here the "
    "validation split chooses the epoch."
)

EXPERIMENTS: Mapping[str, Experiment] = {
    "ynet-figure3": Experiment(
        "YNet, Figure 3: P@K on DARN's data",
        PAPER,
        "darn",
        ("darn-ynet",),
        (*_FIGURE_3, *_OURS),
        drawn="curve",
        crop="none",
        slices=("others",),
        note=_TEST_SET,
    ),
    "ynet-figure4": Experiment(
        "YNet, Figure 4: P@K on DeepFashion's upper clothes",
        PAPER,
        "consumer2shop",
        ("consumer2shop-upper",),
        (*_FIGURE_4, *_OURS),
        drawn="curve",
        crop="none",
        slices=("others",),
        note=_TEST_SET,
    ),
    "ynet-figure5": Experiment(
        "YNet, Figure 5: time of 1,000 queries by the vector's size",
        PAPER,
        "darn",
        ("darn-ynet",),
        (),
        measures=(),
        drawn="time",
        crop="none",
        note="The times of the figure are not in the text. Exact search of vectors of the papers' "
        "sizes, made up: 23,773 pictures of DARN's data and 2,637 of DeepFashion's. FashionNet's "
        "size isn't given. The DARN paper has 0.21 s for a query, its features included.",
    ),
    "ynet-figure6": Experiment(
        "YNet, Figure 6: most and least attended location",
        PAPER,
        "darn",
        ("darn-ynet",),
        (TAGYNET,),
        drawn="attention",
        crop="none",
        note="Section 5.7: the gradient of the features at the location with the largest and the "
        "smallest weight, back at the image.",
    ),
    "ynet-figure7": Experiment(
        "YNet, Figures 7 and 8: queries with and without a match among the first 5",
        PAPER,
        "darn",
        ("darn-ynet",),
        (TAGYNET,),
        measures=("recall@5", "recall@20"),
        drawn="hits",
        crop="none",
    ),
}
