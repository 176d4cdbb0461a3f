"""Figures of papers, to stand beside ours. Shares 0-1; None where the figure isn't available.

Papers count pictures among the first k, hemline counts products; the report tells both. The
galleries, crops and splits behind these figures differ: each note says what is known.
"""

from __future__ import annotations

from collections.abc import Mapping

from hemline.data.protocol import Published

_LOST = "not available: the tables are lost in the text we have"


def rows(
    source: str, metric: str, values: Mapping[str, float | None], note: str = ""
) -> tuple[Published, ...]:
    """One figure for each model."""
    return tuple(Published(source, model, metric, value, note) for model, value in values.items())


_AHBN = "AHBN, TCSVT 2021"
_YNET = "YNet, ACM MM 2017"

CONSUMER2SHOP = (
    *rows("DeepFashion, CVPR 2016", "recall@20", {"FashionNet": 0.188}, "crop not known to us"),
    *rows("GRNet, ICCV 2019", "recall@1", {"GRNet": 0.257}),
    *rows("GRNet, ICCV 2019", "recall@20", {"GRNet": 0.64}),
    *rows("GRNet, ICCV 2019", "recall@50", {"GRNet": 0.75}),
    *rows(_AHBN, "recall@20", {"AHBN": None}, _LOST),
)
_EASIER = "an easier gallery than the official one"
CONSUMER2SHOP_TEST_SHOPS = tuple(
    Published("a public baseline", model, metric, value, _EASIER)
    for model, values in {
        "ResNet": (0.276, 0.645, 0.749),
        "ResNet, test-time augmentation": (0.282, 0.653, 0.755),
    }.items()
    for metric, value in zip(("recall@1", "recall@20", "recall@50"), values, strict=True)
)
CONSUMER2SHOP_UPPER = rows(
    f"{_YNET}, Figure 4",
    "recall@20",
    {
        "VGG-CNN-S": 0.123,
        "DARN": 0.239,
        "TripletVGG": 0.333,
        "YVGG": 0.396,
        "FashionNet": 0.430,
        "TagYVGG": 0.450,
        "CtxYVGG": 0.479,
    },
    "best epoch on the test set; whole pictures",
)
INSHOP = (
    *rows(
        "as published, by model",
        "recall@1",
        {
            "FashionNet": 0.53,
            "HDC": 0.621,
            "ABE-8": 0.873,
            "clothingRetri": 0.918,
            "OML ViT-S/16": 0.921,
            "Hyp-ViT": 0.927,
            "Unicom ViT-B/32": 0.948,
            "Unicom ViT-L/14@336": 0.967,
        },
        "most don't crop",
    ),
    *rows(
        "Unicom, zero-shot",
        "recall@1",
        {"the smallest model": 0.728, "the largest model": 0.867},
        "not trained on this set",
    ),
    *rows(_AHBN, "recall@20", {"AHBN": None}, _LOST),
)
STREET2SHOP_TOPS = rows("GRNet, ICCV 2019", "recall@1", {"GRNet": 0.583})
STREET2SHOP_AHBN = rows(_AHBN, "recall@20", {"AHBN": None}, _LOST)
_DARN = "DARN, ICCV 2015"
DARN = (
    *rows(
        _DARN,
        "recall@20",
        {"pre-trained CNN": 0.268, "DARN": 0.570},
        "gallery 200,000; pictures cut by the paper's detector",
    ),
    *rows(
        f"{_DARN}, Table 3",
        "ndcg@20",
        {
            "DSIFT + FV, C = 64": 0.290,
            "DSIFT + FV, C = 128": 0.289,
            "pre-trained CNN": 0.367,
            "pre-trained NIN": 0.370,
            "AN": 0.415,
            "ARN": 0.442,
            "DARN": 0.494,
            "DARN with Conv5": 0.499,
            "DARN with Conv4-5": 0.505,
        },
        "gallery 200,000; the paper leaves Z open",
    ),
    *rows(
        f"{_YNET}, Figure 3",
        "recall@20",
        {
            "NIN": 0.047,
            "TripletNIN": 0.079,
            "DARN": 0.112,
            "YNIN": 0.153,
            "FashionNet": 0.208,
            "TagYNIN": 0.222,
            "CtxYNIN": 0.242,
        },
        "its own split by product; 5,966 queries, 23,773 shop pictures",
    ),
)
_PROJECT = "Siamese project, 2018"
SIAMESE_1K = rows(_PROJECT, "recall@50", {"VGG-19": 0.40, "Siamese": 0.553})
SIAMESE_10K = rows(_PROJECT, "recall@50", {"VGG-19": 0.111, "Siamese": 0.222})
