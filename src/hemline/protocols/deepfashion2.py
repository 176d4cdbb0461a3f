"""DeepFashion2: users' garments asked of shops' (Y. Ge and others, CVPR 2019, clothes retrieval).

A match is the same pair and the same style above 0. A garment of style 0 has no match: it never
asks, and stands in the gallery as one that is wrong for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items, text_column


def deepfashion2(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Users' garments of val with a style, among all shop garments of val."""
    role, split = roles(manifest), text_column(manifest, "split")
    items = text_column(manifest, "item_id")
    styled = np.fromiter((not _unmatched(item) for item in items.tolist()), bool, len(items))
    queries = np.flatnonzero((role == "query") & (split == "val") & styled)
    gallery = np.flatnonzero((role == "gallery") & (split == "val"))
    said = {
        "queries": "users' garments of val whose style is above 0",
        "gallery": "all shop garments of val, those of style 0 too",
        "items": "the queries' products are kept out of training",
    }
    held_out = set(items[queries].tolist())
    return (match_items("deepfashion2", manifest, queries, gallery, choices, said, held_out),)


def _unmatched(item: str) -> bool:
    """Whether ``pair/style`` has style 0 (a reader may number those: ``pair/0/3``)."""
    parts = item.split("/")
    return len(parts) > 1 and parts[1].partition("#")[0] == "0"


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "deepfashion2": ProtocolSpec(
        deepfashion2,
        queries="users' garments of val whose style is above 0",
        gallery="all shop garments of val, those of style 0 too",
        products="the queries' products are kept out of training",
        crop="box",
    )
}
