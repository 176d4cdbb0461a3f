"""Losses: pure functions over tensors, and modules where a loss keeps a state.

``LOSSES`` has all of them by name. A new loss is one file of this package.
"""

from __future__ import annotations

from hemline.learn.loss import LOSSES, LossSpec, RankingInputs, RankingLoss, RankingOptions
from hemline.learn.losses.attributes import attribute_loss
from hemline.learn.losses.centroid import CentroidLoss, centroid_loss
from hemline.learn.losses.heatmap import heatmap_loss
from hemline.learn.losses.info_nce import InfoNCELoss, info_nce_loss
from hemline.learn.losses.landmarks import location_loss, visibility_loss
from hemline.learn.losses.multilabel import multilabel_loss
from hemline.learn.losses.proxy_anchor import ProxyAnchorLoss, proxy_anchor_loss
from hemline.learn.losses.triplet import TripletLoss, mined_triplet_loss, triplet_loss

__all__ = [
    "LOSSES",
    "CentroidLoss",
    "InfoNCELoss",
    "LossSpec",
    "ProxyAnchorLoss",
    "RankingInputs",
    "RankingLoss",
    "RankingOptions",
    "TripletLoss",
    "attribute_loss",
    "centroid_loss",
    "heatmap_loss",
    "info_nce_loss",
    "location_loss",
    "mined_triplet_loss",
    "multilabel_loss",
    "proxy_anchor_loss",
    "triplet_loss",
    "visibility_loss",
]
