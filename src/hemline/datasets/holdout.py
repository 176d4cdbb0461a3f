"""A split by item for data that has none: a seeded share of the items is held out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items
from hemline.errors import UsageError


def holdout(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """All photos of the held-out items, searched among the gallery rows of every item.

    `Protocol.training` returns the manifest without these items. Only items with both a query and
    a gallery row are drawn; the manifest's order doesn't matter.

    Raises:
        UsageError: ``share`` is not between 0 and 1.
    """
    if not 0 < choices.share < 1:
        raise UsageError(f"the share of held-out products is between 0 and 1, not {choices.share}")
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    role = roles(manifest)
    both = sorted(set(items[role == "query"].tolist()) & set(items[role == "gallery"].tolist()))
    order = np.random.default_rng(choices.seed).permutation(len(both))
    count = max(1, round(choices.share * len(both)))
    kept_out = {both[i] for i in order[:count]}
    asks = np.fromiter((item in kept_out for item in items.tolist()), bool, len(items))
    stated = {
        "queries": f"all query rows of {len(kept_out)} held-out items",
        "gallery": "every gallery row",
        "items": f"share {choices.share:g} of the items held out, seed {choices.seed}",
    }
    queries = np.flatnonzero(asks & (role == "query"))
    gallery = np.flatnonzero(role == "gallery")
    return (match_items("holdout", manifest, queries, gallery, choices, stated, kept_out),)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "holdout": ProtocolSpec(
        holdout,
        queries="all photos of a seeded share of the products",
        gallery="every gallery row",
        products="kept out of training; --share, --seed",
    )
}
