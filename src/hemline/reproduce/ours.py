"""All systems of the four papers and ours under one protocol, and the question of the YNet paper.

No paper's table: ``systems`` has every row of the others for the same number of epochs from the
same images, ``attention`` whether tags and context help when all that differs is they.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hemline.reproduce import ahbn, darn, ynet
from hemline.reproduce.experiment import Experiment, Row
from hemline.reproduce.siamese import SIAMESE


def _seam(name: str, *settings: str) -> Row:
    stages = {"join": 0.5, "tags": 0.25, "context": 0.25}
    return Row(name, "seam", settings, stages=stages)


_BASE = replace(ynet.INFONCE[0], name="YNet, before", stages={"YNet": 0.5})
_FROZEN = "stages.YNet.trains=[street, shop]"


def _further(row: Row, name: str, stages: dict[str, float], *settings: str) -> Row:
    """A network that learns on from one YNet, with subnetwork I frozen."""
    skip = () if "YNet" in stages else ("stages.YNet.skip=true",)
    return replace(
        row, name=name, settings=(*settings, *skip), stages=stages, start=_BASE, start_always=True
    )


EXPERIMENTS: Mapping[str, Experiment] = {
    "systems": Experiment(
        "Every system of the four papers and ours under one protocol",
        "four papers",
        "consumer2shop",
        ("consumer2shop",),
        (
            *darn.LADDER,
            ynet.TRIPLET_NIN,
            ynet.YNET,
            ynet.TAGYNET,
            ynet.CTXYNET,
            *ynet.INFONCE,
            ynet.FASHIONNET,
            replace(
                ynet.FASHIONNET,
                name="FashionNet, gated",
                settings=("model.config.gate=true",),
                stages={"landmarks": 0.25, "joint": 0.75},
                needs=("attributes", "landmarks"),
            ),
            ynet.TRIPLET_VGG,
            SIAMESE,
            *ahbn.ROWS,
            _seam("Seam"),
            _seam("Seam, triplet", "model.config.loss=triplet"),
            _seam(
                "Seam, proxy anchor", "model.config.loss=proxy_anchor", "stages.all.lr=0.0001",
                "stages.all.lr_scale.items=100",
            ),
            _seam("Seam, centroid", "model.config.loss=centroid"),
            _seam("Seam, frozen trunk", "model.config.frozen=true"),
            _seam("Seam, no landmarks", "model.config.landmarks=false"),
        ),
        measures=("recall@1", "recall@5", "recall@20"),
        note="The rows compare what is built on a backbone, not backbones; the papers measured "
        "each on other data, so nothing published stands beside them.",
    ),
    "attention": Experiment(
        "YNet's question: do tags help, does the candidate as context help?",
        "YNet, ACM MM 2017",
        "consumer2shop",
        ("consumer2shop-upper",),
        (
            _further(ynet.INFONCE[0], "YNet, on", {"YNet": 0.5}, _FROZEN),
            replace(
                _further(ynet.INFONCE[1], "TagYNet, on", {"TagYNet": 0.5}), over=("YNet, on", None)
            ),
            replace(
                _further(ynet.INFONCE[2], "CtxYNet, on", {"TagYNet": 0.25, "CtxYNet": 0.25}),
                over=("TagYNet, on", None),
            ),
        ),
        measures=("recall@1", "recall@20"),
        crop="none",
        slices=("others",),
        note="All three go on from one YNet, with subnetwork I frozen, for the same number of "
        "epochs, by InfoNCE with a projection to 128 channels.",
    ),
}  # fmt: skip
